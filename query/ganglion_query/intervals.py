"""95 % confidence intervals: of a share, a mean and a quantile. Pure."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

__all__ = ["Interval", "mean_interval", "quantile", "quantile_interval", "share_interval", "t_quantile"]

Interval = tuple[float, float]

_Z = NormalDist().inv_cdf(0.975)
# Above this the normal distribution of ranks is as good as the binomial one.
_EXACT = 1000


def share_interval(successes: int, count: int) -> Interval | None:
    """Return Wilson's interval (1927) of a share, None of nothing."""
    if count == 0:
        return None
    share = successes / count
    centre = share + _Z**2 / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    low = (centre - half) / scale if successes else 0.0
    high = (centre + half) / scale if successes < count else 1.0
    return low, high


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return Student's interval of a mean, None of fewer than two values."""
    if len(values) < 2:
        return None
    mean = fmean(values)
    half = t_quantile(0.975, len(values) - 1) * stdev(values, mean) / math.sqrt(len(values))
    return mean - half, mean + half


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of values in ascending order, linear between two of them, as `percentile_cont` does."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def quantile_interval(ordered: Sequence[float], share: float) -> Interval | None:
    """Return the interval of a quantile between two of the values in ascending order, None where there are too few.

    How many of n values lie below the quantile is binomial whatever their distribution is (David and Nagaraja, Order
    Statistics, 7.1), so each side leaves out at most 2.5 %.
    """
    count = len(ordered)
    if count > _EXACT:
        spread = _Z * math.sqrt(count * share * (1 - share))
        low, high = math.floor(count * share - spread), math.ceil(count * share + spread)
    else:
        low, high = _ranks(count, share)
    return (ordered[low], ordered[high]) if low >= 0 and high < count else None


def _ranks(count: int, share: float) -> tuple[int, int]:
    """Return the places of the values that bound the quantile, counted from 0; out of range where none does."""
    low, high, below = -1, count, 0.0
    for successes in range(count):
        if below <= 0.025:
            low = successes - 1
        below += _binomial(successes, count, share)
        if below >= 0.975:
            high = successes
            break
    return low, high


def _binomial(successes: int, count: int, share: float) -> float:
    ways = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    return math.exp(ways + successes * math.log(share) + (count - successes) * math.log1p(-share))


def t_quantile(share: float, freedom: float) -> float:
    """Return a quantile of Student's t distribution, above 2 degrees of freedom within 1 % for 95 % intervals.

    By the expansion around the normal distribution of Fisher and Cornish (1960), exactly for 1 and 2.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (power + 1) for power, term in enumerate(terms))
