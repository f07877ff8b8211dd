"""Which requests were there: traces by service, operation, user, duration, outcome or attributes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ganglion_query import cursors
from ganglion_query.answers.period import Period
from ganglion_query.costs import TELLING, calls_of, trace_cost, usage_of, with_costs
from ganglion_query.model import Condition, LogRow, SpanRow, Spent, parse_trace_id
from ganglion_query.reader import Reader, Session
from ganglion_query.reader.search import Found, TraceCriteria, TraceRow, find, priced, trace_rows

__all__ = ["TraceFilter", "TracePage", "TraceSummary", "search_traces"]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces; None is all.

    `service`, `operation` and `layer` are of one span, which begins in `period`, and whose duration (ms) is asked for;
    without them it is the root's. Everything else may be of any span (conditions: or log) of the trace.
    """

    period: Period
    service: str | None = None
    operation: str | None = None
    layer: str | None = None
    user: str | None = None
    tenant: str | None = None
    session: str | None = None
    status: Literal["ok", "error"] | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    conditions: Sequence[Condition] = ()
    order: Literal["newest", "slowest"] = "newest"


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace of a list, as far as it is stored.

    `services`: how many spans each has; `root_*` are of its root span, else of the earliest that is here. `status` is
    ERROR where a span failed, `root_status` the root's own. `matched_ms` is the duration of the span asked for.
    """

    trace_id: str
    start_time: datetime
    duration_ms: float
    matched_ms: float
    root_service: str | None
    root_name: str | None
    root_status: str
    status: Literal["OK", "ERROR"]
    span_count: int
    error_count: int
    log_count: int
    services: Mapping[str, int] = field(default_factory=dict[str, int])
    user_id: str | None = None
    tenant_id: str | None = None
    cost: Spent | None = None
    total_tokens: int | None = None
    first_error: str | None = None


@dataclass(frozen=True, slots=True)
class TracePage:
    """A page of a list; `next` is the cursor of the following one, None at the end."""

    items: Sequence[TraceSummary]
    next: str | None


def search_traces(reader: Reader, wanted: TraceFilter, limit: int = 50, cursor: str | None = None) -> TracePage:
    """Return traces, the newest or slowest first.

    Raises:
        ValueError: the cursor is not one of this list, or a condition cannot be.
        ConfigError: the file that GANGLION_PRICES names is wrong.
    """
    slowest = wanted.order == "slowest"
    with reader.session() as session:
        found = find(session, _criteria(wanted), limit + 1, slowest=slowest, after=_place(cursor, slowest=slowest))
        shown = found[:limit]
        rows = trace_rows(session, shown)
        spent = _spent(session, shown) if rows else {}
    matched = {one.trace_id: one.duration_ms for one in shown}
    items = [_summary(row, matched[row.trace_id], *spent.get(row.trace_id, (None, None))) for row in rows]
    return TracePage(items, _cursor(found[limit - 1], slowest=slowest) if len(found) > limit else None)


def _criteria(wanted: TraceFilter) -> TraceCriteria:
    return TraceCriteria(
        since=wanted.period.since,
        until=wanted.period.until,
        service=wanted.service,
        operation=wanted.operation,
        layer=wanted.layer,
        user=wanted.user,
        tenant=wanted.tenant,
        session=wanted.session,
        failed=None if wanted.status is None else wanted.status == "error",
        min_duration=wanted.min_duration_ms,
        max_duration=wanted.max_duration_ms,
        conditions=wanted.conditions,
    )


def _cursor(last: Found, *, slowest: bool) -> str:
    return cursors.encode(last.duration_ms if slowest else last.start_time.isoformat(), last.trace_id)


def _place(cursor: str | None, *, slowest: bool) -> tuple[Any, str] | None:
    if cursor is None:
        return None
    place, trace_id = cursors.decode(cursor, float if slowest else str, str)
    try:
        return (place if slowest else cursors.moment(place)), parse_trace_id(trace_id)
    except ValueError:
        raise ValueError(cursors.FOREIGN) from None


def _spent(session: Session, found: Sequence[Found]) -> dict[str, tuple[Spent | None, int | None]]:
    """Return cost and tokens of each trace that tells some."""
    spans, logs = priced(session, found, sorted(TELLING))
    spans_of: defaultdict[str, list[SpanRow]] = defaultdict(list)
    logs_of: defaultdict[str, list[LogRow]] = defaultdict(list)
    for span in with_costs(spans):
        spans_of[span.trace_id].append(span)
    for log in logs:
        logs_of[log.trace_id or ""].append(log)
    return {
        trace_id: (trace_cost(spans_of[trace_id], logs_of[trace_id]), _tokens(spans_of[trace_id]))
        for trace_id in spans_of
    }


def _tokens(spans: Sequence[SpanRow]) -> int | None:
    told = {
        span.span_id: total for span in spans if isinstance(total := usage_of(span.attributes).get("total_tokens"), int)
    }
    return sum(told[span_id] for span_id in calls_of(spans, told)) if told else None


def _summary(row: TraceRow, matched_ms: float, cost: Spent | None, tokens: int | None) -> TraceSummary:
    return TraceSummary(
        trace_id=row.trace_id,
        start_time=row.start_time,
        duration_ms=(row.end_time - row.start_time).total_seconds() * 1000,
        matched_ms=matched_ms,
        root_service=row.root_service,
        root_name=row.root_name,
        root_status=row.root_status,
        status="ERROR" if row.error_count else "OK",
        span_count=row.span_count,
        error_count=row.error_count,
        log_count=row.log_count,
        services=row.services,
        user_id=row.user_id,
        tenant_id=row.tenant_id,
        cost=cost,
        total_tokens=tokens,
        first_error=row.first_error,
    )
