"""One span, and the trace around it as far as its place in the tree needs it: without what the other spans hold."""

from ganglion_query.model import LogRow, SpanRow
from ganglion_query.reader.bounds import LOG_BYTES, bounded
from ganglion_query.reader.columns import LOG_COLUMNS
from ganglion_query.reader.session import Session

__all__ = ["span_logs", "spans_around"]

_SPANS = """SELECT replace(s.trace_id::text, '-', '') AS trace_id,
        s.span_id, s.parent_span_id, s.name, s.kind, s.service_name,
        s.start_time, s.end_time, s.duration_ms, s.status, s.status_message,
        coalesce(CASE WHEN s.span_id = %(span_id)s THEN s.attributes END, jsonb_build_object()) AS attributes,
        coalesce(CASE WHEN s.span_id = %(span_id)s THEN s.events END, jsonb_build_array()) AS events,
        coalesce(CASE WHEN s.span_id = %(span_id)s THEN s.links END, jsonb_build_array()) AS links,
        s.user_id, s.session_id, s.tenant_id, s.request_id, s.scope_name, s.scope_version,
        coalesce(CASE WHEN s.span_id = %(span_id)s THEN r.attributes
            ELSE jsonb_build_object('host.name', r.attributes -> 'host.name') END, jsonb_build_object()) AS resource
    FROM spans s LEFT JOIN resources r ON r.id = s.resource_id
    WHERE s.trace_id = %(trace_id)s::uuid ORDER BY s.span_id <> %(span_id)s, s.start_time, s.span_id LIMIT %(limit)s"""

_LOGS = bounded(
    LOG_COLUMNS,
    """SELECT * FROM logs l WHERE l.trace_id = %(trace_id)s::uuid AND l.span_id = %(span_id)s
        ORDER BY l.timestamp LIMIT %(limit)s""",
    "l",
    "l.timestamp",
    size=LOG_BYTES,
)


def spans_around(session: Session, trace_id: str, span_id: str, limit: int) -> list[SpanRow]:
    """Return at most `limit` spans of a trace in time order: the one named, with its contents, and the earliest."""
    session.about(trace_id)
    found = session.rows(SpanRow, _SPANS, {"trace_id": trace_id, "span_id": span_id, "limit": limit})
    return sorted(found, key=lambda span: (span.start_time, span.span_id))


def span_logs(session: Session, trace_id: str, span_id: str, limit: int) -> list[LogRow]:
    """Return at most `limit` logs of a span, as far as they fit, the earliest first."""
    session.about(trace_id)
    return session.bounded(LogRow, _LOGS, {"trace_id": trace_id, "span_id": span_id, "limit": limit}).rows
