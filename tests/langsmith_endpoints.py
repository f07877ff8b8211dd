"""The endpoints of the stand-in for LangSmith: a request in, an answer out, its rules enforced, what it took kept."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.json_format import Parse
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.langsmith_bodies import Operation, batch_operations, decompressed, multipart_operations, read_json
from tests.langsmith_kept import DEFAULT_TENANT, Mixed, Workspace
from tests.langsmith_rules import RejectedError, check_order, check_run, check_schema, check_window, moment

__all__ = ["TEXTS", "Answer", "Clock", "Endpoints", "Forwarded", "Request", "Rules"]

TEXTS = {
    401: '{"error":"Unauthorized"}',
    403: '{"error":"Forbidden"}',
    404: '{"detail":"Not Found"}',
    409: '{"error":"Conflict: payload already received: payloads already received"}',
    429: '{"error":"Rate limit exceeded"}',
}


@dataclass
class Rules:
    """What the server allows and how it decides where LangSmith's way is not known; may be changed at any time."""

    window: timedelta | None = timedelta(hours=24)
    """How far from now a run may start; None as self-hosted."""
    max_bytes: int = 20 * 1024 * 1024
    max_runs: int = 100
    """As /info says it; more are refused only with `enforce_max_runs`."""
    enforce_max_runs: bool = False
    mixed: Mixed = "store_rest"
    """What becomes of the new runs of a request of which others were received before."""
    zstd: bool = True
    multipart: bool = True
    """False is an old server, which has only /runs/batch."""
    requests_per_10_s: int | None = None
    keys: dict[str, UUID | None] | None = None
    """API keys with their workspace (None: of the organization, needs X-Tenant-Id); None takes any key."""


