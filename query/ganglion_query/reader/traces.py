"""Spans and logs of one trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ganglion_query.model import LogRow, SpanRow
from ganglion_query.reader.bounds import LOG_BYTES, SPAN_BYTES, bounded
from ganglion_query.reader.columns import LOG_COLUMNS, SPAN_COLUMNS
from ganglion_query.reader.session import Session

__all__ = ["TraceRows", "newest_trace", "trace_rows", "trace_times"]

_SPANS = bounded(
    SPAN_COLUMNS,
    """SELECT * FROM spans s WHERE s.trace_id = %(trace_id)s::uuid ORDER BY s.start_time, s.span_id LIMIT %(limit)s""",
    "s",
    "s.start_time, s.span_id",
    size=SPAN_BYTES,
    joined="LEFT JOIN resources r ON r.id = s.resource_id",
)
_LOGS = bounded(
    LOG_COLUMNS,
    "SELECT * FROM logs l WHERE l.trace_id = %(trace_id)s::uuid ORDER BY l.timestamp LIMIT %(limit)s",
    "l",
    "l.timestamp",
    size=LOG_BYTES,
)

# What is found by the trace id stands apart, or the least of all would be looked for along the times.
_TIMES = """WITH found AS MATERIALIZED (
        SELECT start_time AS time FROM spans WHERE trace_id = %(trace_id)s::uuid
        UNION ALL SELECT timestamp FROM logs WHERE trace_id = %(trace_id)s::uuid
    ) SELECT min(time) AS first, max(time) AS last FROM found"""

_NEWEST = """SELECT replace(trace_id::text, '-', '') AS trace_id, start_time FROM spans
    WHERE start_time > %(since)s ORDER BY start_time DESC LIMIT 1"""

# Ever longer spans of time, so that the usual answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class TraceRows:
    """Spans and logs of a trace, each the earliest first; `is_cut`: there are more, which did not fit."""

    spans: Sequence[SpanRow]
    logs: Sequence[LogRow]
    is_cut: bool


def trace_rows(session: Session, trace_id: str, limit: int) -> TraceRows:
    """Return at most `limit` spans and `limit` logs of a trace."""
    wanted = {"trace_id": trace_id, "limit": limit + 1}
    session.about(trace_id)
    with session.lookups():
        spans = session.bounded(SpanRow, _SPANS, wanted, often=True)
        logs = session.bounded(LogRow, _LOGS, wanted, often=True)
    is_cut = spans.is_cut or logs.is_cut or max(len(spans.rows), len(logs.rows)) > limit
    return TraceRows(spans.rows[:limit], logs.rows[:limit], is_cut)


@dataclass(frozen=True, slots=True)
class _Times:
    first: datetime | None
    last: datetime | None


def trace_times(session: Session, trace_id: str) -> tuple[datetime, datetime] | None:
    """Return when the first and the last span or log of a trace began, None if there is none."""
    session.about(trace_id)
    with session.lookups():
        (found,) = session.rows(_Times, _TIMES, {"trace_id": trace_id}, often=True)
    return None if found.first is None or found.last is None else (found.first, found.last)


def newest_trace(session: Session) -> tuple[str, datetime] | None:
    """Return the id and the start of the newest span, None if the last day has none."""
    for window in _WINDOWS:
        for row in session.dicts(_NEWEST, {"since": datetime.now(UTC) - window}):
            return row["trace_id"], row["start_time"]
    return None
