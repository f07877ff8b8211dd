"""Logs, newest first, and errors: logs from ERROR on, and failed spans that nothing below explains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from ganglion_query.model import LEVELS, ErrorRow, LogFilter, LogRow
from ganglion_query.reader.bounds import LOG_BYTES, Bounded, bounded
from ganglion_query.reader.columns import LOG_COLUMNS, where
from ganglion_query.reader.conditions import LOGS, all_of
from ganglion_query.reader.session import Session

__all__ = ["ErrorFilter", "PlacedError", "PlacedLog", "VolumeRow", "arguments_of", "errors", "logs", "volume"]


@dataclass(frozen=True, slots=True)
class PlacedLog(LogRow):
    """A log and where it lies in its table, which orders those of one time."""

    place: str


@dataclass(frozen=True, slots=True)
class PlacedError(ErrorRow):
    """An error and what orders those of one time."""

    place: str = ""


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """How many logs there are in a step of time that has some: all, from WARNING on, from ERROR on."""

    time: datetime
    logs: int
    warnings: int
    errors: int


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which errors; None is all. `until` is excluded."""

    user: str | None = None
    tenant: str | None = None
    service: str | None = None
    since: datetime | None = None
    until: datetime | None = None


# A time lies in one partition, so a place within it tells rows of one time apart.
_LOGS = sql.SQL(
    bounded(
        f"{LOG_COLUMNS}, l.place::text AS place",
        """SELECT l.*, l.ctid AS place FROM logs l WHERE {where}
            ORDER BY l.timestamp DESC, l.ctid DESC LIMIT %(limit)s""",
        "l",
        "l.timestamp DESC, l.place DESC",
        size=LOG_BYTES,
    )
)
_AFTER = sql.SQL("l.timestamp <= %(after)s AND (l.timestamp, l.ctid) < (%(after)s, %(place)s::tid)")

_VOLUME = sql.SQL("""SELECT date_bin(%(step)s, l.timestamp, 'epoch') AS time, count(*) AS logs,
    count(*) FILTER (WHERE l.level IN ('WARNING', 'ERROR', 'CRITICAL')) AS warnings,
    count(*) FILTER (WHERE l.level IN ('ERROR', 'CRITICAL')) AS errors
FROM logs l WHERE {where} GROUP BY 1""")

# A failed span is told only where it began to fail and no log of it is an error, which says more: where neither a log
# of it nor a child is told instead.
_ERRORS = sql.SQL("""SELECT * FROM (
    SELECT l.timestamp, 'log' AS kind, l.level, l.service_name, l.user_id,
        replace(l.trace_id::text, '-', '') AS trace_id, l.span_id, l.logger AS source,
        left(l.message, %(longest)s) AS message, left(l.error, %(longest)s) AS error,
        'log ' || l.ctid::text AS place
    FROM logs l WHERE l.level IN ('ERROR', 'CRITICAL') AND {logs} ORDER BY l.timestamp DESC, place DESC LIMIT %(limit)s
) AS failed_logs UNION ALL SELECT * FROM (
    SELECT s.start_time, 'span', NULL, s.service_name, s.user_id,
        replace(s.trace_id::text, '-', ''), s.span_id, s.name, left(s.status_message, %(longest)s),
        (SELECT left(concat_ws(': ', e #>> '{{attributes,exception.type}}', e #>> '{{attributes,exception.message}}'),
                %(longest)s)
            FROM jsonb_array_elements(s.events) e WHERE e ->> 'name' = 'exception' LIMIT 1),
        'span ' || s.ctid::text AS place
    FROM spans s WHERE s.status = 'ERROR' AND {spans} AND NOT EXISTS (
        SELECT FROM logs l WHERE l.trace_id = s.trace_id AND l.span_id = s.span_id AND l.level IN ('ERROR', 'CRITICAL')
            AND l.timestamp >= s.start_time - interval '1 hour' AND l.timestamp < s.start_time + interval '1 day'
            AND {told_logs}
    ) AND NOT EXISTS (
        SELECT FROM spans c WHERE c.trace_id = s.trace_id AND c.parent_span_id = s.span_id AND c.status = 'ERROR'
            AND c.start_time >= s.start_time - interval '1 hour' AND c.start_time < s.start_time + interval '1 day'
            AND {told_spans}
    ) ORDER BY s.start_time DESC, place DESC LIMIT %(limit)s
) AS failed_spans ORDER BY 1 DESC, place DESC LIMIT %(limit)s""")
_LOG_ERRORS_AFTER = sql.SQL(
    "l.timestamp <= %(after)s AND (l.timestamp < %(after)s OR 'log ' || l.ctid::text < %(place)s)"
)
_SPAN_ERRORS_AFTER = sql.SQL(
    "s.start_time <= %(after)s AND (s.start_time < %(after)s OR 'span ' || s.ctid::text < %(place)s)"
)

# The request of each error: its root, and what the outermost server answered.
_REQUESTS = """SELECT replace(s.trace_id::text, '-', '') AS trace_id,
    (array_agg(s.name ORDER BY s.start_time, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1] AS root_name,
    (array_agg(a.code::int ORDER BY s.start_time, s.span_id)
        FILTER (WHERE a.code ~ '^[1-9][0-9]{2}$'))[1] AS http_status
FROM spans s, coalesce(s.attributes ->> 'http.response.status_code', s.attributes ->> 'http.status_code') AS a(code)
WHERE s.trace_id = ANY(%(traces)s::uuid[]) AND s.start_time >= %(since)s AND s.start_time < %(until)s
    AND (s.parent_span_id IS NULL OR s.kind = 'SERVER')
GROUP BY s.trace_id"""
_EARLIER, _LATER = timedelta(hours=1), timedelta(minutes=1)
"""How far a request may have begun from its error: servers' clocks differ."""

