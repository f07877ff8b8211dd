"""What is usual: how the same operations, and the same requests as a whole, went in the day before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ganglion_query.model import SpanRow

__all__ = ["LEAST", "NOTHING_KNOWN", "Baseline", "Occurrence", "Operation", "Past", "Usual", "operation_of"]

Operation: TypeAlias = tuple[str, str]
"""Service and name of a span."""

LEAST = 5
"""With fewer to compare with, nothing is called unusual."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the same operation of the same service went in the day before; milliseconds.

    `count` is how many were looked at: a sample spread over the day where there are more.
    """

    count: int
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Occurrence:
    """In which share of the usual requests an operation is, how often in the median of these, and at most."""

    share: float
    times: float
    most: int


@dataclass(frozen=True, slots=True)
class Usual:
    """A sample of successful requests of the same kind; milliseconds from the first start to the last end.

    `traces` are their ids; `messages`: in which share of them there is a log of this template.
    """

    traces: Sequence[str] = ()
    p50_ms: float = 0
    p95_ms: float = 0
    operations: Mapping[Operation, Occurrence] = field(default_factory=dict[Operation, Occurrence])
    messages: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def requests(self) -> int:
        return len(self.traces)


@dataclass(frozen=True, slots=True)
class Past:
    baselines: Mapping[Operation, Baseline]
    usual: Usual

    def of(self, span: SpanRow) -> Baseline | None:
        """Return what is usual for `span`, None where too few are known."""
        found = self.baselines.get(operation_of(span))
        return found if found is not None and found.count >= LEAST else None


NOTHING_KNOWN = Past({}, Usual())


def operation_of(span: SpanRow) -> Operation:
    return span.service_name or "", span.name or ""
