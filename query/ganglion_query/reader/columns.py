"""What is read of a log and of a span: the columns, as the fields of `LogRow` and `SpanRow`, and common conditions."""

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import sql

__all__ = ["LOG_COLUMNS", "SPAN_COLUMNS", "where"]

LOG_COLUMNS: LiteralString = """l.timestamp, l.level, l.logger, l.message,
    replace(l.trace_id::text, '-', '') AS trace_id, l.span_id, l.parent_span_id, l.request_id,
    l.user_id, l.session_id, l.tenant_id,
    coalesce(l.context, jsonb_build_object()) AS context, coalesce(l.metrics, jsonb_build_object()) AS metrics,
    l.duration_ms, l.cost_usd, l.error, l.stack_trace, l.environment, l.version, l.host, l.service_name"""

SPAN_COLUMNS: LiteralString = """replace(s.trace_id::text, '-', '') AS trace_id,
    s.span_id, s.parent_span_id, s.name, s.kind, s.service_name,
    s.start_time, s.end_time, s.duration_ms, s.status, s.status_message,
    coalesce(s.attributes, jsonb_build_object()) AS attributes, coalesce(s.events, jsonb_build_array()) AS events,
    coalesce(s.links, jsonb_build_array()) AS links,
    s.user_id, s.session_id, s.tenant_id, s.request_id, s.scope_name, s.scope_version,
    coalesce(r.attributes, jsonb_build_object()) AS resource"""

_CONDITIONS: dict[str, LiteralString] = {
    "user": "{alias}.user_id = %(user)s",
    "tenant": "{alias}.tenant_id = %(tenant)s",
    "session": "{alias}.session_id = %(session)s",
    "request": "{alias}.request_id = %(request)s",
    "service": "{alias}.service_name = %(service)s",
    "logger": "{alias}.logger = %(logger)s",
    "trace": "{alias}.trace_id = %(trace)s::uuid",
    "levels": "{alias}.level = ANY(%(levels)s)",
    "since": "{alias}.{time} >= %(since)s",
    "until": "{alias}.{time} < %(until)s",
    "search": "log_words({alias}.message, {alias}.error, {alias}.stack_trace)"
    " @@ websearch_to_tsquery('simple', %(search)s)",
    # Up to where a page begins; LEAST passes over what is not given.
    "own_search": "({alias}.{time}, {alias}.ctid) IN (SELECT own.time, own.place FROM ganglion_own_logs(%(own_search)s,"
    " %(since)s, least(%(until)s, %(after)s::timestamptz + interval '1 microsecond')) AS own)",
}


def where(alias: str, time: str, arguments: Mapping[str, Any]) -> sql.Composed:
    """Return the conditions for those of `arguments` that are given, over the table `alias`."""
    names = {"alias": sql.Identifier(alias), "time": sql.Identifier(time)}
    given = [sql.SQL(text).format(**names) for name, text in _CONDITIONS.items() if arguments.get(name) is not None]
    return sql.SQL(" AND ").join([sql.SQL("true"), *given])
