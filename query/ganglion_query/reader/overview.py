"""Rate, errors and latency of a period: over time, by service and by layer, in one pass over its spans."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.reader.session import Session

__all__ = ["FlowRow", "flows"]

# A request comes in at a root: a span without a parent, or a server's whose caller is not here. A service is asked at
# each of its entries (SERVER, CONSUMER, root). Only entries and layers are kept, which are the few of all spans.
_KEPT = sql.SQL("""WITH kept AS MATERIALIZED (
    SELECT s.start_time, s.duration_ms, s.status = 'ERROR' AS failed, s.service_name,
        s.attributes ->> 'rag.layer' AS layer,
        s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER') AS is_entry,
        s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER') AND NOT EXISTS (
            SELECT FROM spans p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
                AND p.start_time > s.start_time - interval '1 hour'
                AND p.start_time < s.start_time + interval '1 minute') AS is_root
    FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
        AND (s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER') OR s.attributes ? 'rag.layer') {service}
), counted AS (SELECT * FROM kept WHERE {counted})""")
_FIGURES: LiteralString = """count(*) AS requests, count(*) FILTER (WHERE failed) AS errors,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms) AS quantiles"""
_FLOWS = sql.SQL(f"""{{kept}}
    SELECT CASE WHEN grouping(time) = 0 THEN 'time' ELSE 'all' END AS kind, NULL AS name, time, {_FIGURES}
        FROM (SELECT date_bin(%(step)s, start_time, 'epoch') AS time, failed, duration_ms FROM counted) AS c
        GROUP BY GROUPING SETS ((time), ())
    UNION ALL SELECT 'service', service_name, NULL, {_FIGURES} FROM kept
        WHERE is_entry AND service_name IS NOT NULL GROUP BY service_name
    UNION ALL SELECT 'layer', layer, NULL, {_FIGURES} FROM kept WHERE layer IS NOT NULL GROUP BY layer""")  # noqa: S608
_OF_SERVICE = sql.SQL("AND s.service_name = %(service)s")
_NOTHING = sql.SQL("")


@dataclass(frozen=True, slots=True)
class FlowRow:
    """Requests of one step of time (`kind` time), service or layer, or of all; `quantiles` p50, p95, p99 in ms."""

    kind: str
    name: str | None
    time: datetime | None
    requests: int
    errors: int
    quantiles: Sequence[float | None] | None


def flows(
    session: Session, since: datetime, until: datetime, step: timedelta, service: str | None, layer: str | None
) -> list[FlowRow]:
    """Return the figures of a period; over time those of requests, of a service's entries or of a layer."""
    arguments: dict[str, Any] = {"since": since, "until": until, "step": step, "service": service, "layer": layer}
    kept = _KEPT.format(service=_NOTHING if service is None else _OF_SERVICE, counted=_counted(service, layer))
    return session.rows(FlowRow, _FLOWS.format(kept=kept), arguments)


def _counted(service: str | None, layer: str | None) -> sql.SQL:
    if layer is not None:
        return sql.SQL("layer = %(layer)s")
    return sql.SQL("is_root" if service is None else "is_entry")
