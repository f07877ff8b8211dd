"""Traces of a list: which ones meet a filter, page by page, and what a line of the list says of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.model import Condition, LogRow, SpanRow
from ganglion_query.reader.columns import LOG_COLUMNS, SPAN_COLUMNS, where
from ganglion_query.reader.conditions import LOGS, SPANS, Source, all_of
from ganglion_query.reader.session import Session

__all__ = ["Found", "TraceCriteria", "TraceRow", "find", "priced", "trace_rows"]


@dataclass(frozen=True, slots=True)
class TraceCriteria:
    """Which traces: each criterion is met by some span (conditions: or log) of the trace in the time.

    `service`, `operation`, `layer` name one span; the durations (ms) are that span's, else the root's.
    """

    since: datetime
    until: datetime
    service: str | None = None
    operation: str | None = None
    layer: str | None = None
    user: str | None = None
    tenant: str | None = None
    session: str | None = None
    failed: bool | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    conditions: Sequence[Condition] = ()

    @property
    def names_a_span(self) -> bool:
        return any(name is not None for name in (self.service, self.operation, self.layer))


@dataclass(frozen=True, slots=True)
class Found:
    """A trace that meets the criteria, and what it is listed by: start and duration (ms) of the span that did."""

    trace_id: str
    start_time: datetime
    duration_ms: float


@dataclass(frozen=True, slots=True)
class TraceRow:
    """What is stored of one trace, added up; `services` counts spans."""

    trace_id: str
    start_time: datetime
    end_time: datetime
    root_service: str | None
    root_name: str | None
    root_status: str
    span_count: int
    error_count: int
    log_count: int
    services: Mapping[str, int]
    user_id: str | None
    tenant_id: str | None
    first_error: str | None


_SPAN: Mapping[str, LiteralString] = {
    "service": "s.service_name = %(service)s",
    "operation": "s.name = %(operation)s",
    "layer": "s.attributes ->> 'rag.layer' = %(layer)s",
    "min_duration": "s.duration_ms >= %(min_duration)s",
    "max_duration": "s.duration_ms <= %(max_duration)s",
}
_TRACE: Mapping[str, LiteralString] = {
    "user": "s.trace_id IN (SELECT x.trace_id FROM spans x WHERE x.user_id = %(user)s AND {x})",
    "tenant": "s.trace_id IN (SELECT x.trace_id FROM spans x WHERE x.tenant_id = %(tenant)s AND {x})",
    "session": "s.trace_id IN (SELECT x.trace_id FROM spans x WHERE x.session_id = %(session)s AND {x})",
}
# A root is where a request comes in: no parent at all, or one that is not here (of a caller that sends no spans).
_IS_ROOT: LiteralString = """(s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER') AND NOT EXISTS (
    SELECT FROM spans p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
        AND p.start_time > s.start_time - interval '1 hour' AND p.start_time < s.start_time + interval '1 minute'))"""
_FAILED_TRACE: LiteralString = "s.trace_id IN (SELECT x.trace_id FROM spans x WHERE x.status = 'ERROR' AND {x})"

_NEWEST = sql.SQL("""SELECT replace(s.trace_id::text, '-', '') AS trace_id, max(s.start_time) AS start_time,
        coalesce(max(s.duration_ms), 0) AS duration_ms
    FROM spans s WHERE {where} GROUP BY s.trace_id {after} ORDER BY max(s.start_time) DESC, s.trace_id DESC
    LIMIT %(limit)s""")
_SLOWEST = sql.SQL("""SELECT replace(s.trace_id::text, '-', '') AS trace_id, max(s.start_time) AS start_time,
        max(s.duration_ms) AS duration_ms
    FROM spans s WHERE s.duration_ms IS NOT NULL AND {where} GROUP BY s.trace_id {after}
    ORDER BY max(s.duration_ms) DESC, s.trace_id DESC LIMIT %(limit)s""")
_NOTHING = sql.SQL("")
_AFTER_TIME = sql.SQL("HAVING (max(s.start_time), s.trace_id) < (%(after)s, %(after_trace)s::uuid)")
_AFTER_DURATION = sql.SQL("HAVING (max(s.duration_ms), s.trace_id) < (%(after)s, %(after_trace)s::uuid)")

# How slow a trace is at least that can be on the page: read off an index, so that the others need not be sorted.
_PACE = sql.SQL("""SELECT s.duration_ms FROM spans s WHERE s.duration_ms >= 100 AND {where} {after}
    ORDER BY s.duration_ms DESC OFFSET 2 * %(limit)s LIMIT 1""")
_AT_LEAST = sql.SQL("s.duration_ms >= 100 AND s.duration_ms >= %(pace)s")

# A trace of a list is looked for around its place in it, so that only the partitions of that time are read.
_MARGIN = timedelta(hours=6)

_ROWS: LiteralString = """WITH found AS MATERIALIZED (
        SELECT trace_id, span_id, parent_span_id, name, service_name, start_time, end_time, status, status_message,
            user_id, tenant_id FROM spans
        WHERE trace_id = ANY(%(traces)s::uuid[]) AND start_time >= %(since)s AND start_time < %(until)s
    ), counted AS MATERIALIZED (
        SELECT trace_id, jsonb_object_agg(coalesce(service_name, ''), spans) AS services FROM (
            SELECT trace_id, service_name, count(*) AS spans FROM found GROUP BY 1, 2) AS each GROUP BY 1
    ), told AS MATERIALIZED (
        SELECT trace_id, count(*) AS logs FROM logs WHERE trace_id = ANY(%(traces)s::uuid[])
            AND timestamp >= %(since)s AND timestamp < %(until)s GROUP BY 1
    ), added AS MATERIALIZED (
        SELECT trace_id, min(start_time) AS start_time, max(coalesce(end_time, start_time)) AS end_time,
            (array_agg(service_name ORDER BY parent_span_id IS NOT NULL, start_time))[1] AS root_service,
            (array_agg(name ORDER BY parent_span_id IS NOT NULL, start_time))[1] AS root_name,
            (array_agg(status ORDER BY parent_span_id IS NOT NULL, start_time))[1] AS root_status,
            count(*) AS span_count, count(*) FILTER (WHERE status = 'ERROR') AS error_count,
            min(user_id) AS user_id, min(tenant_id) AS tenant_id,
            (array_agg(coalesce(nullif(status_message, ''), name) ORDER BY start_time DESC)
                FILTER (WHERE status = 'ERROR'))[1] AS first_error
        FROM found GROUP BY trace_id
    )
    SELECT replace(a.trace_id::text, '-', '') AS trace_id, a.start_time, a.end_time, a.root_service, a.root_name,
        a.root_status, a.span_count, a.error_count, coalesce(t.logs, 0) AS log_count, c.services, a.user_id,
        a.tenant_id, a.first_error
    FROM added a JOIN counted c ON c.trace_id = a.trace_id LEFT JOIN told t ON t.trace_id = a.trace_id"""

_PRICED: LiteralString = f"""SELECT {SPAN_COLUMNS} FROM (
        SELECT trace_id, span_id, parent_span_id, name, kind, service_name, start_time, end_time, duration_ms, status,
            status_message, CASE WHEN attributes ?| %(telling)s THEN attributes END AS attributes,
            NULL::jsonb AS events, NULL::jsonb AS links, user_id, session_id, tenant_id, request_id,
            scope_name, scope_version, resource_id
        FROM spans WHERE trace_id = ANY(%(traces)s::uuid[]) AND start_time >= %(since)s AND start_time < %(until)s
        LIMIT %(limit)s) AS s LEFT JOIN resources r ON false"""  # noqa: S608
_COST_LOGS: LiteralString = f"""SELECT {LOG_COLUMNS} FROM logs l WHERE l.trace_id = ANY(%(traces)s::uuid[])
    AND l.cost_usd IS NOT NULL AND l.timestamp >= %(since)s AND l.timestamp < %(until)s LIMIT %(limit)s"""  # noqa: S608
_MOST_PRICED = 20_000

# What else a trace must have may lie before the span that puts it into the list, and so before a window.
_TIMES = sql.SQL("{alias}.{time} >= %(earlier)s AND {alias}.{time} < %(until)s")
_LONGEST_REQUEST = timedelta(minutes=10)

# The newest come from ever longer spans of time, so that a short answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))


def find(
    session: Session, wanted: TraceCriteria, limit: int, *, slowest: bool, after: tuple[Any, str] | None = None
) -> Sequence[Found]:
    """Return traces, the newest or slowest first; with `after` those behind that start or duration, and trace id.

    Raises:
        ValueError: a condition cannot be.
    """
    arguments: dict[str, Any] = {name: getattr(wanted, name) for name in (*_SPAN, *_TRACE)}
    arguments |= {"limit": limit, "until": wanted.until}
    if after is not None:
        arguments["after"], arguments["after_trace"] = after
    fixed = list(_fixed(wanted, arguments))
    if slowest:
        return _slowest(session, wanted, fixed, arguments)
    found: Sequence[Found] = ()
    for since in _beginnings(wanted, after):
        arguments["since"], arguments["earlier"] = since, max(wanted.since, since - _LONGEST_REQUEST)
        query = _NEWEST.format(where=_within(wanted, fixed), after=_AFTER_TIME if after else _NOTHING)
        found = session.rows(Found, query, arguments)
        if len(found) == limit:
            break
    return found


def _slowest(
    session: Session, wanted: TraceCriteria, fixed: Sequence[sql.Composable], arguments: dict[str, Any]
) -> Sequence[Found]:
    arguments["since"] = arguments["earlier"] = wanted.since
    paged = "after" in arguments
    below = sql.SQL("AND s.duration_ms <= %(after)s") if paged else _NOTHING
    after = _AFTER_DURATION if paged else _NOTHING
    for row in session.dicts(_PACE.format(where=_within(wanted, fixed), after=below), arguments):
        conditions = _within(wanted, [*fixed, _AT_LEAST])
        query = _SLOWEST.format(where=conditions, after=after)
        found = session.rows(Found, query, {**arguments, "pace": row["duration_ms"]})
        if len(found) == arguments["limit"]:
            return found
    return session.rows(Found, _SLOWEST.format(where=_within(wanted, fixed), after=after), arguments)


def _within(wanted: TraceCriteria, conditions: Sequence[sql.Composable]) -> sql.Composable:
    times = where("s", "start_time", {"since": wanted.since, "until": wanted.until})
    return sql.SQL(" AND ").join([times, *conditions])


def _fixed(wanted: TraceCriteria, arguments: dict[str, Any]) -> Iterator[sql.Composable]:
    times = _times("x", "start_time")
    for name, text in _SPAN.items():
        if arguments[name] is not None:
            yield sql.SQL(text)
    if not wanted.names_a_span:
        yield sql.SQL(_IS_ROOT)
    for name, text in _TRACE.items():
        if arguments[name] is not None:
            yield sql.SQL(text).format(x=times)
    if wanted.failed is not None:
        yield _outcome(wanted, times)
    for one in wanted.conditions:
        yield _some_row(one, arguments)


def _times(alias: str, time: str) -> sql.Composable:
    return _TIMES.format(alias=sql.Identifier(alias), time=sql.Identifier(time))


def _outcome(wanted: TraceCriteria, times: sql.Composable) -> sql.Composable:
    if wanted.names_a_span:
        return sql.SQL("s.status = 'ERROR'" if wanted.failed else "s.status <> 'ERROR'")
    return sql.SQL(_FAILED_TRACE if wanted.failed else f"NOT {_FAILED_TRACE}").format(x=times)


def _some_row(wanted: Condition, arguments: dict[str, Any]) -> sql.Composable:
    """Return that a span or a log of the trace meets a condition."""
    parts = [
        _rows_of(wanted, "spans", SPANS, "start_time", arguments),
        _rows_of(wanted, "logs", LOGS, "timestamp", arguments),
    ]
    return sql.SQL("s.trace_id IN ({})").format(sql.SQL(" UNION ALL ").join(parts))


def _rows_of(
    wanted: Condition, table: LiteralString, source: Source, time: str, arguments: dict[str, Any]
) -> sql.Composable:
    alias = sql.Identifier(source.alias)
    return sql.SQL("SELECT {alias}.trace_id FROM {table} {alias} WHERE {times} AND {test}").format(
        alias=alias,
        table=sql.Identifier(table),
        times=_times(source.alias, time),
        test=sql.SQL(" AND ").join(all_of([wanted], source, arguments)),
    )


def _beginnings(wanted: TraceCriteria, after: tuple[Any, str] | None) -> Iterator[datetime]:
    newest = wanted.until if after is None else after[0]
    for window in _WINDOWS:
        if wanted.since < newest - window:
            yield newest - window
    yield wanted.since


def trace_rows(session: Session, found: Sequence[Found]) -> list[TraceRow]:
    """Return what is stored of each of `found`, in their order."""
    if not found:
        return []
    rows = {row.trace_id: row for row in session.rows(TraceRow, _ROWS, _around(found))}
    return [rows[one.trace_id] for one in found if one.trace_id in rows]


def priced(session: Session, found: Sequence[Found], telling: Sequence[str]) -> tuple[list[SpanRow], list[LogRow]]:
    """Return the spans and logs that tell the costs of `found`, no more than a page of a list should take.

    Spans have their attributes where one of `telling` is among them.
    """
    arguments = {**_around(found), "telling": list(telling), "limit": _MOST_PRICED}
    return session.rows(SpanRow, _PRICED, arguments), session.rows(LogRow, _COST_LOGS, arguments)


def _around(found: Sequence[Found]) -> dict[str, Any]:
    times = [one.start_time for one in found]
    return {
        "traces": [one.trace_id for one in found],
        "since": min(times) - _MARGIN,
        "until": max(times) + _MARGIN,
    }
