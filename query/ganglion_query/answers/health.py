"""Is the system healthy: the collector's parts, what arrives, and services against their day before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Health", "Part", "ServiceHealth"]

State = Literal["healthy", "degraded", "failing", "unknown"]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is well or not: a process, a component, the database, arrival of telemetry."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The last 15 minutes of a service against the day before. Milliseconds, shares from 0 to 1."""

    service: str
    state: State
    reason: str
    requests: int
    error_rate: float
    usual_error_rate: float | None
    p95_ms: float | None
    usual_p95_ms: float | None
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """`state` is the worst of all; `verdict` says it in a sentence."""

    state: State
    verdict: str
    checked_at: datetime
    parts: Sequence[Part]
    services: Sequence[ServiceHealth]
