"""Logs, newest first, and errors: logs from ERROR on, and failed spans that no such log explains."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from ganglion_query.model import LEVELS, ErrorRow, LogFilter, LogRow
from ganglion_query.reader.columns import LOG_COLUMNS, where
from ganglion_query.reader.session import Session

__all__ = ["errors", "logs"]

_LOGS = sql.SQL(f"SELECT {LOG_COLUMNS} FROM logs l WHERE {{where}} ORDER BY l.timestamp DESC LIMIT %(limit)s")  # noqa: S608

# A failed span is told only where no log of it is an error: that log says more.
_ERRORS = sql.SQL("""SELECT * FROM (
    SELECT l.timestamp, 'log' AS kind, l.level, l.service_name, l.user_id,
        replace(l.trace_id::text, '-', '') AS trace_id, l.span_id, l.logger AS source, l.message, l.error
    FROM logs l WHERE l.level IN ('ERROR', 'CRITICAL') AND {logs} ORDER BY l.timestamp DESC LIMIT %(limit)s
) AS failed_logs UNION ALL SELECT * FROM (
    SELECT s.start_time, 'span', NULL, s.service_name, s.user_id,
        replace(s.trace_id::text, '-', ''), s.span_id, s.name, s.status_message,
        (SELECT concat_ws(': ', e -> 'attributes' ->> 'exception.type', e -> 'attributes' ->> 'exception.message')
            FROM jsonb_array_elements(s.events) e WHERE e ->> 'name' = 'exception' LIMIT 1)
    FROM spans s WHERE s.status = 'ERROR' AND {spans} AND NOT EXISTS (
        SELECT FROM logs l WHERE l.trace_id = s.trace_id AND l.span_id = s.span_id AND l.level IN ('ERROR', 'CRITICAL'))
    ORDER BY s.start_time DESC LIMIT %(limit)s
) AS failed_spans ORDER BY 1 DESC LIMIT %(limit)s""")

# Logs come newest first from ever longer spans of time, so that a short answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4))


def errors(
    session: Session, user: str | None, since: datetime | None, until: datetime | None, limit: int
) -> Sequence[ErrorRow]:
    """Return errors, newest first, from `since` up to and without `until`."""
    arguments = {"user": user, "since": since, "until": until, "limit": limit}
    query = _ERRORS.format(logs=where("l", "timestamp", arguments), spans=where("s", "start_time", arguments))
    return session.rows(ErrorRow, query, arguments)


def logs(session: Session, wanted: LogFilter, limit: int) -> Sequence[LogRow]:
    """Return logs, newest first."""
    arguments: dict[str, Any] = {**asdict(wanted), "limit": limit}
    arguments["levels"] = None if wanted.level is None else list(LEVELS[LEVELS.index(wanted.level) :])
    rows: Sequence[LogRow] = ()
    for since in _beginnings(wanted):
        arguments["since"] = since
        rows = session.rows(LogRow, _LOGS.format(where=where("l", "timestamp", arguments)), arguments)
        if len(rows) == limit:
            break
    return rows


def _beginnings(wanted: LogFilter) -> Iterator[datetime | None]:
    """Yield the times to begin at until there is enough; the last one is what was asked for."""
    if wanted.user is None and wanted.search is None:
        end = wanted.until or datetime.now(UTC)
        for window in _WINDOWS:
            if wanted.since is None or wanted.since < end - window:
                yield end - window
    yield wanted.since
