"""Figures of groups of requests, each with how sure it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ganglion_query.intervals import Interval, mean_interval, quantile, quantile_interval, share_interval

__all__ = ["Estimate", "ValueGroup", "mean_of", "quantile_of", "share_of"]


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

    Latency is that of requests that did not fail. `first_seen` and `last_seen` (ISO 8601) let a person see a change
    over time. `trace_id` is the slowest of them.
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


def quantile_of(ordered: Sequence[float], share: float) -> Estimate | None:
    """Estimate a quantile of values in ascending order; None of none."""
    return _estimate(ordered, lambda: quantile(ordered, share), quantile_interval(ordered, share))


def mean_of(values: Sequence[float], within: Interval) -> Estimate | None:
    """Estimate a mean of values that lie `within` bounds, and so does their mean; None of no values."""
    found = mean_interval(values)
    return _estimate(values, lambda: fmean(values), found and (max(within[0], found[0]), min(within[1], found[1])))


def share_of(successes: int, count: int) -> Estimate:
    low, high = share_interval(successes, count) or (None, None)
    return Estimate(successes / count if count else 0.0, low, high, count)


def _estimate(values: Sequence[float], figure: Callable[[], float], interval: Interval | None) -> Estimate | None:
    if not values:
        return None
    low, high = interval or (None, None)
    return Estimate(figure(), low, high, len(values))
