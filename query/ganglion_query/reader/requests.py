"""Requests of a period: one row for each trace, by its root span, else by the earliest that is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from ganglion_query.reader.session import Session

__all__ = ["MODEL", "RequestRow", "count_requests", "requests"]

MODEL: LiteralString = """coalesce(s.attributes ->> 'gen_ai.request.model', s.attributes ->> 'gen_ai.response.model',
    s.attributes ->> 'llm.model_name', s.attributes ->> 'embedding.model_name')"""
"""The model that a span `s` names."""

# A trace that began before the period is known by its root, which is there.
_MARGIN = timedelta(hours=1)

# Most traces have their root here, so that the earliest span is looked for only of the others.
_REQUESTS: LiteralString = f"""WITH near AS NOT MATERIALIZED (
    SELECT * FROM spans s WHERE s.start_time >= %(margin)s AND s.start_time < %(until)s
), roots AS MATERIALIZED (
    SELECT DISTINCT ON (s.trace_id) s.trace_id, s.start_time, s.duration_ms, s.service_name, s.name, s.status,
        s.user_id, s.tenant_id, s.session_id, s.resource_id
    FROM near s WHERE s.parent_span_id IS NULL ORDER BY s.trace_id, s.start_time, s.span_id
), entries AS (
    SELECT * FROM roots UNION ALL (
        SELECT DISTINCT ON (s.trace_id) s.trace_id, s.start_time, s.duration_ms, s.service_name, s.name, s.status,
            s.user_id, s.tenant_id, s.session_id, s.resource_id
        FROM near s WHERE NOT EXISTS (SELECT FROM roots r WHERE r.trace_id = s.trace_id)
        ORDER BY s.trace_id, s.start_time, s.span_id)
), parts AS (
    SELECT s.trace_id, s.resource_id, {MODEL} AS model, max(s.user_id) AS user_id, max(s.tenant_id) AS tenant_id,
        max(s.session_id) AS session_id
    FROM near s GROUP BY 1, 2, 3
), said AS MATERIALIZED (
    SELECT p.trace_id, max(p.user_id) AS user_id, max(p.tenant_id) AS tenant_id, max(p.session_id) AS session_id,
        array_agg(p.model) FILTER (WHERE p.model IS NOT NULL) AS models, array_agg(p.resource_id) AS resource_ids
    FROM parts p GROUP BY p.trace_id
)
SELECT replace(e.trace_id::text, '-', '') AS trace_id, e.start_time, e.duration_ms, e.service_name AS service,
    e.name AS operation, e.status = 'ERROR' AS failed, coalesce(e.user_id, d.user_id) AS user_id,
    coalesce(e.tenant_id, d.tenant_id) AS tenant_id, coalesce(e.session_id, d.session_id) AS session_id,
    coalesce(d.models, ARRAY[]::text[]) AS models, e.resource_id, d.resource_ids
FROM entries e JOIN said d ON d.trace_id = e.trace_id WHERE e.start_time >= %(since)s
ORDER BY e.start_time DESC LIMIT %(limit)s"""  # noqa: S608

_COUNT = """SELECT count(DISTINCT s.trace_id) AS requests FROM spans s
    WHERE s.start_time >= %(since)s AND s.start_time < %(until)s"""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One trace; time, duration (ms), service, operation, outcome and `resource_id` are those of its entry span.

    `models` and `resource_ids` are of all its spans, and may name one twice.
    """

    trace_id: str
    start_time: datetime
    duration_ms: float | None
    service: str | None
    operation: str
    failed: bool
    user_id: str | None
    tenant_id: str | None
    session_id: str | None
    models: Sequence[str]
    resource_id: int
    resource_ids: Sequence[int]


def requests(session: Session, since: datetime, until: datetime, limit: int) -> list[RequestRow]:
    """Return at most `limit` requests that began in the period, the newest first."""
    arguments = {"margin": since - _MARGIN, "since": since, "until": until, "limit": limit}
    return session.rows(RequestRow, _REQUESTS, arguments)


def count_requests(session: Session, since: datetime, until: datetime) -> int:
    """Return how many traces have a span that began in the period."""
    (row,) = session.dicts(_COUNT, {"since": since, "until": until})
    return int(row["requests"])
