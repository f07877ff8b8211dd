"""What Jaeger's query API asks for: services and operations of spans, whole traces, calls between services."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.model import Condition, LogRow
from ganglion_query.reader.bounds import LOG_BYTES, SPAN_BYTES, Bounded, bounded
from ganglion_query.reader.columns import LOG_COLUMNS
from ganglion_query.reader.conditions import SPANS, all_of
from ganglion_query.reader.session import Session

__all__ = [
    "Call",
    "Operation",
    "SpanCriteria",
    "StoredSpan",
    "Summary",
    "calls",
    "find_traces",
    "logs_of",
    "operations",
    "resources_of",
    "services",
    "spans_of",
    "summaries",
]


@dataclass(frozen=True, slots=True)
class Operation:
    """A name of spans and one of their kinds, `SERVER` …."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class SpanCriteria:
    """Which traces: those with one span that meets all of this; None is all, durations are that span's in ms.

    `service` "" is that of spans which name none. `tags` are attributes of the span, its events or its resource, or
    what Jaeger calls the span's kind, status and scope.
    """

    since: datetime
    until: datetime
    service: str | None = None
    operation: str | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as it was received."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    flags: int
    trace_state: str | None
    name: str
    kind: str
    service_name: str | None
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    status: str
    status_message: str | None
    attributes: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, Any]]
    scope_name: str | None
    scope_version: str | None
    scope: Mapping[str, Any]
    resource_id: int


