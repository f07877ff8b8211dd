"""Spans and logs of one trace."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from ganglion_query.model import LogRow, SpanRow
from ganglion_query.reader.columns import LOG_COLUMNS, SPAN_COLUMNS
from ganglion_query.reader.session import Session

__all__ = ["newest_trace", "trace_rows", "trace_times"]

_SPANS: LiteralString = f"""SELECT {SPAN_COLUMNS} FROM spans s LEFT JOIN resources r ON r.id = s.resource_id
    WHERE s.trace_id = %(trace_id)s::uuid ORDER BY s.start_time, s.span_id LIMIT %(limit)s"""  # noqa: S608

_LOGS: LiteralString = f"""SELECT {LOG_COLUMNS} FROM logs l
    WHERE l.trace_id = %(trace_id)s::uuid ORDER BY l.timestamp LIMIT %(limit)s"""  # noqa: S608

# What is found by the trace id stands apart, or the least of all would be looked for along the times.
_TIMES = """WITH found AS MATERIALIZED (
        SELECT start_time AS time FROM spans WHERE trace_id = %(trace_id)s::uuid
        UNION ALL SELECT timestamp FROM logs WHERE trace_id = %(trace_id)s::uuid
    ) SELECT min(time) AS first, max(time) AS last FROM found"""

_NEWEST = """SELECT replace(trace_id::text, '-', '') AS trace_id, start_time FROM spans
    WHERE start_time > %(since)s ORDER BY start_time DESC LIMIT 1"""

# Ever longer spans of time, so that the usual answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4), timedelta(days=1))


def trace_rows(session: Session, trace_id: str, limit: int) -> tuple[list[SpanRow], list[LogRow]]:
    """Return at most `limit` spans and `limit` logs of a trace, the earliest first."""
    wanted = {"trace_id": trace_id, "limit": limit}
    session.about(trace_id)
    with session.lookups():
        return session.rows(SpanRow, _SPANS, wanted, often=True), session.rows(LogRow, _LOGS, wanted, often=True)


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
