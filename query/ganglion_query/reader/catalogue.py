"""Names: services, operations, attributes."""

from collections.abc import Sequence
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

_LAST_SPANS = """SELECT w.service AS service_name, (SELECT max(s.start_time) FROM spans s
        WHERE s.service_name = w.service AND s.start_time >= %(since)s) AS start_time
    FROM unnest(%(services)s::text[]) AS w(service)"""

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


def last_spans(session: Session, services: Sequence[str], since: datetime) -> dict[str, datetime]:
    """Return when the last span of each service began, of those that have one since then."""
    rows = session.dicts(_LAST_SPANS, {"services": list(services), "since": since})
    return {row["service_name"]: row["start_time"] for row in rows if row["start_time"] is not None}


def operations(session: Session, service: str, since: datetime, limit: int) -> list[OperationRow]:
    """Return the names of spans of a service that began since then."""
    return session.rows(OperationRow, _OPERATIONS, {"service": service, "since": since, "limit": limit})


def attribute_names(session: Session, since: datetime, until: datetime, rows: int, limit: int) -> list[str]:
    """Return names of attributes, the most frequent first, by a sample of `rows` of each kind."""
    arguments = {"since": since, "until": until, "rows": rows, "limit": limit}
    return [row["key"] for row in session.dicts(_ATTRIBUTES, arguments)]