LONGEST = 8192
"""Characters of an error's message that are told in a list."""

_TOLD_BEFORE, _TOLD_AFTER = timedelta(hours=1), timedelta(days=1)

_FEW = ("trace", "request", "user")
"""By any of these few logs are found, whose words are soon looked at."""

# Logs come newest first from ever longer spans of time, so that a short answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4), timedelta(days=1), timedelta(days=4))


def errors(
    session: Session, wanted: ErrorFilter, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[PlacedError]:
    """Return errors, newest first; with `after` those behind that time and place."""
    arguments: dict[str, Any] = {**asdict(wanted), "limit": limit, "longest": LONGEST}
    of_logs: sql.Composable = where("l", "timestamp", arguments)
    of_spans: sql.Composable = where("s", "start_time", arguments)
    if after is not None:
        arguments["after"], arguments["place"] = after
        of_logs, of_spans = _both(of_logs, _LOG_ERRORS_AFTER), _both(of_spans, _SPAN_ERRORS_AFTER)
    told = {"told_logs": _told("l", "timestamp", arguments), "told_spans": _told("c", "start_time", arguments)}
    found = session.rows(PlacedError, _ERRORS.format(logs=of_logs, spans=of_spans, **told), arguments)
    requests = _requests(session, found)
    return [replace(row, **requests.get(row.trace_id or "", {})) for row in found]


def _requests(session: Session, found: Sequence[PlacedError]) -> Mapping[str, Mapping[str, Any]]:
    """Return what is told of the requests of errors, by trace."""
    traces = {row.trace_id for row in found if row.trace_id}
    if not traces:
        return {}
    times = [row.timestamp for row in found]
    arguments = {"traces": sorted(traces), "since": min(times) - _EARLIER, "until": max(times) + _LATER}
    return {row.pop("trace_id"): row for row in session.dicts(_REQUESTS, arguments)}


def _told(alias: str, time: str, arguments: dict[str, Any]) -> sql.Composable:
    """Return what must hold for a log or span to be told in place of a span of the period.

    The times are the period's own, widened, so that no other partition is looked into.
    """
    since, until = arguments["since"], arguments["until"]
    arguments["told_since"] = None if since is None else since - _TOLD_BEFORE
    arguments["told_until"] = None if until is None else until + _TOLD_AFTER
    parts: list[sql.Composable] = [
        where(alias, time, {name: arguments[name] for name in ("user", "tenant", "service")})
    ]
    column = sql.Identifier(alias, time)
    if since is not None:
        parts.append(sql.SQL("{} >= %(told_since)s").format(column))
    if until is not None:
        parts.append(sql.SQL("{} < %(told_until)s").format(column))
    return sql.SQL(" AND ").join(parts)


def _both(one: sql.Composable, other: sql.Composable) -> sql.Composable:
    return sql.SQL("{} AND {}").format(one, other)


def logs(
    session: Session, wanted: LogFilter, limit: int, after: tuple[datetime, str] | None = None
) -> Bounded[PlacedLog]:
    """Return logs, newest first; with `after` those behind that time and place.

    Raises:
        ValueError: a condition cannot be.
    """
    arguments = _asked_of(session, wanted)
    arguments["limit"] = limit
    conditions = all_of(wanted.conditions, LOGS, arguments)
    if after is not None:
        arguments["after"], arguments["place"] = after
        conditions.append(_AFTER)
    newest = after[0] if after is not None else wanted.until or datetime.now(UTC)
    found: Bounded[PlacedLog] = Bounded([], is_cut=False)
    for since in _beginnings(wanted, newest):
        arguments["since"] = since
        times = where("l", "timestamp", arguments)
        query = _LOGS.format(where=sql.SQL(" AND ").join([times, *conditions]))
        found = session.bounded(PlacedLog, query, arguments)
        if len(found.rows) == limit or found.is_cut:
            break
    return found


def volume(session: Session, wanted: LogFilter, step: timedelta) -> list[VolumeRow]:
    """Return how many logs there are over time.

    Raises:
        ValueError: a condition cannot be.
    """
    arguments = {**_asked_of(session, wanted), "step": step}
    conditions = [where("l", "timestamp", arguments), *all_of(wanted.conditions, LOGS, arguments)]
    return session.rows(VolumeRow, _VOLUME.format(where=sql.SQL(" AND ").join(conditions)), arguments)


def arguments_of(wanted: LogFilter) -> dict[str, Any]:
    """Return the values of a filter by the names that `where` knows."""
    arguments = {name: value for name, value in asdict(wanted).items() if name != "conditions"}
    arguments["levels"] = None if wanted.level is None else list(LEVELS[LEVELS.index(wanted.level) :])
    return arguments


def _asked_of(session: Session, wanted: LogFilter) -> dict[str, Any]:
    """Return the values of a filter, words as who asks can have them found by their index."""
    arguments = {**arguments_of(wanted), "after": None}
    if session.scope.tenants is not None and not any(arguments[name] for name in _FEW):
        arguments["own_search"] = arguments.pop("search")
    return arguments


def _beginnings(wanted: LogFilter, newest: datetime) -> Iterator[datetime | None]:
    """Yield the times to begin at until there is enough; the last one is what was asked for."""
    if wanted.request is None and wanted.trace is None:
        for window in _WINDOWS:
            if wanted.since is None or wanted.since < newest - window:
                yield newest - window
    yield wanted.since
