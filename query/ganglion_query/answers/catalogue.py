"""What there is to ask about: services, their operations, names of attributes."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["OperationInfo", "ServiceInfo"]


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A service that sent something; `versions` the newest first, `last_seen` of its newest span of the last days."""

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
