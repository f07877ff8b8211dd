"""One difference between two equal windows of time, and what it is found in."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ganglion_query.failures import Failure
from ganglion_query.reader.changes import MessageRow, OperationRow, SenderRow, StepRow

__all__ = ["Change", "Evidence", "Key"]

Key = tuple[str, str]
"""A service, and the name of what it has."""


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
class Evidence:
    """What was counted before `at` and after it.

    `requests` are the traces in both windows; `known` what the day before both had, by kind, of services in question.
    """

    at: datetime
    requests: tuple[int, int]
    operations: Sequence[OperationRow]
    steps: Sequence[StepRow] = ()
    senders: Sequence[SenderRow] = ()
    messages: Sequence[MessageRow] = ()
    failures: Sequence[Failure] = ()
    known: Mapping[str, AbstractSet[Key]] = field(default_factory=dict[str, AbstractSet[Key]])
