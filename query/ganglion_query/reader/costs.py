"""What tells a cost: spans of model calls and logs with one, and the spans around them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.reader.session import Session

__all__ = [
    "CostLogRow",
    "Item",
    "LineRow",
    "PeopleRow",
    "UsageRow",
    "Wanted",
    "cost_logs",
    "lineage",
    "people",
    "usages",
]

_MARGIN = timedelta(hours=1)

# Prompts and completions, which are long, are not wanted here.
_USAGES: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.start_time,
    s.service_name,
    (SELECT jsonb_object_agg(a.key, a.value) FROM jsonb_each(s.attributes) a WHERE a.key = ANY(%(kept)s)) AS attributes
FROM spans s
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s AND s.attributes ?| %(telling)s
    AND (%(trace)s::uuid IS NULL OR s.trace_id = %(trace)s::uuid)
ORDER BY s.start_time DESC LIMIT %(limit)s"""

_LOGS: LiteralString = """SELECT replace(l.trace_id::text, '-', '') AS trace_id, l.span_id, l.parent_span_id,
    l.timestamp, l.message, l.cost_usd, l.service_name, l.user_id, l.tenant_id, l.session_id,
    CASE WHEN l.logger LIKE 'rag.%%' THEN substr(l.logger, 5) ELSE l.context ->> 'rag.layer' END AS layer,
    coalesce(l.context ->> 'model', l.context ->> 'gen_ai.response.model',
        l.context ->> 'gen_ai.request.model') AS model,
    CASE WHEN jsonb_typeof(l.metrics -> 'total_tokens') = 'number' THEN (l.metrics -> 'total_tokens')::numeric
        WHEN jsonb_typeof(l.metrics -> 'tokens') = 'number' THEN (l.metrics -> 'tokens')::numeric END::float8 AS tokens
FROM logs l
WHERE l.timestamp >= %(since)s AND l.timestamp < %(until)s AND l.cost_usd IS NOT NULL
    AND (%(trace)s::uuid IS NULL OR l.trace_id = %(trace)s::uuid)
ORDER BY l.timestamp DESC LIMIT %(limit)s"""

# Every item's way up to its root, of which the nearest layer and user are its own. An item repeats those below whose
# way leads over it.
_LINEAGE = sql.SQL("""WITH RECURSIVE near AS MATERIALIZED (
    SELECT s.trace_id, s.span_id, s.parent_span_id, s.attributes ->> 'rag.layer' AS layer, s.user_id, s.tenant_id
    FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s {of_traces}
), items AS MATERIALIZED (
    SELECT * FROM unnest(%(traces)s::uuid[], %(spans)s::text[], %(parents)s::text[], %(costly)s::bool[],
        %(telling)s::bool[]) AS i(trace_id, span_id, parent, costly, telling)
), up AS (
    SELECT i.trace_id, i.span_id AS item, 0 AS step, coalesce(s.parent_span_id, i.parent) AS parent,
        s.layer, s.user_id, s.tenant_id, i.costly, i.telling
    FROM items i LEFT JOIN near s ON s.trace_id = i.trace_id AND s.span_id = i.span_id
    UNION ALL
    SELECT u.trace_id, u.item, u.step + 1, s.parent_span_id, s.layer, s.user_id, s.tenant_id, u.costly, u.telling
    FROM up u JOIN near s ON s.trace_id = u.trace_id AND s.span_id = u.parent WHERE u.step < 200
), repeating AS (
    SELECT u.trace_id, u.parent AS item, bool_or(u.costly) AS costs, bool_or(u.telling) AS tokens
    FROM up u WHERE u.parent IS NOT NULL GROUP BY 1, 2
)
SELECT replace(u.trace_id::text, '-', '') AS trace_id, u.item AS span_id,
    (array_agg(u.layer ORDER BY u.step) FILTER (WHERE u.layer IS NOT NULL))[1] AS layer,
    (array_agg(u.user_id ORDER BY u.step) FILTER (WHERE u.user_id IS NOT NULL))[1] AS user_id,
    (array_agg(u.tenant_id ORDER BY u.step) FILTER (WHERE u.tenant_id IS NOT NULL))[1] AS tenant_id,
    coalesce(bool_or(r.costs), false) AS repeats_costs, coalesce(bool_or(r.tokens), false) AS repeats_tokens
FROM up u LEFT JOIN repeating r ON r.trace_id = u.trace_id AND r.item = u.item GROUP BY u.trace_id, u.item""")
_OF_TRACES = sql.SQL("AND s.trace_id = ANY(%(traces)s::uuid[])")
_FEW = 1000
"""Items of which the traces are looked up one by one, instead of reading all spans of the time."""

