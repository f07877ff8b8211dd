"""What tells a cost: spans of model calls and logs with one, and the spans around them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from ganglion_query.reader.session import Session

__all__ = [
    "CostLogRow",
    "PeopleRow",
    "Places",
    "UsageRow",
    "Wanted",
    "cost_logs",
    "people",
    "places",
    "usages",
]

_MARGIN = timedelta(hours=1)

# Prompts and completions, which are long, are not wanted here; where there are none, all is sooner read than chosen.
_USAGES: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.start_time,
    s.service_name, CASE WHEN pg_column_size(s.attributes) < 2000 THEN s.attributes ELSE (
        SELECT jsonb_object_agg(a.key, a.value) FROM jsonb_each(s.attributes) a WHERE a.key = ANY(%(kept)s)
    ) END AS attributes
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

# One row for each trace: so many spans are read that a row for each would take most of the time.
_PLACES: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id,
    string_agg(concat(s.span_id, E'\\x1f', s.parent_span_id, E'\\x1f', s.attributes ->> 'rag.layer', E'\\x1f',
        s.user_id, E'\\x1f', s.tenant_id), E'\\x1e') AS spans
FROM spans s WHERE s.trace_id = ANY(string_to_array(%(traces)s, ',')::uuid[])
    AND s.start_time >= %(since)s AND s.start_time < %(until)s
GROUP BY s.trace_id"""
_SPAN_END, _FIELD_END = "\x1e", "\x1f"
_FIELDS = 5

_PEOPLE: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id,
    (array_agg(s.user_id ORDER BY s.start_time) FILTER (WHERE s.user_id IS NOT NULL))[1] AS user_id,
    (array_agg(s.tenant_id ORDER BY s.start_time) FILTER (WHERE s.tenant_id IS NOT NULL))[1] AS tenant_id
FROM spans s WHERE s.trace_id = ANY(string_to_array(%(traces)s, ',')::uuid[])
    AND s.start_time >= %(since)s AND s.start_time < %(until)s
    AND (s.user_id IS NOT NULL OR s.tenant_id IS NOT NULL)
GROUP BY s.trace_id"""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A span that tells tokens or a cost, with at least those of its attributes that say so and of what model."""

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
class Places:
    """Where the spans of a trace stand, and whose they say they are: by span id, empty where one says nothing."""

    parents: Mapping[str, str]
    layers: Mapping[str, str]
    users: Mapping[str, str]
    tenants: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _PlacesRow:
    trace_id: str
    spans: str


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
    """Return spans with an attribute of `telling`; of their attributes at least those of `kept` and of `telling`."""
    names = sorted(telling)
    return session.rows(UsageRow, _USAGES, _arguments(wanted) | {"telling": names, "kept": sorted({*names, *kept})})


def cost_logs(session: Session, wanted: Wanted) -> list[CostLogRow]:
    return session.rows(CostLogRow, _LOGS, _arguments(wanted))


def _arguments(wanted: Wanted) -> dict[str, Any]:
    return {"since": wanted.since, "until": wanted.until, "trace": wanted.trace_id, "limit": wanted.limit}


def places(session: Session, trace_ids: Iterable[str], wanted: Wanted) -> dict[str, Places]:
    """Return the spans of these traces."""
    found = session.rows(_PlacesRow, _PLACES, _around(trace_ids, wanted))
    return {row.trace_id: _places(row.spans) for row in found}


def _places(spans: str) -> Places:
    values = spans.replace(_SPAN_END, _FIELD_END).split(_FIELD_END)
    if len(values) != _FIELDS * (spans.count(_SPAN_END) + 1):
        # A span that says what parts them cannot be read.
        whole = (span for span in spans.split(_SPAN_END) if span.count(_FIELD_END) == _FIELDS - 1)
        values = [value for span in whole for value in span.split(_FIELD_END)]
    ids, parents, layers, users, tenants = (values[place::_FIELDS] for place in range(_FIELDS))
    return Places(
        dict(zip(ids, parents, strict=True)),
        dict(zip(ids, layers, strict=True)),
        dict(zip(ids, users, strict=True)),
        dict(zip(ids, tenants, strict=True)),
    )


def people(session: Session, trace_ids: Iterable[str], wanted: Wanted) -> list[PeopleRow]:
    """Return whose these traces are, of those that say it."""
    return session.rows(PeopleRow, _PEOPLE, _around(trace_ids, wanted))


def _around(trace_ids: Iterable[str], wanted: Wanted) -> dict[str, Any]:
    return {"traces": ",".join(trace_ids), "since": wanted.since - _MARGIN, "until": wanted.until + _MARGIN}
