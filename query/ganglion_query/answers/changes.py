"""What changed at a time: services, versions, models, errors, latency, volume, before it and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.period import Period

__all__ = ["Change", "Changes"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    `before` and `after` are counts, or milliseconds for latency, or shares from 0 to 1 for error rates, as `unit` says.
    `effect` is the absolute natural logarithm of their ratio (0.5 added to counts); `z` how
    many standard errors apart they are. `trace_id` is an example of after, else of before.
    """

    kind: Literal["service", "version", "model", "error", "error_rate", "latency", "volume", "log"]
    subject: str
    summary: str
    unit: Literal["count", "ms", "share"]
    before: float
    after: float
    effect: float
    z: float
    first_seen: datetime | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes from the largest effect on."""

    at: datetime
    before: Period
    after: Period
    requests_before: int
    requests_after: int
    changes: Sequence[Change]
