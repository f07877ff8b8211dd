"""What the stand-in for LangSmith keeps: runs of each workspace, each operation on each run once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from tests.langsmith_bodies import File, Operation
from tests.langsmith_rules import RejectedError, check_trace, moment, segments

__all__ = ["DEFAULT_TENANT", "KeptRun", "Mixed", "Node", "Workspace"]

DEFAULT_TENANT = UUID("7e9a0000-0000-4000-8000-000000000001")

Mixed: TypeAlias = Literal["store_rest", "store_none"]

_ALREADY = '{"error":"Conflict: payload already received: payloads already received"}'


@dataclass(frozen=True)
class KeptRun:
    """A run as it would be read back: what was posted, and above that what a patch gave."""

    fields: Mapping[str, Any]
    files: tuple[File, ...] = ()
    operations: tuple[str, ...] = ()

    @property
    def id(self) -> UUID:
        return UUID(self.fields["id"])

    @property
    def trace_id(self) -> UUID:
        return UUID(self.fields["trace_id"])

    @property
    def parent_run_id(self) -> UUID | None:
        return UUID(self.fields["parent_run_id"]) if self.fields.get("parent_run_id") else None

    @property
    def dotted_order(self) -> str:
        return str(self.fields["dotted_order"])

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def run_type(self) -> str:
        return str(self.fields["run_type"])

    @property
    def project(self) -> str:
        return str(self.fields["session_name"])

    @property
    def start(self) -> datetime:
        return moment(self.fields["start_time"])

    @property
    def end(self) -> datetime | None:
        """The end, or None: LangSmith shows such a run as pending."""
        return moment(self.fields["end_time"]) if self.fields.get("end_time") else None

    @property
    def inputs(self) -> dict[str, Any]:
        return self.fields.get("inputs") or {}

    @property
    def outputs(self) -> dict[str, Any]:
        return self.fields.get("outputs") or {}

    @property
    def error(self) -> str | None:
        return self.fields.get("error")

    @property
    def tags(self) -> list[str]:
        return self.fields.get("tags") or []

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.fields.get("events") or []

    @property
    def extra(self) -> dict[str, Any]:
        return self.fields.get("extra") or {}

    @property
    def metadata(self) -> dict[str, Any]:
        return self.extra.get("metadata") or {}

    @property
    def usage(self) -> dict[str, Any]:
        """Usage where LangSmith looks for it."""
        return self.metadata.get("usage_metadata") or self.outputs.get("usage_metadata") or {}


@dataclass
class Node:
    """A run with its children, in the order of their `dotted_order`."""

    run: KeptRun
    children: list["Node"] = field(default_factory=list["Node"])

    def outline(self) -> Any:
        """Return the names: `"name"` of a run without children, else `{"name": [...]}`; not for very deep traces."""
        return {self.run.name: [child.outline() for child in self.children]} if self.children else self.run.name

    def walk(self) -> Iterator[KeptRun]:
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node.run
            waiting += reversed(node.children)


class Workspace:
    """One tenant: projects, runs, feedback, and which operations it has received."""

    def __init__(self, tenant: UUID) -> None:
        self.tenant = tenant
        self.runs: dict[UUID, KeptRun] = {}
        self.feedback: list[dict[str, Any]] = []
        self.projects: dict[str, UUID] = {}
        self._received: set[tuple[str, str]] = set()

    def project_id(self, name: str) -> UUID:
        """Return the project's id; a project comes to be when it is first named."""
        return self.projects.setdefault(name, uuid5(NAMESPACE_URL, f"{self.tenant}/{name}"))

    def check_project(self, run: Mapping[str, Any]) -> None:
        if run.get("session_id") and UUID(run["session_id"]) not in self.projects.values():
            raise RejectedError(404, f"Not found: session {run['session_id']} for run_id:{run['id']}")

    def take(self, operations: Sequence[Operation], mixed: Mixed) -> None:
        """Keep what is new; where anything was received before, raise a conflict, with the rest kept or not."""
        fresh, seen = list[Operation](), set[tuple[str, str]]()
        for operation in operations:
            if operation.key not in seen and operation.key not in self._received:
                seen.add(operation.key)
                fresh.append(operation)
        known = len(operations) - len(fresh)
        if not known or mixed == "store_rest":
            for operation in fresh:
                self._keep(operation)
        if known:
            raise RejectedError(409, _ALREADY)

    def _keep(self, operation: Operation) -> None:
        self._received.add(operation.key)
        given = {name: value for name, value in operation.run.items() if value is not None}
        run_id = UUID(given["id"])
        before = self.runs.get(run_id, KeptRun({}))
        # A patch may overtake its post: what it said stays above.
        over_it = operation.event == "patch" or "patch" not in before.operations
        fields = {**before.fields, **given} if over_it else {**given, **before.fields}
        fields["session_name"] = self._project_of(fields)
        self.runs[run_id] = KeptRun(fields, (*before.files, *operation.files), (*before.operations, operation.event))

    def _project_of(self, fields: Mapping[str, Any]) -> str:
        if fields.get("session_id"):
            return next(name for name, known in self.projects.items() if known == UUID(fields["session_id"]))
        name = str(fields.get("session_name") or "default")
        self.project_id(name)
        return name

    def tree(self, trace_id: UUID) -> Node:
        """Return the root of a whole trace; a trace that LangSmith could not show is an AssertionError."""
        runs = self._traces().get(str(trace_id))
        assert runs, f"no run of trace {trace_id}"
        return _tree(runs)

    def trees(self) -> list[Node]:
        """Return the roots of all traces, by their start."""
        return sorted(map(_tree, self._traces().values()), key=lambda root: root.run.dotted_order)

    def _traces(self) -> dict[str, list[KeptRun]]:
        traces: defaultdict[str, list[KeptRun]] = defaultdict(list)
        for run in self.runs.values():
            traces[run.fields["trace_id"].lower()].append(run)
        return traces


def _tree(runs: Sequence[KeptRun]) -> Node:
    check_trace(run.fields for run in runs)
    nodes = {run.id: Node(run) for run in sorted(runs, key=lambda run: run.dotted_order)}
    below: defaultdict[UUID | None, list[Node]] = defaultdict(list)
    for node in nodes.values():
        below[node.run.parent_run_id].append(node)
    for run_id, node in nodes.items():
        node.children = sorted(below[run_id], key=lambda child: segments(child.run.dotted_order)[-1])
    (root,) = below[None]
    return root
