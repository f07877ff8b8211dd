"""How many standard errors two observations are apart: counts, shares, means. Pure.

Negative where the second is less. Shares and counts by transforms of stable variance (Anscombe 1948), which hold for
small numbers too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

__all__ = ["CERTAIN", "Sample", "counts_apart", "dispersion", "log_ratio", "means_apart", "normal_of_t", "shares_apart"]

CERTAIN = 3.3
"""By chance once in a thousand comparisons."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Values by their number, mean and variance (that of a sample: divided by one less than the number)."""

    count: int
    mean: float
    variance: float


def counts_apart(before: int, after: int, dispersion: float = 1.0) -> float:
    """Compare two counts of equally long times; `dispersion` is 1 where they vary by chance alone (Poisson)."""
    return math.sqrt(2 / dispersion) * (math.sqrt(after + 0.375) - math.sqrt(before + 0.375))


def shares_apart(before: int, of_before: int, after: int, of_after: int) -> float:
    """Compare `before` of `of_before` with `after` of `of_after`."""
    if not of_before or not of_after:
        return 0.0
    spread = math.sqrt(1 / (of_before + 0.5) + 1 / (of_after + 0.5))
    return 2 * (_angle(after, of_after) - _angle(before, of_before)) / spread


def _angle(successes: int, count: int) -> float:
    return math.asin(math.sqrt((successes + 0.375) / (count + 0.75)))


def means_apart(before: Sample, after: Sample) -> float:
    """Compare two means by Welch's t, as the z that is as unlikely."""
    if before.count < 2 or after.count < 2:
        return 0.0
    left, right = before.variance / before.count, after.variance / after.count
    difference = after.mean - before.mean
    if left + right <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    freedom = (left + right) ** 2 / (left**2 / (before.count - 1) + right**2 / (after.count - 1))
    return normal_of_t(difference / math.sqrt(left + right), freedom)


def normal_of_t(t: float, freedom: float) -> float:
    """Return the z of the normal distribution that is as unlikely as `t` (Wallace 1959)."""
    size = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t**2 / freedom))
    return math.copysign(size, t)


def dispersion(*series: Sequence[int]) -> float:
    """Return how much more than by chance counts vary within each series: variance over mean, at least 1."""
    parts = [(len(one) - 1, variance(one) / fmean(one)) for one in series if len(one) > 1 and sum(one) > 0]
    freedom = sum(weight for weight, _ in parts)
    return max(1.0, sum(weight * part for weight, part in parts) / freedom) if freedom else 1.0


def log_ratio(before: float, after: float) -> float:
    """Return the size of an effect on counts: the absolute natural logarithm of their ratio, 0.5 added to each."""
    return abs(math.log((after + 0.5) / (before + 0.5)))
