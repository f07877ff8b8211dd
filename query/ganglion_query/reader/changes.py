"""What was there in the two windows around a moment: operations, versions, models, messages, counted in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.reader.requests import MODEL
from ganglion_query.reader.session import Session

__all__ = [
    "STEPS",
    "Around",
    "MessageRow",
    "OperationRow",
    "SenderRow",
    "StepRow",
    "known_before",
    "messages",
    "operations",
    "senders",
    "steps",
]

STEPS = 20
"""Into how many steps both windows together are cut."""

_OPERATIONS: LiteralString = """SELECT q.service, q.operation, bool_or(q.is_entry) AS is_entry,
    count(*) FILTER (WHERE NOT q.after) AS before, count(*) FILTER (WHERE q.after) AS after,
    count(*) FILTER (WHERE q.failed AND NOT q.after) AS failed_before,
    count(*) FILTER (WHERE q.failed AND q.after) AS failed_after,
    count(q.logarithm) FILTER (WHERE NOT q.after) AS timed_before,
    count(q.logarithm) FILTER (WHERE q.after) AS timed_after,
    coalesce(avg(q.logarithm) FILTER (WHERE NOT q.after), 0) AS mean_before,
    coalesce(avg(q.logarithm) FILTER (WHERE q.after), 0) AS mean_after,
    coalesce(var_samp(q.logarithm) FILTER (WHERE NOT q.after), 0) AS variance_before,
    coalesce(var_samp(q.logarithm) FILTER (WHERE q.after), 0) AS variance_after,
    exp(percentile_cont(0.5) WITHIN GROUP (ORDER BY q.logarithm) FILTER (WHERE NOT q.after)) AS p50_before,
    exp(percentile_cont(0.5) WITHIN GROUP (ORDER BY q.logarithm) FILTER (WHERE q.after)) AS p50_after,
    min(q.start_time) FILTER (WHERE q.after) AS first_after,
    min(q.start_time) FILTER (WHERE q.after AND q.failed) AS first_failed,
    min(q.trace_id::text) FILTER (WHERE q.after AND q.failed) AS failed_trace,
    (array_agg(q.trace_id::text ORDER BY q.logarithm DESC NULLS LAST) FILTER (WHERE q.after))[1] AS slow_trace,
    min(q.trace_id::text) FILTER (WHERE NOT q.after) AS trace_before
FROM (
    SELECT coalesce(s.service_name, '') AS service, s.name AS operation, s.start_time >= %(at)s AS after,
        s.status = 'ERROR' AS failed, s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER') AS is_entry,
        CASE WHEN s.status <> 'ERROR' AND s.duration_ms > 0 AND s.duration_ms < 1e15
            THEN ln(s.duration_ms) END AS logarithm,
        s.start_time, s.trace_id
    FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
) q GROUP BY q.service, q.operation ORDER BY count(*) DESC LIMIT %(limit)s"""

_STEPS: LiteralString = """SELECT coalesce(s.service_name, '') AS service, s.name AS operation,
    least(%(steps)s - 1, floor(extract(epoch FROM s.start_time - %(since)s)
        / extract(epoch FROM %(until)s - %(since)s) * %(steps)s))::int AS step, count(*) AS count
FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
GROUP BY 1, 2, 3 LIMIT %(limit)s"""

_SENDERS: LiteralString = f"""SELECT coalesce(s.service_name, '') AS service,
    r.attributes ->> 'service.version' AS version, {MODEL} AS model, {{seen}}
FROM spans s LEFT JOIN resources r ON r.id = s.resource_id
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s GROUP BY 1, 2, 3
UNION ALL SELECT coalesce(l.service_name, ''), l.version, l.context ->> 'model', {{logged}} FROM logs l
WHERE l.timestamp >= %(since)s AND l.timestamp < %(until)s GROUP BY 1, 2, 3"""  # noqa: S608

_SEEN: LiteralString = """count(*) FILTER (WHERE {table}.{time} < %(at)s) AS before,
    count(*) FILTER (WHERE {table}.{time} >= %(at)s) AS after,
    min({table}.{time}) AS first_seen, max({table}.{time}) AS last_seen,
    min({table}.trace_id::text) FILTER (WHERE {table}.{time} < %(at)s) AS trace_before,
    min({table}.trace_id::text) FILTER (WHERE {table}.{time} >= %(at)s) AS trace_after"""

# Numbers and long ids are left out already here, so that they make no rows of their own.
_MESSAGES: LiteralString = """SELECT m.service, m.logger, m.level,
    regexp_replace(regexp_replace(m.message, '[0-9a-fA-F]*[0-9][0-9a-fA-F-]{{6,}}', '0', 'g'),
        '[0-9]+', '0', 'g') AS name,
    sum(m.before)::bigint AS before, sum(m.after)::bigint AS after, min(m.first_seen) AS first_seen,
    max(m.last_seen) AS last_seen, min(m.trace_before) AS trace_before, min(m.trace_after) AS trace_after