_PEOPLE: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id,
    (array_agg(s.user_id ORDER BY s.start_time) FILTER (WHERE s.user_id IS NOT NULL))[1] AS user_id,
    (array_agg(s.tenant_id ORDER BY s.start_time) FILTER (WHERE s.tenant_id IS NOT NULL))[1] AS tenant_id
FROM spans s WHERE s.trace_id = ANY(%(traces)s::uuid[]) AND s.start_time >= %(since)s AND s.start_time < %(until)s
    AND (s.user_id IS NOT NULL OR s.tenant_id IS NOT NULL)
GROUP BY s.trace_id"""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A span that tells tokens or a cost, with those of its attributes that say so and of what model."""

    trace_id: str
    span_id: str
    start_time: datetime
    service_name: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CostLogRow:
    """A log that tells a cost."""

    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    timestamp: datetime
    message: str
    cost_usd: float
    service_name: str | None
    user_id: str | None
    tenant_id: str | None
    session_id: str | None
    layer: str | None
    model: str | None
    tokens: float | None


@dataclass(frozen=True, slots=True)
class Item:
    """A span, here or named by a log, that tells a cost (`costly`) or tokens (`telling`); `parent` as the log says."""

    trace_id: str
    span_id: str
    parent: str | None
    costly: bool
    telling: bool


@dataclass(frozen=True, slots=True)
class LineRow:
    """What is above an item: the nearest layer, user and tenant; and whether items below it tell the same again."""

    trace_id: str
    span_id: str
    layer: str | None
    user_id: str | None
    tenant_id: str | None
    repeats_costs: bool
    repeats_tokens: bool


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """Whose a trace is, by the first span that says it."""

    trace_id: str
    user_id: str | None
    tenant_id: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls: of a period, of one trace where it is given; at most `limit` rows, the newest."""

    since: datetime
    until: datetime
    trace_id: str | None
    limit: int


def usages(session: Session, wanted: Wanted, telling: Iterable[str], kept: Iterable[str]) -> list[UsageRow]:
    """Return spans with an attribute of `telling`; of their attributes those of `kept` and of `telling`."""
    names = sorted(telling)
    return session.rows(UsageRow, _USAGES, _arguments(wanted) | {"telling": names, "kept": sorted({*names, *kept})})


def cost_logs(session: Session, wanted: Wanted) -> list[CostLogRow]:
    return session.rows(CostLogRow, _LOGS, _arguments(wanted))


def _arguments(wanted: Wanted) -> dict[str, Any]:
    return {"since": wanted.since, "until": wanted.until, "trace": wanted.trace_id, "limit": wanted.limit}


def lineage(session: Session, items: Sequence[Item], wanted: Wanted) -> list[LineRow]:
    """Return what is above each item."""
    columns = {
        "traces": [item.trace_id for item in items],
        "spans": [item.span_id for item in items],
        "parents": [item.parent for item in items],
        "costly": [item.costly for item in items],
        "telling": [item.telling for item in items],
    }
    query = _LINEAGE.format(of_traces=_OF_TRACES if len(items) <= _FEW else sql.SQL(""))
    return session.rows(LineRow, query, columns | _around(wanted))


def people(session: Session, trace_ids: Iterable[str], wanted: Wanted) -> list[PeopleRow]:
    """Return whose these traces are, of those that say it."""
    return session.rows(PeopleRow, _PEOPLE, {"traces": list(trace_ids), **_around(wanted)})


def _around(wanted: Wanted) -> dict[str, Any]:
    return {"since": wanted.since - _MARGIN, "until": wanted.until + _MARGIN}
