"""What sent logs and spans: the few attributes of a resource that tell one deployment from another."""

from collections.abc import Iterable
from dataclasses import dataclass

from ganglion_query.reader.session import Session

__all__ = ["ResourceRow", "resources"]

_RESOURCES = """SELECT id, service_name, attributes ->> 'service.version' AS version,
    coalesce(attributes ->> 'deployment.environment.name', attributes ->> 'deployment.environment') AS environment,
    attributes ->> 'host.name' AS host
FROM resources WHERE id = ANY(%(ids)s)"""


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """One resource; None is what it does not say."""

    id: int
    service_name: str | None
    version: str | None
    environment: str | None
    host: str | None


def resources(session: Session, ids: Iterable[int]) -> dict[int, ResourceRow]:
    """Return resources by id."""
    rows = session.rows(ResourceRow, _RESOURCES, {"ids": sorted(set(ids))})
    return {row.id: row for row in rows}
