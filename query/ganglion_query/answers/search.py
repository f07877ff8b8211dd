"""Which requests were there: traces by service, operation, user, duration, outcome, attributes or words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ganglion_query.answers.period import Period
from ganglion_query.model import Condition, Spent

__all__ = ["TraceFilter", "TracePage", "TraceSummary"]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces; None is all. Durations in milliseconds, of the whole request unless `operation` is given."""

    period: Period
    service: str | None = None
    operation: str | None = None
    layer: str | None = None
    user: str | None = None
    tenant: str | None = None
    session: str | None = None
    status: Literal["ok", "error"] | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    conditions: Sequence[Condition] = ()
    order: Literal["newest", "slowest"] = "newest"


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace of a list, as far as it is stored.

    `services`: how many spans each has; `root_*` are of its root span, else of the earliest that is here.
    """

    trace_id: str
    start_time: datetime
    duration_ms: float
    root_service: str | None
    root_name: str | None
    status: str
    span_count: int
    error_count: int
    log_count: int
    services: Mapping[str, int] = field(default_factory=dict[str, int])
    user_id: str | None = None
    tenant_id: str | None = None
    cost: Spent | None = None
    total_tokens: int | None = None
    first_error: str | None = None


@dataclass(frozen=True, slots=True)
class TracePage:
    """A page of a list; `next` is the cursor of the following one, None at the end."""

    items: Sequence[TraceSummary]
    next: str | None
