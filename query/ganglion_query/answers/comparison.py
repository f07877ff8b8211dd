"""Does a setting matter: latency, error rate, cost and quality of requests by the value of an attribute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganglion_query.answers.period import Period

__all__ = ["Comparison", "Estimate", "ValueGroup"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % confidence interval, which is None where there are too few to say."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class ValueGroup:
    """The requests whose attribute has this value. Latency in ms, cost in US dollars of a request, scores by name.

    `first_seen` ISO order of values lets a person see a change over time. `trace_id` is the slowest of them.
    """

    value: str
    requests: int
    p50_ms: Estimate | None
    p95_ms: Estimate | None
    error_rate: Estimate
    cost_usd: Estimate | None
    scores: Mapping[str, Estimate]
    first_seen: str
    last_seen: str
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """By value; numbers in their order, else by descending requests. `verdict` says in a sentence what differs.

    `without` counts requests of the period that do not have the attribute, `others` values beyond the limit.
    """

    attribute: str
    period: Period
    verdict: str
    groups: Sequence[ValueGroup]
    without: int
    others: int
    truncated: bool
