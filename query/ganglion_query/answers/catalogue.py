"""What there is to ask about: services, their operations, names of attributes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader
from ganglion_query.reader import catalogue as rows
from ganglion_query.reader.catalogue import ResourceRow

__all__ = ["OperationInfo", "ServiceInfo", "attribute_names", "operations", "services"]

_RECENT = timedelta(days=7)
_MOST_OPERATIONS = 1000
_MOST_PAIRS = 5000
_SAMPLE = 2000
_MOST_NAMES = 500


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A service that sent something; `versions` the newest first, `last_seen`: its newest span of the last 7 days."""

    name: str
    versions: tuple[str, ...]
    environments: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """A name of spans of a service, and their kind (SERVER, INTERNAL …)."""

    name: str
    kind: str


def services(reader: Reader) -> Sequence[ServiceInfo]:
    """Return every service by name; to a tenant those alone that sent spans of it in the last 7 days."""
    since = datetime.now(UTC) - _RECENT
    with reader.session() as session:
        found = sorted(rows.resources(session), key=lambda row: row.service_name)
        last = rows.last_spans(session, since, _MOST_PAIRS)
    shown = [_service(name, list(own), last.get(name)) for name, own in groupby(found, lambda row: row.service_name)]
    return shown if reader.scope.tenants is None else [one for one in shown if one.last_seen is not None]


def operations(reader: Reader, service: str) -> Sequence[OperationInfo]:
    """Return the names of the spans of a service in the last 7 days, at most 1000; empty for an unknown service."""
    with reader.session() as session:
        found = rows.operations(session, service, datetime.now(UTC) - _RECENT, _MOST_OPERATIONS)
    return [OperationInfo(row.name, row.kind) for row in found]


def attribute_names(reader: Reader, period: Period) -> Sequence[str]:
    """Return names of attributes of spans, logs and resources, the most frequent of a sample first, at most 500."""
    with reader.session() as session:
        return rows.attribute_names(session, period.since, period.until, _SAMPLE, _MOST_NAMES)


def _service(name: str, own: Sequence[ResourceRow], last_seen: datetime | None) -> ServiceInfo:
    newest = sorted(own, key=lambda row: row.first_seen, reverse=True)
    first_seen = min(row.first_seen for row in own)
    return ServiceInfo(
        name,
        _different(row.version for row in newest),
        _different(row.environment for row in newest),
        first_seen,
        last_seen,
    )


def _different(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
