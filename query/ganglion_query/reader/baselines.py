"""How operations and requests went before: samples spread over a time, so that neither its end nor its rush decides.

Each of `_SLICES` parts of the time gives its newest rows by the index on service, name and start.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ganglion_query.answers.period import Period
from ganglion_query.reader.session import Session

__all__ = [
    "BaselineRow",
    "LogKinds",
    "LoggedRow",
    "OccurrenceRow",
    "baselines",
    "extents",
    "logged",
    "occurrences",
    "request_traces",
    "usual_traces",
]

_SLICES = 12
_EACH = 100
_TRACES_EACH = 2
_MOST_SPANS = 2_000
_MOST_LOGS = 200
_LONGEST_REQUEST = timedelta(hours=1)

_BASELINES = """SELECT o.service, o.name, b.count, b.error_rate,
        b.percentiles[1] AS p50_ms, b.percentiles[2] AS p95_ms, b.percentiles[3] AS p99_ms
    FROM unnest(%(services)s::text[], %(names)s::text[]) AS o (service, name)
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, coalesce(avg((one.status = 'ERROR')::int), 0)::float8 AS error_rate,
            percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY one.duration_ms) AS percentiles
        FROM generate_series(0, %(slices)s - 1) AS slice CROSS JOIN LATERAL (
            SELECT s.status, s.duration_ms FROM spans s
            WHERE s.service_name = o.service AND s.name = o.name
                AND s.start_time >= %(since)s AND s.start_time < %(until)s AND s.duration_ms IS NOT NULL
                AND s.start_time >= %(since)s + slice * %(length)s
                AND s.start_time < %(since)s + (slice + 1) * %(length)s
            ORDER BY s.start_time DESC LIMIT %(each)s
        ) AS one
    ) AS b WHERE b.percentiles IS NOT NULL"""

_USUAL = """SELECT DISTINCT replace(one.trace_id::text, '-', '') AS trace_id
    FROM generate_series(0, %(slices)s - 1) AS slice CROSS JOIN LATERAL (
        SELECT s.trace_id FROM spans s
        WHERE s.service_name = %(service)s AND s.name = %(name)s AND s.status <> 'ERROR'
            AND s.start_time >= %(since)s AND s.start_time < %(until)s
            AND s.start_time >= %(since)s + slice * %(length)s AND s.start_time < %(since)s + (slice + 1) * %(length)s
        ORDER BY s.start_time DESC LIMIT %(each)s
    ) AS one"""

_OCCURRENCES = """SELECT one.service_name AS service, one.name, count(*) AS traces,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY one.times) AS times, max(one.times) AS most
    FROM (
        SELECT t.trace_id, s.service_name, s.name, count(*) AS times
        FROM unnest(%(traces)s::uuid[]) AS t (trace_id) CROSS JOIN LATERAL (
            SELECT s.service_name, s.name FROM spans s WHERE s.trace_id = t.trace_id
                AND s.start_time >= %(since)s AND s.start_time < %(until)s LIMIT %(limit)s
        ) AS s GROUP BY 1, 2, 3
    ) AS one GROUP BY 1, 2"""

_EXTENTS = """SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY one.ms) AS percentiles
    FROM (
        SELECT extract(epoch FROM max(coalesce(s.end_time, s.start_time)) - min(s.start_time))::float8 * 1000 AS ms
        FROM unnest(%(traces)s::uuid[]) AS t (trace_id) CROSS JOIN LATERAL (
            SELECT s.start_time, s.end_time FROM spans s WHERE s.trace_id = t.trace_id
                AND s.start_time >= %(since)s AND s.start_time < %(until)s LIMIT %(limit)s
        ) AS s GROUP BY t.trace_id
    ) AS one"""

_LOGGED = """SELECT DISTINCT t.trace_id::text AS trace_id, l.message
    FROM unnest(%(traces)s::uuid[]) AS t (trace_id) CROSS JOIN LATERAL (
        SELECT left(l.message, 200) AS message FROM logs l WHERE l.trace_id = t.trace_id
            AND l.timestamp >= %(since)s AND l.timestamp < %(until)s
            AND l.logger = ANY(%(loggers)s) AND l.level = ANY(%(levels)s) LIMIT %(limit)s
    ) AS l"""

# A request id may be that of several traces: the newest counts. There is an index for logs only.
_REQUEST = """SELECT replace(l.trace_id::text, '-', '') AS trace_id, l.timestamp AS at FROM logs l
    WHERE l.request_id = %(request)s AND l.trace_id IS NOT NULL ORDER BY l.timestamp DESC LIMIT 1"""
_REQUEST_SPANS = """SELECT replace(s.trace_id::text, '-', '') AS trace_id, s.start_time AS at FROM spans s
    WHERE s.request_id = %(request)s AND s.start_time >= now() - interval '2 days' ORDER BY s.start_time DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class BaselineRow:
    service: str
    name: str
    count: int
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class OccurrenceRow:
    """An operation in `traces` of the sample, `times` in the median of these."""

    service: str | None
    name: str
    traces: int
    times: float
    most: int