FROM (
    SELECT coalesce(l.service_name, '') AS service, coalesce(l.logger, '') AS logger, l.level,
        left(l.message, 200) AS message, {logged}
    FROM logs l WHERE l.timestamp >= %(since)s AND l.timestamp < %(until)s AND l.level IN ('INFO', 'WARNING')
    GROUP BY 1, 2, 3, 4
) m GROUP BY 1, 2, 3, 4 ORDER BY sum(m.before + m.after) DESC LIMIT %(limit)s"""

_KNOWN_BEFORE: LiteralString = """SELECT DISTINCT coalesce(s.service_name, '') AS service,
    CASE %(kind)s WHEN 'service' THEN s.service_name WHEN 'version' THEN r.attributes ->> 'service.version'
        ELSE {model} END AS name
FROM spans s LEFT JOIN resources r ON r.id = s.resource_id
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s AND s.service_name = ANY(%(services)s) LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Around:
    """From `since` up to `at`, and from there up to `until`; at most `limit` rows."""

    since: datetime
    at: datetime
    until: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation of a service; latencies are of spans that did not fail, means those of natural logarithms of ms."""

    service: str
    operation: str
    is_entry: bool
    before: int
    after: int
    failed_before: int
    failed_after: int
    timed_before: int
    timed_after: int
    mean_before: float
    mean_after: float
    variance_before: float
    variance_after: float
    p50_before: float | None
    p50_after: float | None
    first_after: datetime | None
    first_failed: datetime | None
    failed_trace: str | None
    slow_trace: str | None
    trace_before: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """How many spans of an operation began in one step."""

    service: str
    operation: str
    step: int
    count: int


@dataclass(frozen=True, slots=True)
class SenderRow:
    """What a service tells of itself and its calls; `first_seen` and `last_seen` are in both windows together."""

    service: str
    version: str | None
    model: str | None
    before: int
    after: int
    first_seen: datetime
    last_seen: datetime
    trace_before: str | None
    trace_after: str | None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message without its numbers."""

    service: str
    logger: str
    level: str
    name: str
    before: int
    after: int
    first_seen: datetime
    last_seen: datetime
    trace_before: str | None
    trace_after: str | None


def operations(session: Session, around: Around) -> Sequence[OperationRow]:
    """Return operations, the most frequent first."""
    return session.rows(OperationRow, _OPERATIONS, _arguments(around))


def steps(session: Session, around: Around) -> Sequence[StepRow]:
    arguments = _arguments(around) | {"steps": STEPS, "limit": around.limit * STEPS}
    return session.rows(StepRow, _STEPS, arguments)


def senders(session: Session, around: Around) -> Sequence[SenderRow]:
    """Return services by version and by the model that they name, those of spans and of logs apart."""
    return session.rows(SenderRow, _with_times(_SENDERS), _arguments(around))


def messages(session: Session, around: Around) -> Sequence[MessageRow]:
    return session.rows(MessageRow, _with_times(_MESSAGES), _arguments(around))


def known_before(session: Session, kind: str, services: Sequence[str], until: datetime) -> set[tuple[str, str]]:
    """Return which services, or versions or models of them, spans told of in the day before `until`."""
    arguments = {"kind": kind, "services": list(services), "since": until - timedelta(days=1), "until": until}
    query = sql.SQL(_KNOWN_BEFORE).format(model=sql.SQL(MODEL))
    rows = session.dicts(query, arguments | {"limit": 10_000})
    return {(row["service"], row["name"]) for row in rows}


def _with_times(query: LiteralString) -> sql.Composed:
    seen = sql.SQL(_SEEN).format(table=sql.SQL("s"), time=sql.SQL("start_time"))
    logged = sql.SQL(_SEEN).format(table=sql.SQL("l"), time=sql.SQL("timestamp"))
    return sql.SQL(query).format(seen=seen, logged=logged)


def _arguments(around: Around) -> dict[str, Any]:
    return {"since": around.since, "at": around.at, "until": around.until, "limit": around.limit}
