"""The RAG service with causes planted in it, one for each question that people ask; `docs/questions.md` finds them.

version 1.0.0   a slow upload, errors of one user
version 1.1.0   larger chunks, a smaller model: cheaper, and it invents things
                then its store refuses connections: nothing works any more
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from examples.rag_demo import PROGRAM
from examples.running import PATIENCE, exporter_variables, running_service

__all__ = ["BEFORE", "CHANGED", "FAILING_USER", "SERVICE", "Planted", "Release", "plant"]

SERVICE = "rag-service"
FAILING_USER = "grace"

_NAMES = "alerts connectors exporters instrumentation langsmith operations prometheus rag schema sql"
_DOCUMENTS = [Path(__file__).parents[1] / "docs" / f"{name}.md" for name in _NAMES.split()]
_QUESTIONS = (
    "What happens when the journal is full?",
    "How do I replay dead letters?",
    "Which signals can be sent over gRPC and over HTTP?",
    "How long is a retryable error retried?",
    "How do I find the errors of one user?",
    "Which port does the health check use?",
    "How large may a request be?",
    "Where are the positions of the readers kept?",
    "What does the supervisor do when a worker ends?",
    "Which alerts are there?",
)
_USERS = ("ada", "edsger", "barbara", FAILING_USER)
_ASKED = 40
_REFUSED = 20


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the service and how it is set."""

    version: str
    chunk_size: int
    model: str

    def variables(self, addresses: Mapping[str, str]) -> dict[str, str]:
        resource = f"service.version={self.version},deployment.environment.name=demo"
        return {
            "OTEL_SERVICE_NAME": SERVICE,
            "OTEL_RESOURCE_ATTRIBUTES": resource,
            **exporter_variables(addresses, "grpc"),
            "OTEL_PYTHON_DISTRO": "ganglion",
            "RAG_CHUNK_SIZE": str(self.chunk_size),
            "RAG_MODEL": self.model,
            "GANGLION_SHUTDOWN_TIMEOUT": "20",
        }


BEFORE = Release("1.0.0", 160, "extractive-1")
CHANGED = Release("1.1.0", 480, "extractive-1-mini")


@dataclass(frozen=True, slots=True)
class Planted:
    """Where the causes are: ids of traces, and times."""

    slow_upload: str
    usual_upload: str
    failed: str
    usual_file: Path
    began: datetime
    changed: datetime
    failing: datetime
    ended: datetime
    refused: int
    """How many requests failed from `failing` on."""


def plant(addresses: Mapping[str, str]) -> Planted:
    """Run the service twice and use it; at the end it has sent all its telemetry to `addresses`."""
    return asyncio.run(_plant(addresses))


async def _plant(addresses: Mapping[str, str]) -> Planted:
    began = await _next_second()
    async with _used(BEFORE, addresses) as client:
        uploads = [await _upload(client, path) for path in _DOCUMENTS]
        await _ask(client, _ASKED)
        slow = await _upload(client, _DOCUMENTS[0], fault="slow")
        for fault in ("budget", "rate_limit", "fail"):
            await _ask(client, 1, FAILING_USER, fault)
    changed = await _next_second()
    async with _used(CHANGED, addresses) as client:
        for path in _DOCUMENTS:
            await _upload(client, path)
        await _ask(client, _ASKED, fault="hallucinate")
        failing = await _next_second()
        failed = await _ask(client, _REFUSED, fault="fail")
    return Planted(slow, uploads[-1], failed, _DOCUMENTS[-1], began, changed, failing, datetime.now(UTC), _REFUSED)


async def _next_second() -> datetime:
    """Wait for the next full second and return it: a time that a person can name."""
    now = datetime.now(UTC)
    await asyncio.sleep(1 - now.microsecond / 1e6)
    return now.replace(microsecond=0) + timedelta(seconds=1)


@asynccontextmanager
async def _used(release: Release, addresses: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service; yield who sends it requests."""
    service = running_service(PROGRAM, release.variables(addresses))
    started = await asyncio.to_thread(service.__enter__)
    try:
        async with httpx.AsyncClient(base_url=started.url, timeout=PATIENCE) as client:
            yield client
    finally:
        await asyncio.to_thread(service.__exit__, None, None, None)


async def _upload(client: httpx.AsyncClient, path: Path, fault: str = "none") -> str:
    """Return the trace id of the upload."""
    files = {"file": (path.name, await asyncio.to_thread(path.read_bytes))}
    response = await client.post("/documents", files=files, headers=_headers("ada", 0, fault))
    return response.raise_for_status().headers["X-Trace-ID"]


async def _ask(client: httpx.AsyncClient, times: int, user: str = "", fault: str = "none") -> str:
    """Return the trace id of the last question."""
    trace_id = ""
    questions, users = itertools.cycle(_QUESTIONS), itertools.cycle(_USERS)
    for number, question, somebody in zip(range(times), questions, users, strict=False):
        headers = _headers(user or somebody, number, fault)
        response = await client.post("/ask", json={"question": question}, headers=headers)
        trace_id = response.headers["X-Trace-ID"]
    return trace_id


def _headers(user: str, number: int, fault: str) -> dict[str, str]:
    said = {"X-User-ID": user, "X-Tenant-ID": "acme", "X-Session-ID": f"{user}-{number}"}
    return said if fault == "none" else {**said, "X-Demo-Fault": fault}