@dataclass(frozen=True, slots=True)
class LogKinds:
    loggers: Collection[str]
    levels: Collection[str]


@dataclass(frozen=True, slots=True)
class LoggedRow:
    trace_id: str
    message: str


def baselines(session: Session, operations: Collection[tuple[str, str]], period: Period) -> list[BaselineRow]:
    """Return the durations and failures of each operation (service, name), where there are any."""
    services, names = [service for service, _ in operations], [name for _, name in operations]
    arguments = {**_sliced(period), "services": services, "names": names, "each": _EACH}
    return session.rows(BaselineRow, _BASELINES, arguments, often=True)


def usual_traces(session: Session, operation: tuple[str, str], period: Period) -> list[str]:
    """Return the ids of a few traces in which the operation went well."""
    service, name = operation
    arguments = {**_sliced(period), "service": service, "name": name, "each": _TRACES_EACH}
    return [row["trace_id"] for row in session.dicts(_USUAL, arguments)]


def occurrences(session: Session, traces: Sequence[str], period: Period) -> list[OccurrenceRow]:
    """Return in how many of `traces` each operation is, and how often."""
    return session.rows(OccurrenceRow, _OCCURRENCES, _around(traces, period, _MOST_SPANS), often=True)


def extents(session: Session, traces: Sequence[str], period: Period) -> tuple[float, float]:
    """Return median and p95 of the milliseconds from the first start to the last end of each of `traces`."""
    (row,) = session.dicts(_EXTENTS, _around(traces, period, _MOST_SPANS))
    p50, p95 = row["percentiles"] or (0.0, 0.0)
    return p50, p95


def logged(session: Session, traces: Sequence[str], period: Period, kinds: LogKinds) -> list[LoggedRow]:
    """Return the beginnings of what each of `traces` logged of these kinds, each once."""
    arguments = {"loggers": list(kinds.loggers), "levels": list(kinds.levels)}
    return session.rows(LoggedRow, _LOGGED, {**_around(traces, period, _MOST_LOGS), **arguments}, often=True)


def request_traces(session: Session, request_id: str) -> list[str]:
    """Return the newest trace of a request id, by its logs, else by its spans of the last two days; or none."""
    arguments = {"request": request_id}
    rows = session.dicts(_REQUEST, arguments) or session.dicts(_REQUEST_SPANS, arguments)
    return [row["trace_id"] for row in rows]


def _sliced(period: Period) -> dict[str, Any]:
    return {"since": period.since, "until": period.until, "slices": _SLICES, "length": period.length / _SLICES}


def _around(traces: Sequence[str], period: Period, limit: int) -> dict[str, Any]:
    since, until = period.since - _LONGEST_REQUEST, period.until + _LONGEST_REQUEST
    return {"traces": list(traces), "since": since, "until": until, "limit": limit}