@dataclass(frozen=True, slots=True)
class Call:
    """How often spans of the service `parent` had a child in the service `child`."""

    parent: str
    child: str
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace added up. `services` are `[name, spans, failed spans]`, the root is the earliest span without a parent.

    An orphan names a parent that is not here.
    """

    trace_id: str
    start_time: datetime
    end_time: datetime
    root_service: str | None
    root_name: str
    span_count: int
    error_count: int
    orphan_count: int
    services: Sequence[tuple[str | None, int, int]]


# A service that only sent logs has no traces to look for.
_SERVICES: LiteralString = """SELECT service_name AS name FROM (SELECT DISTINCT service_name FROM resources) AS known
    WHERE EXISTS (SELECT FROM spans s WHERE s.service_name = known.service_name)
    UNION SELECT '' WHERE EXISTS (SELECT FROM spans s WHERE s.service_name IS NULL)
    ORDER BY name LIMIT %(limit)s"""

# One step along the index for each name, instead of all spans of the service; an operation is of the kinds of its
# newest spans.
_OPERATIONS = sql.SQL("""WITH RECURSIVE names AS (
        (SELECT min(s.name) AS name FROM spans s WHERE {service})
        UNION ALL
        SELECT (SELECT min(s.name) FROM spans s WHERE {service} AND s.name > names.name)
        FROM names WHERE names.name IS NOT NULL)
    SELECT names.name, kinds.kind FROM names CROSS JOIN LATERAL (SELECT DISTINCT newest.kind FROM (
        SELECT s.kind FROM spans s WHERE {service} AND s.name = names.name
        ORDER BY s.start_time DESC LIMIT 20) AS newest) AS kinds
    WHERE names.name IS NOT NULL LIMIT %(limit)s""")

_TRACES = sql.SQL("""SELECT replace(s.trace_id::text, '-', '') AS trace_id FROM spans s WHERE {where}
    GROUP BY s.trace_id ORDER BY max(s.start_time) DESC LIMIT %(limit)s""")

_SPANS = bounded(
    """replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.parent_span_id, s.flags,
        s.trace_state, s.name, s.kind, s.service_name, s.start_time, s.end_time, s.duration_ms, s.status,
        s.status_message, coalesce(s.attributes, jsonb_build_object()) AS attributes,
        coalesce(s.events, jsonb_build_array()) AS events, coalesce(s.links, jsonb_build_array()) AS links,
        s.scope_name, s.scope_version, coalesce(s.scope, jsonb_build_object()) AS scope, s.resource_id""",
    """SELECT x.*, wanted.place FROM unnest(%(traces)s::uuid[]) WITH ORDINALITY AS wanted (trace_id, place)
        CROSS JOIN LATERAL (SELECT * FROM spans x WHERE x.trace_id = wanted.trace_id
            ORDER BY x.start_time, x.span_id LIMIT %(each)s) AS x
        ORDER BY wanted.place, x.start_time, x.span_id LIMIT %(limit)s""",
    "s",
    "s.place, s.start_time, s.span_id",
    size=SPAN_BYTES,
)

_LOGS = bounded(
    LOG_COLUMNS,
    """SELECT x.*, wanted.place FROM unnest(%(traces)s::uuid[]) WITH ORDINALITY AS wanted (trace_id, place)
        CROSS JOIN LATERAL (SELECT * FROM logs x WHERE x.trace_id = wanted.trace_id
            ORDER BY x.timestamp LIMIT %(each)s) AS x
        ORDER BY wanted.place, x.timestamp LIMIT %(limit)s""",
    "l",
    "l.place, l.timestamp",
    size=LOG_BYTES,
)

_RESOURCES: LiteralString = "SELECT id, attributes FROM resources WHERE id = ANY(%(ids)s)"

_SUMMARIES: LiteralString = """WITH found AS MATERIALIZED (
        SELECT trace_id, span_id, parent_span_id, service_name, name, status, start_time, end_time
        FROM spans WHERE trace_id = ANY(%(traces)s::uuid[])),
    totals AS MATERIALIZED (SELECT trace_id, min(start_time) AS start_time, count(*) AS span_count,
            max(coalesce(end_time, start_time)) AS end_time, count(*) FILTER (WHERE status = 'ERROR') AS error_count,
            (array_agg(service_name ORDER BY parent_span_id IS NOT NULL, start_time))[1] AS root_service,
            (array_agg(name ORDER BY parent_span_id IS NOT NULL, start_time))[1] AS root_name
        FROM found GROUP BY trace_id),
    services AS MATERIALIZED (SELECT trace_id,
            jsonb_agg(jsonb_build_array(service_name, spans, failed) ORDER BY service_name) AS services
        FROM (SELECT trace_id, service_name, count(*) AS spans, count(*) FILTER (WHERE status = 'ERROR') AS failed
            FROM found GROUP BY trace_id, service_name) AS each GROUP BY trace_id),
    orphans AS MATERIALIZED (SELECT c.trace_id, count(*) AS orphan_count
        FROM found c LEFT JOIN found p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE c.parent_span_id IS NOT NULL AND p.span_id IS NULL GROUP BY c.trace_id)
    SELECT replace(trace_id::text, '-', '') AS trace_id, start_time, end_time, root_service, root_name,
        span_count, error_count, coalesce(orphan_count, 0) AS orphan_count, services.services
    FROM totals JOIN services USING (trace_id) LEFT JOIN orphans USING (trace_id)"""

# The parent began before its child, but clocks differ and requests are long.
_CALLS: LiteralString = """SELECT p.service_name AS parent, c.service_name AS child, count(*) AS count
    FROM spans c JOIN spans p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
    WHERE c.start_time >= %(since)s AND c.start_time < %(until)s
        AND p.start_time >= %(since)s - interval '1 hour' AND p.start_time < %(until)s + interval '1 hour'
        AND c.service_name <> p.service_name
    GROUP BY p.service_name, c.service_name ORDER BY count(*) DESC, 1, 2 LIMIT %(limit)s"""

_COLUMNS: Mapping[str, LiteralString] = {
    "operation": "s.name = %(operation)s",
    "min_duration": "s.duration_ms >= %(min_duration)s",
    "max_duration": "s.duration_ms <= %(max_duration)s",
}
_OF_SERVICE = sql.SQL("s.service_name = %(service)s")
_WITHOUT_SERVICE = sql.SQL("(s.service_name IS NULL OR s.service_name = '')")

# What Jaeger makes tags of and our spans have columns for.
_TAG_COLUMNS: Mapping[str, LiteralString] = {
    "span.kind": "s.kind = upper({value})",
    "otel.status_code": "s.status = upper({value})",
    "otel.status_description": "s.status_message = {value}",
    "otel.scope.name": "s.scope_name = {value}",
    "otel.scope.version": "s.scope_version = {value}",
    "w3c.tracestate": "s.trace_state = {value}",
    "error": "({value} = 'true' AND s.status = 'ERROR' OR {value} = 'false' AND s.status <> 'ERROR')",
    "span.status": "s.status = upper({value})",
    "scope.name": "s.scope_name = {value}",
    "scope.version": "s.scope_version = {value}",
}
_IN_EVENTS: LiteralString = """EXISTS (SELECT FROM jsonb_array_elements(s.events) e
    WHERE e -> 'attributes' ->> {key} = {value}::text OR {key}::text = 'event' AND e ->> 'name' = {value}::text)"""

# The newest come from ever longer spans of time, so that a short answer does not cost a scan of them all.
_FIRST_WINDOW = timedelta(minutes=5)
_LONGER = 12


def services(session: Session, limit: int) -> list[str]:
    """Return the names of services that sent spans, in order; "" where spans name none."""
    return [row["name"] for row in session.dicts(_SERVICES, {"limit": limit})]


def operations(session: Session, service: str, limit: int) -> list[Operation]:
    """Return the names of the spans of a service ("": of none) and their kinds, in order of names."""
    query = _OPERATIONS.format(service=_of(service))
    return session.rows(Operation, query, {"service": service, "limit": limit})


def find_traces(session: Session, wanted: SpanCriteria, limit: int) -> list[str]:
    """Return the ids of traces, the one with the newest span that meets the criteria first."""
    arguments: dict[str, Any] = {name: getattr(wanted, name) for name in ("service", "until", *_COLUMNS)}
    conditions = list(_conditions(wanted, arguments))
    arguments["limit"] = limit
    found: list[str] = []
    for since in _beginnings(wanted):
        arguments["since"] = since
        query = _TRACES.format(where=sql.SQL(" AND ").join(conditions))
        found = [row["trace_id"] for row in session.dicts(query, arguments)]
        if len(found) == limit:
            break
    return found


def _conditions(wanted: SpanCriteria, arguments: dict[str, Any]) -> Iterator[sql.Composable]:
    yield sql.SQL("s.start_time >= %(since)s AND s.start_time < %(until)s")
    if wanted.service is not None:
        yield _of(wanted.service)
    for name, text in _COLUMNS.items():
        if arguments[name] is not None:
            yield sql.SQL(text)
    for number, (key, value) in enumerate(wanted.tags.items()):
        yield _tag(number, key, value, arguments)


def _of(service: str) -> sql.SQL:
    return _OF_SERVICE if service else _WITHOUT_SERVICE


def _tag(number: int, key: str, value: str, arguments: dict[str, Any]) -> sql.Composable:
    arguments[f"tag_{number}"], arguments[f"value_{number}"] = key, value
    names = {"key": sql.Placeholder(f"tag_{number}"), "value": sql.Placeholder(f"value_{number}")}
    attributes = [Condition(f"{place}.{key}", "=", value) for place in ("attributes", "resource")]
    parts = [*all_of(attributes, SPANS, arguments), sql.SQL(_IN_EVENTS).format(**names)]
    if key in _TAG_COLUMNS:
        parts.insert(0, sql.SQL(_TAG_COLUMNS[key]).format(**names))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def _beginnings(wanted: SpanCriteria) -> Iterator[datetime]:
    window = _FIRST_WINDOW
    while wanted.until - wanted.since > window:
        yield wanted.until - window
        window *= _LONGER
    yield wanted.since


def spans_of(session: Session, traces: Sequence[str], each: int, limit: int) -> Bounded[StoredSpan]:
    """Return spans of `traces` in the order of these and in time order, at most `each` of one and `limit` in all."""
    with session.lookups():
        return session.bounded(StoredSpan, _SPANS, {"traces": list(traces), "each": each, "limit": limit}, often=True)


def logs_of(session: Session, traces: Sequence[str], each: int, limit: int) -> list[LogRow]:
    """Return logs of `traces` in the order of these and in time order, at most `each` of one and `limit` in all."""
    wanted = {"traces": list(traces), "each": each, "limit": limit}
    with session.lookups():
        return session.bounded(LogRow, _LOGS, wanted, often=True).rows


def resources_of(session: Session, spans: Sequence[StoredSpan]) -> dict[int, Mapping[str, Any]]:
    """Return the attributes of what sent `spans`, by `resource_id`."""
    ids = sorted({span.resource_id for span in spans})
    return {row["id"]: row["attributes"] for row in session.dicts(_RESOURCES, {"ids": ids})}


def summaries(session: Session, traces: Sequence[str]) -> list[Summary]:
    """Return what is stored of `traces` added up, in the order of these."""
    found = {row.trace_id: row for row in session.rows(Summary, _SUMMARIES, {"traces": list(traces)})}
    return [found[trace_id] for trace_id in traces if trace_id in found]


def calls(session: Session, since: datetime, until: datetime, limit: int) -> list[Call]:
    """Return who called whom in spans that began in that time, the most frequent first."""
    return session.rows(Call, _CALLS, {"since": since, "until": until, "limit": limit})
