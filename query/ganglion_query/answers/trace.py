"""What happened to one request: its spans in tree order with what the tree says of each, its logs, what it cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ganglion_collector.model_calls import models_of

from ganglion_query.costs import calls_of, told_by_logs, trace_cost, usage_of, with_costs
from ganglion_query.critical_path import Stretch, critical_path, self_time
from ganglion_query.langsmith import LinkError
from ganglion_query.messages import Message, conversation_of, has_messages
from ganglion_query.model import LogRow, NotFoundError, SpanRow, Spent, Trace, parse_trace_id
from ganglion_query.reader import Reader, Session
from ganglion_query.reader.span import span_logs, spans_around
from ganglion_query.reader.traces import trace_rows
from ganglion_query.time_axis import Axis, Bar, lay_out
from ganglion_query.tree import Root, grow

__all__ = [
    "CriticalStep",
    "Message",
    "SpanDetail",
    "SpanEvent",
    "SpanNode",
    "Tokens",
    "TraceAnswer",
    "answered",
    "critical_steps",
    "fetch_trace",
    "read_span",
    "read_trace",
    "trace_in",
]

_MS = 1e6


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

    `depth` 0 is a root; `offset_ms` counts from the start of the trace, `clock_skew_ms` added to a clock that is
    behind (one by which a span began before the span that called it). `self_time_ms` is the part in which no child
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
    clock_skew_ms: float = 0.0


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
class SpanDetail:
    """All that is stored of a span, and what was said to a model and by it."""

    span: SpanRow
    node: SpanNode
    prompt: Sequence[Message]
    completion: Sequence[Message]
    logs: Sequence[LogRow]


def read_trace(reader: Reader, trace_id: str, limit: int = 10_000) -> TraceAnswer:
    """Return what is stored of a request, at most `limit` spans and `limit` logs.

    Raises:
        ValueError: `trace_id` is not one.
        NotFoundError: nothing of it is stored.
        ReaderError: the database cannot be asked.
    """
    trace = fetch_trace(reader, trace_id, limit)
    answer = answered(trace)
    try:
        return replace(answer, langsmith_url=reader.langsmith_url(trace))
    except LinkError as error:
        return replace(answer, langsmith_note=str(error))


def read_span(reader: Reader, trace_id: str, span_id: str, limit: int = 10_000) -> SpanDetail:
    """Return all that is stored of one span; its place is that among the earliest `limit` spans of the trace.

    Raises as `read_trace` does.
    """
    known, wanted = parse_trace_id(trace_id), span_id.strip().lower()
    with reader.session() as session:
        spans = spans_around(session, known, wanted, limit)
        logs = span_logs(session, known, wanted, limit)
    trace = _with_costs(Trace(known, spans, logs, truncated=False))
    axis = lay_out(grow(trace)) if spans else None
    bar = next((bar for bar in axis.bars if bar.span.span_id == wanted), None) if axis else None
    if axis is None or bar is None:
        raise NotFoundError(f"no span {span_id.strip()} in trace {known}")
    critical = sum(one.length for one in critical_path(axis) if one.bar is bar)
    said = conversation_of(bar.span, logs)
    return SpanDetail(bar.span, _node(bar, critical), said.prompt, said.completion, logs)


def fetch_trace(reader: Reader, trace_id: str, limit: int = 10_000) -> Trace:
    """Return the rows of a trace with what each span cost; raises as `read_trace` does."""
    known = parse_trace_id(trace_id)
    with reader.session() as session:
        trace = trace_in(session, known, limit)
    if trace is None:
        raise NotFoundError(f"no span or log of trace {known}")
    return trace


def trace_in(session: Session, trace_id: str, limit: int = 10_000) -> Trace | None:
    """Return the same within a session, None if nothing is stored; `trace_id` is 32 hex digits."""
    found = trace_rows(session, trace_id, limit)
    if not found.spans and not found.logs:
        return None
    return _with_costs(Trace(trace_id, found.spans, found.logs, found.is_cut))


def _with_costs(trace: Trace) -> Trace:
    own = with_costs(trace.spans)
    told = told_by_logs(trace.logs)
    spans = [span if span.cost else replace(span, cost=told.get(span.span_id)) for span in own]
    return replace(trace, spans=spans, cost=trace_cost(own, trace.logs))


def answered(trace: Trace) -> TraceAnswer:
    """Return what the rows of a trace, one at least, say together."""
    axis = lay_out(grow(trace)) if trace.spans else None
    path = critical_path(axis) if axis else []
    nodes = _nodes(axis, path) if axis else []
    start, duration_ms = (axis.origin, axis.length / _MS) if axis else _extent(trace.logs)
    rows: list[SpanRow | LogRow] = [*trace.spans, *trace.logs]
    return TraceAnswer(
        trace_id=trace.trace_id,
        start_time=start,
        duration_ms=duration_ms,
        root_name=_root_name(axis),
        services=sorted({row.service_name for row in rows if row.service_name}),
        failed_spans=sum(span.status == "ERROR" for span in trace.spans),
        spans=nodes,
        logs=trace.logs,
        critical_path=critical_steps(path),
        truncated=trace.truncated,
        tokens=_all_tokens(trace.spans, nodes),
        cost=trace.cost,
        user_id=_first(row.user_id for row in rows),
        session_id=_first(row.session_id for row in rows),
        tenant_id=_first(row.tenant_id for row in rows),
        request_id=_first(row.request_id for row in rows),
        langsmith_url=None,
        langsmith_note=None,
    )


def critical_steps(path: Iterable[Stretch]) -> list[CriticalStep]:
    return [
        CriticalStep(
            span_id=one.bar.span.span_id,
            name=one.bar.span.name or "",
            service_name=one.bar.span.service_name,
            offset_ms=one.start / _MS,
            duration_ms=one.length / _MS,
        )
        for one in path
    ]


def _nodes(axis: Axis, path: Sequence[Stretch]) -> list[SpanNode]:
    critical: dict[int, int] = {}
    for one in path:
        critical[id(one.bar)] = critical.get(id(one.bar), 0) + one.length
    return [_node(bar, critical.get(id(bar), 0)) for bar in axis.bars]


def _node(bar: Bar, critical: int) -> SpanNode:
    span = bar.span
    layer = span.attributes.get("rag.layer")
    return SpanNode(
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        depth=bar.depth,
        children=len(bar.branch.children),
        orphaned=bar.why is Root.ORPHAN,
        name=span.name or "",
        kind=span.kind or "INTERNAL",
        service_name=span.service_name,
        start_time=span.start_time,
        offset_ms=bar.start / _MS,
        duration_ms=span.duration_ms,
        self_time_ms=self_time(bar) / _MS,
        critical_ms=critical / _MS,
        status=span.status or "UNSET",
        status_message=span.status_message,
        layer=layer if isinstance(layer, str) and layer else None,
        model=next(iter(models_of(span.attributes)), None),
        tokens=_tokens(span),
        cost=span.cost,
        events=[_event(event, span) for event in span.events],
        has_messages=has_messages(span, bar.branch.logs),
        clock_skew_ms=bar.skew / _MS,
    )


def _event(event: Mapping[str, Any], span: SpanRow) -> SpanEvent:
    try:
        at = datetime.fromisoformat(str(event.get("timestamp")))
    except ValueError:
        at = span.start_time
    return SpanEvent(str(event.get("name") or ""), at, event.get("attributes") or {})


def _tokens(span: SpanRow) -> Tokens | None:
    usage = usage_of(span.attributes)
    if not usage:
        return None
    counts = [usage.get(f"{name}_tokens") for name in ("input", "output", "total")]
    given, written, both = (count if isinstance(count, int) else 0 for count in counts)
    return Tokens(given, written, both) if given or written or both else None


def _all_tokens(spans: Sequence[SpanRow], nodes: Sequence[SpanNode]) -> Tokens | None:
    told = {node.span_id: node.tokens for node in nodes if node.tokens}
    counted = [told[span_id] for span_id in calls_of(spans, told)]
    if not counted:
        return None
    return Tokens(
        sum(one.input for one in counted), sum(one.output for one in counted), sum(one.total for one in counted)
    )


def _extent(logs: Sequence[LogRow]) -> tuple[datetime, float]:
    times = [log.timestamp for log in logs]
    return min(times), (max(times) - min(times)).total_seconds() * 1000


def _root_name(axis: Axis | None) -> str | None:
    if axis is None:
        return None
    real = [bar for bar in axis.tops if bar.why is Root.REAL]
    return min(real or axis.tops, key=lambda bar: bar.start).span.name


def _first(values: Iterable[str | None]) -> str | None:
    return next(filter(None, values), None)
