"""Histograms as cumulative buckets with fixed upper bounds, exponential ones too.

An exponential histogram has other buckets as its range grows. A bucket that comes or goes between two scrapes would
break `rate()`, so its conversion has bounds that depend on the metric's unit alone: powers of two, or of four where the
unit says nothing of the range. These are bounds of the exponential buckets themselves, so no count is guessed. A bucket
that reaches across a bound (scales below 0) and the zero bucket are counted at the first bound that is not below their
own; what is below the first bound, negative values too, is in the first bucket.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import inf, isnan

from ganglion_collector.metric_values import ExponentialHistogram, Histogram

from ganglion_exporters._prometheus.model import Exemplar

__all__ = ["Classic", "bound_texts", "by_bucket", "classic", "fixed_bounds"]

_EXPONENTS: dict[str, range] = {
    "seconds": range(-17, 14),
    "milliseconds": range(-7, 24),
    "bytes": range(3, 41),
}
_ANY = range(-20, 41, 2)


@dataclass(frozen=True, slots=True)
class Classic:
    """`counts` are cumulative, one for each of `bounds`; `count`, that of +Inf, is not among them."""

    bounds: tuple[float, ...]
    counts: Sequence[int]
    count: int
    sum: float | None


def fixed_bounds(unit: str) -> tuple[float, ...]:
    """Return the upper bounds, ascending, that every exponential histogram of this unit is shown with."""
    return tuple(2.0**exponent for exponent in _EXPONENTS.get(unit, _ANY))


def classic(value: Histogram | ExponentialHistogram, unit: str) -> Classic:
    """Return `value` by its own bounds, or by those of `unit` where it is exponential."""
    if isinstance(value, Histogram):
        return Classic(value.bounds, list(accumulate(value.counts[:-1])), value.count, value.sum)
    return Classic(_bounds(unit), _cumulative(value, _EXPONENTS.get(unit, _ANY)), value.count, value.sum)


_bounds = lru_cache(maxsize=64)(fixed_bounds)


def _cumulative(value: ExponentialHistogram, exponents: range) -> list[int]:
    offset, counts, scale = value.positive.offset, value.positive.counts, value.scale
    totals = [0, *accumulate(counts)]
    below = sum(value.negative.counts)
    result: list[int] = []
    for exponent in exponents:
        # The first bucket that ends above 2 ** exponent.
        end = exponent << scale if scale >= 0 else exponent >> -scale
        zero = value.zero_count if value.zero_threshold <= 2.0**exponent else 0
        result.append(below + zero + totals[min(max(end - offset, 0), len(counts))])
    return result


@lru_cache(maxsize=1024)
def bound_texts(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Return bounds, +Inf after them, as all of Prometheus' formats have them once they are read (`1.0`, `1e+06`)."""
    return tuple(bound_text(bound) for bound in (*bounds, inf))


def bound_text(bound: float) -> str:
    """Return a bound or a quantile in the canonical form of OpenMetrics, "Considerations: Canonical Numbers"."""
    if bound in {inf, -inf} or isnan(bound):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(bound), "NaN")
    text = repr(bound)
    if abs(bound) < 1e6 or "e" in text:
        return text
    digits = text.removesuffix(".0").lstrip("-")
    whole, _, fraction = digits.partition(".")
    mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0").rstrip(".")
    return f"{'-' if bound < 0 else ''}{mantissa}e+{len(whole) - 1:02d}"


def by_bucket(bounds: tuple[float, ...], exemplars: Iterable[Exemplar]) -> dict[int, Exemplar]:
    """Return the latest exemplar of each bucket by its place; that of +Inf follows the bounds."""
    found: dict[int, Exemplar] = {}
    for exemplar in exemplars:
        if isnan(exemplar.value):
            continue
        place = bisect_left(bounds, exemplar.value)
        if place not in found or found[place].time <= exemplar.time:
            found[place] = exemplar
    return found
