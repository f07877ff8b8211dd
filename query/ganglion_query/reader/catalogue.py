"""Names: services, operations, attributes."""

from dataclasses import dataclass
from datetime import datetime

from ganglion_query.reader.session import Session

__all__ = ["OperationRow", "ResourceRow", "attribute_names", "last_spans", "operations", "resources"]


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """Who sent something."""

    service_name: str
    version: str | None
    environment: str | None
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A name of spans, and their kind."""

    name: str
    kind: str


_RESOURCES = """SELECT service_name, attributes ->> 'service.version' AS version,
        coalesce(attributes ->> 'deployment.environment.name', attributes ->> 'deployment.environment') AS environment,
        min(first_seen) AS first_seen
    FROM resources WHERE service_name IS NOT NULL GROUP BY 1, 2, 3 ORDER BY min(first_seen) DESC LIMIT 10000"""

# One look into the index for each name, instead of one for each span.
_OPERATIONS = """WITH RECURSIVE names AS (
        (SELECT name FROM spans WHERE service_name = %(service)s AND start_time >= %(since)s ORDER BY name LIMIT 1)
        UNION ALL
        SELECT (SELECT s.name FROM spans s WHERE s.service_name = %(service)s AND s.start_time >= %(since)s
            AND s.name > n.name ORDER BY s.name LIMIT 1) FROM names n WHERE n.name IS NOT NULL)
    SELECT n.name, (SELECT s.kind FROM spans s WHERE s.service_name = %(service)s AND s.name = n.name
        AND s.start_time >= %(since)s LIMIT 1) AS kind
    FROM names n WHERE n.name IS NOT NULL LIMIT %(limit)s"""

# The same over all services: a busy one costs no more than a quiet one.
_LAST_SPANS = """WITH RECURSIVE pairs AS (
        (SELECT s.service_name, s.name FROM spans s WHERE s.start_time >= %(since)s AND s.service_name IS NOT NULL
            ORDER BY s.service_name, s.name LIMIT 1)
        UNION ALL
        SELECT following.service_name, following.name FROM pairs p CROSS JOIN LATERAL (
            SELECT s.service_name, s.name FROM spans s WHERE s.start_time >= %(since)s
                AND (s.service_name, s.name) > (p.service_name, p.name)
            ORDER BY s.service_name, s.name LIMIT 1) AS following)
    SELECT p.service_name, max(newest.start_time) AS start_time
    FROM (SELECT * FROM pairs LIMIT %(limit)s) AS p CROSS JOIN LATERAL (
        SELECT s.start_time FROM spans s WHERE s.service_name = p.service_name AND s.name = p.name
            AND s.start_time >= %(since)s ORDER BY s.start_time DESC LIMIT 1) AS newest
    GROUP BY p.service_name"""

_ATTRIBUTES = """SELECT key FROM (
        SELECT jsonb_object_keys(attributes) AS key FROM (SELECT attributes FROM spans
            WHERE start_time >= %(since)s AND start_time < %(until)s AND attributes IS NOT NULL LIMIT %(rows)s) AS s
        UNION ALL SELECT jsonb_object_keys(context) FROM (SELECT context FROM logs
            WHERE timestamp >= %(since)s AND timestamp < %(until)s AND context IS NOT NULL LIMIT %(rows)s) AS c
        UNION ALL SELECT jsonb_object_keys(metrics) FROM (SELECT metrics FROM logs
            WHERE timestamp >= %(since)s AND timestamp < %(until)s AND metrics IS NOT NULL LIMIT %(rows)s) AS m
        UNION ALL SELECT jsonb_object_keys(attributes) FROM (SELECT attributes FROM resources LIMIT %(rows)s) AS r
    ) AS keys GROUP BY key ORDER BY count(*) DESC, key LIMIT %(limit)s"""


def resources(session: Session) -> list[ResourceRow]:
    """Return every service with its versions and environments, the newest first."""
    return session.rows(ResourceRow, _RESOURCES, {})


def last_spans(session: Session, since: datetime, limit: int) -> dict[str, datetime]:
    """Return when the last span of each service began since then, by the first `limit` names of operations."""
    rows = session.dicts(_LAST_SPANS, {"since": since, "limit": limit})
    return {row["service_name"]: row["start_time"] for row in rows}


def operations(session: Session, service: str, since: datetime, limit: int) -> list[OperationRow]:
    """Return the names of spans of a service that began since then."""
    return session.rows(OperationRow, _OPERATIONS, {"service": service, "since": since, "limit": limit})


def attribute_names(session: Session, since: datetime, until: datetime, rows: int, limit: int) -> list[str]:
    """Return names of attributes, the most frequent first, by a sample of `rows` of each kind."""
    arguments = {"since": since, "until": until, "rows": rows, "limit": limit}
    return [row["key"] for row in session.dicts(_ATTRIBUTES, arguments)]
