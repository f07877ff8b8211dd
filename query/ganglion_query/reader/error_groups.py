"""What went wrong in a period: logs from ERROR on, failed spans, and the spans around them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import LiteralString

from ganglion_query.reader.session import Session

__all__ = ["ErrorLogRow", "FailedSpanRow", "SpanPlace", "Wanted", "error_logs", "failed_spans", "span_places"]

_TRACES_AT_ONCE = 500
_MARGIN = timedelta(hours=1)

_LOGS: LiteralString = """SELECT l.timestamp, replace(l.trace_id::text, '-', '') AS trace_id, l.span_id,
    l.parent_span_id, l.service_name, l.logger, left(l.message, 500) AS message, left(l.error, 1000) AS error,
    l.user_id
FROM logs l
WHERE l.level IN ('ERROR', 'CRITICAL') AND l.timestamp >= %(since)s AND l.timestamp < %(until)s
    AND (%(service)s::text IS NULL OR l.service_name = %(service)s)
    AND (%(user)s::text IS NULL OR l.user_id = %(user)s)
    AND (%(tenant)s::text IS NULL OR l.tenant_id = %(tenant)s)
ORDER BY l.timestamp DESC LIMIT %(limit)s"""

_SPANS: LiteralString = """SELECT s.start_time, coalesce(s.end_time, s.start_time) AS end_time,
    replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.parent_span_id, s.name, s.service_name, s.user_id,
    left(s.status_message, 1000) AS status_message, s.attributes ->> 'error.type' AS error_type,
    (SELECT left(concat_ws(': ', e #>> '{attributes,exception.type}', e #>> '{attributes,exception.message}'), 1000)
        FROM jsonb_array_elements(s.events) e WHERE e ->> 'name' = 'exception' LIMIT 1) AS exception
FROM spans s
WHERE s.status = 'ERROR' AND s.start_time >= %(since)s AND s.start_time < %(until)s
    AND (%(service)s::text IS NULL OR s.service_name = %(service)s)
    AND (%(user)s::text IS NULL OR s.user_id = %(user)s)
    AND (%(tenant)s::text IS NULL OR s.tenant_id = %(tenant)s)
ORDER BY s.start_time DESC LIMIT %(limit)s"""

_PLACES: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.parent_span_id, s.name,
    s.service_name, s.user_id
FROM spans s
WHERE s.trace_id = ANY(%(traces)s::uuid[]) AND s.start_time >= %(since)s AND s.start_time < %(until)s"""


@dataclass(frozen=True, slots=True)
class ErrorLogRow:
    """A log from ERROR on."""

    timestamp: datetime
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    service_name: str | None
    logger: str | None
    message: str
    error: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True)
class FailedSpanRow:
    """A failed span; `exception` is the first that it recorded, as `Type: message`."""

    start_time: datetime
    end_time: datetime
    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    service_name: str | None
    user_id: str | None
    status_message: str | None
    error_type: str | None
    exception: str | None


@dataclass(frozen=True, slots=True)
class SpanPlace:
    """Where a span stands in its trace."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    service_name: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which errors: of a period, and of one service, user or tenant where they are given; at most `limit` of a kind."""

    since: datetime
    until: datetime
    service: str | None
    user: str | None
    tenant: str | None
    limit: int


def error_logs(session: Session, wanted: Wanted) -> list[ErrorLogRow]:
    """Return the logs, the newest first."""
    return session.rows(ErrorLogRow, _LOGS, asdict(wanted))


def failed_spans(session: Session, wanted: Wanted) -> list[FailedSpanRow]:
    """Return the failed spans, the newest first."""
    return session.rows(FailedSpanRow, _SPANS, asdict(wanted))


def span_places(session: Session, trace_ids: Iterable[str], wanted: Wanted) -> Iterator[Sequence[SpanPlace]]:
    """Yield the spans of the traces, some hundred traces at once."""
    bounds = {"since": wanted.since - _MARGIN, "until": wanted.until + _MARGIN}
    waiting = iter(trace_ids)
    while some := list(islice(waiting, _TRACES_AT_ONCE)):
        yield session.rows(SpanPlace, _PLACES, {"traces": some, **bounds})