class Clock:
    """The server's time: the machine's, and what it was advanced by."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        return time.time() + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass(frozen=True)
class Forwarded:
    """OTLP that came to the endpoint for it."""

    project: str
    tenant: UUID
    request: ExportTraceServiceRequest


@dataclass
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    run_ids: tuple[str, ...] = ()


@dataclass
class Answer:
    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Endpoints:
    """All workspaces behind their endpoints; one request at a time."""

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self.rules = rules
        self.clock = clock
        self.otlp: list[Forwarded] = []
        self.workspaces: dict[UUID, Workspace] = {}
        self._recent: deque[float] = deque()

    def workspace(self, tenant: UUID) -> Workspace:
        return self.workspaces.setdefault(tenant, Workspace(tenant))

    def answer(self, request: Request) -> Answer:
        try:
            return self._routed(request)
        except RejectedError as rejection:
            text = rejection.text if rejection.text.startswith("{") else json.dumps({"error": rejection.text})
            return Answer(rejection.status, text.encode())

    def _routed(self, request: Request) -> Answer:
        match request.method, request.path.removeprefix("/api/v1").strip("/").split("/"):
            case "GET", ["info"]:
                return Answer(200, json.dumps(self._info()).encode())
            case "GET", ["sessions"]:
                return self._sessions(request, self._tenant(request))
            case "POST", ["runs", "multipart"] if self.rules.multipart:
                return self._multipart(request, self._tenant(request))
            case "POST", ["runs", "batch"]:
                return self._batch(request, self._tenant(request))
            case "POST", ["runs"]:
                return self._single(request, self._tenant(request))
            case "PATCH", ["runs", run_id]:
                return self._update(request, self._tenant(request), run_id)
            case "POST", ["otel", "v1", "traces"]:
                return self._otlp(request, self._tenant(request))
        return Answer(404, TEXTS[404].encode())

    def _tenant(self, request: Request) -> UUID:
        key, wanted = request.headers.get("x-api-key", ""), request.headers.get("x-tenant-id")
        if not key:
            raise RejectedError(401, TEXTS[401])
        if self.rules.keys is None:
            return UUID(wanted) if wanted else DEFAULT_TENANT
        if key not in self.rules.keys:
            raise RejectedError(403, TEXTS[403])
        own = self.rules.keys[key]
        if own is None and wanted is None:
            raise RejectedError(403, '{"error":"org_scoped_key_requires_workspace"}')
        if own is not None and wanted is not None and UUID(wanted) != own:
            raise RejectedError(403, TEXTS[403])
        return own or UUID(wanted)

    def _info(self) -> dict[str, Any]:
        return {
            "version": "0.12.0",
            "batch_ingest_config": {
                "use_multipart_endpoint": self.rules.multipart,
                "scale_up_qsize_trigger": 1000,
                "scale_up_nthreads_limit": 16,
                "scale_down_nempty_trigger": 4,
                "size_limit": self.rules.max_runs,
                "size_limit_bytes": self.rules.max_bytes,
            },
            "instance_flags": {"zstd_compression_enabled": self.rules.zstd},
        }

    def _sessions(self, request: Request, tenant: UUID) -> Answer:
        workspace = self.workspace(tenant)
        workspace.project_id("default")
        wanted = request.query.get("name")
        found = [
            {"id": str(project), "tenant_id": str(tenant), "name": name}
            for name, project in workspace.projects.items()
            if not wanted or name in wanted
        ]
        limit = int(request.query.get("limit", ["100"])[0])
        return Answer(200, json.dumps(found[:limit]).encode())

    def _body(self, request: Request) -> bytes:
        self._count_request()
        encoding = request.headers.get("content-encoding", "")
        return decompressed(request.body, encoding, self.rules.max_bytes, zstd=self.rules.zstd)

    def _count_request(self) -> None:
        now, limit = self.clock.time(), self.rules.requests_per_10_s
        while self._recent and self._recent[0] <= now - 10:
            self._recent.popleft()
        if limit is not None and len(self._recent) >= limit:
            raise RejectedError(429, TEXTS[429])
        self._recent.append(now)

    def _multipart(self, request: Request, tenant: UUID) -> Answer:
        operations, feedback = multipart_operations(self._body(request), request.headers.get("content-type", ""))
        self._take(request, tenant, operations)
        self.workspace(tenant).feedback += feedback
        return Answer(202, b'{"message":"Runs batch ingested"}')

    def _batch(self, request: Request, tenant: UUID) -> Answer:
        self._take(request, tenant, batch_operations(self._body(request)))
        return Answer(202, b'{"message":"Runs batch ingested"}')

    def _take(self, request: Request, tenant: UUID, operations: list[Operation]) -> None:
        request.run_ids = tuple(str(operation.run.get("id")) for operation in operations)
        if self.rules.enforce_max_runs and len(operations) > self.rules.max_runs:
            raise RejectedError(422, f"invalid batch: {len(operations)} runs, {self.rules.max_runs} are allowed")
        workspace = self.workspace(tenant)
        for operation in operations:
            check_run(operation.run, operation.event)
            workspace.check_project(operation.run)
            if self.rules.window is not None:
                check_window(operation.run, self.clock.now(), self.rules.window)
        workspace.take(operations, self.rules.mixed)

    def _single(self, request: Request, tenant: UUID) -> Answer:
        run = read_json(self._body(request), "run")
        if not isinstance(run, dict):
            raise RejectedError(422, "Unprocessable entity: a run is an object")
        check_schema(run)
        if not run.get("dotted_order"):
            run = {**run, **self._derived(run, tenant)}
        self._take(request, tenant, [Operation("post", run)])
        return Answer(202, b'{"message":"Run queued"}')

    def _derived(self, run: Mapping[str, Any], tenant: UUID) -> dict[str, str]:
        """Return the ids that the server gives a run which came without them."""
        if not run.get("id") or not run.get("start_time"):
            raise RejectedError(422, "Unprocessable entity: id and start_time are required")
        own = f"{moment(run['start_time']).astimezone(UTC):%Y%m%dT%H%M%S%fZ}{run['id']}"
        parent_id = run.get("parent_run_id")
        if not parent_id:
            return {"trace_id": str(run["id"]), "dotted_order": own}
        parent = self.workspace(tenant).runs.get(UUID(parent_id))
        if parent is None:
            raise RejectedError(404, f"Not found: parent run {parent_id}")
        return {"trace_id": str(parent.trace_id), "dotted_order": f"{parent.dotted_order}.{own}"}

    def _update(self, request: Request, tenant: UUID, run_id: str) -> Answer:
        run = read_json(self._body(request), "run")
        request.run_ids = (run_id,)
        if not isinstance(run, dict):
            raise RejectedError(422, "Unprocessable entity: a run is an object")
        workspace = self.workspace(tenant)
        check_schema({**run, "id": run_id}, "patch")
        before = workspace.runs.get(UUID(run_id))
        if before is None:
            raise RejectedError(404, f"Not found: run {run_id}")
        given = {name: value for name, value in run.items() if value is not None}
        check_order({**before.fields, **given, "id": run_id})
        workspace.take([Operation("patch", {**run, "id": run_id})], self.rules.mixed)
        return Answer(202, b'{"message":"Run queued"}')

    def _otlp(self, request: Request, tenant: UUID) -> Answer:
        body, decoded = self._body(request), ExportTraceServiceRequest()
        try:
            if request.headers.get("content-type", "").startswith("application/json"):
                Parse(body, decoded)
            else:
                decoded.ParseFromString(body)
        except (DecodeError, ValueError) as error:
            raise RejectedError(400, f"cannot parse OTLP: {error}") from None
        self.otlp.append(Forwarded(request.headers.get("langsmith-project", "default"), tenant, decoded))
        return Answer(200, b"", {"Content-Type": request.headers.get("content-type", "application/x-protobuf")})
