"""Why are there errors now: errors of one cause together, since when, whose, and where they begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.period import Period

__all__ = ["ErrorGroup", "ErrorGroups", "Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """A value that is more frequent among these errors than among all requests; shares from 0 to 1."""

    attribute: str
    value: str
    among_errors: float
    among_all: float


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one type and message, numbers and ids left out.

    `origin`: service and operation in which the first error of a trace in causal order arose, most often. `before`
    counts the same time before the period.
    """

    fingerprint: str
    error: str
    origin: str | None
    count: int
    before: int
    trend: Literal["new", "rising", "steady", "falling"]
    first_seen: datetime
    last_seen: datetime
    requests: int
    users: int
    services: Mapping[str, int]
    common: Sequence[Share]
    trace_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class ErrorGroups:
    """The groups by descending count; `verdict` says in a sentence why there are errors now."""

    period: Period
    verdict: str
    requests: int
    errors: int
    groups: Sequence[ErrorGroup]
    truncated: bool
