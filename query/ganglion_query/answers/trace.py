"""What happened to one request: its spans in tree order with what the tree says of each, its logs, what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ganglion_query.model import LogRow, SpanRow, Spent

__all__ = ["CriticalStep", "Message", "SpanDetail", "SpanEvent", "SpanNode", "Tokens", "TraceAnswer"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one call of a model, or of several."""

    input: int
    output: int
    total: int


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A mark on a span's time line."""

    name: str
    timestamp: datetime
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanNode:
    """One span in its place; durations in milliseconds.

    `depth` 0 is a root; `offset_ms` counts from the start of the trace. `self_time_ms` is the part in which no child
    ran; `critical_ms` the part that lies on the critical path. `orphaned`: it names a parent that is not here. `layer`
    and `model` are those the span itself says.
    """

    span_id: str
    parent_span_id: str | None
    depth: int
    children: int
    orphaned: bool
    name: str
    kind: str
    service_name: str | None
    start_time: datetime
    offset_ms: float
    duration_ms: float | None
    self_time_ms: float
    critical_ms: float
    status: str
    status_message: str | None
    layer: str | None
    model: str | None
    tokens: Tokens | None
    cost: Spent | None
    events: Sequence[SpanEvent]
    has_messages: bool


@dataclass(frozen=True, slots=True)
class CriticalStep:
    """A stretch of the critical path: in it nothing but this span's own work kept the request from its end."""

    span_id: str
    name: str
    service_name: str | None
    offset_ms: float
    duration_ms: float


@dataclass(frozen=True, slots=True)
class TraceAnswer:
    """One request. `spans` in tree order (depth first, by time); `logs` by time; `truncated`: there is more.

    `langsmith_url` is where LangSmith shows it; where there should be a link and is none, `langsmith_note` says why.
    `user_id`, `session_id`, `tenant_id`, `request_id` are the first that spans or logs name.
    """

    trace_id: str
    start_time: datetime
    duration_ms: float
    root_name: str | None
    services: Sequence[str]
    failed_spans: int
    spans: Sequence[SpanNode]
    logs: Sequence[LogRow]
    critical_path: Sequence[CriticalStep]
    truncated: bool
    tokens: Tokens | None
    cost: Spent | None
    user_id: str | None
    session_id: str | None
    tenant_id: str | None
    request_id: str | None
    langsmith_url: str | None
    langsmith_note: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a model; `role` is system, user, assistant, tool or what it was told.

    `content` is text, or JSON where it is none.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SpanDetail:
    """All that is stored of a span, and what was said to a model and by it."""

    span: SpanRow
    node: SpanNode
    prompt: Sequence[Message]
    completion: Sequence[Message]
    logs: Sequence[LogRow]
