"""What tells a cost: spans of model calls and logs with one, and the spans around them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, LiteralString

from ganglion_query.reader.session import Session

__all__ = ["CostLogRow", "PlaceRow", "UsageRow", "Wanted", "cost_logs", "places", "usages"]

_TRACES_AT_ONCE = 500
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

_PLACES: LiteralString = """SELECT replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.parent_span_id,
    s.attributes ->> 'rag.layer' AS layer, s.user_id, s.tenant_id, s.session_id
FROM spans s
WHERE s.trace_id = ANY(%(traces)s::uuid[]) AND s.start_time >= %(since)s AND s.start_time < %(until)s
ORDER BY s.trace_id, s.start_time"""


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
class PlaceRow:
    """Where a span stands, and what it says of whom it is for."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    layer: str | None
    user_id: str | None
    tenant_id: str | None
    session_id: str | None


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


def places(
    session: Session, trace_ids: Iterable[str], since: datetime, until: datetime
) -> Iterator[Sequence[PlaceRow]]:
    """Yield the spans of the traces, some hundred traces at once, those of a trace together and in time order."""
    bounds = {"since": since - _MARGIN, "until": until + _MARGIN}
    waiting = iter(trace_ids)
    while some := list(islice(waiting, _TRACES_AT_ONCE)):
        yield session.rows(PlaceRow, _PLACES, {"traces": some, **bounds})
