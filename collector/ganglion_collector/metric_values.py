"""What a metric's data point holds, free of its wire format, and the arithmetic of delta and cumulative values."""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Buckets", "ExponentialHistogram", "Histogram", "Summary", "Value"]


@dataclass(slots=True)
class Histogram:
    """Explicit bounds: `counts` are those of each bucket alone, one more than `bounds`; the last is the overflow."""

    count: int
    sum: float | None
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(slots=True)
class Buckets:
    """Consecutive exponential buckets: `counts[i]` is that of (base ** (offset + i), base ** (offset + i + 1)]."""

    offset: int
    counts: tuple[int, ...]


@dataclass(slots=True)
class ExponentialHistogram:
    """Base 2 ** (2 ** -scale); `zero_count` counts values whose size is at most `zero_threshold`."""

    count: int
    sum: float | None
    scale: int
    zero_threshold: float
    zero_count: int
    positive: Buckets
    negative: Buckets


@dataclass(slots=True)
class Summary:
    """Quantiles as their sender computed them: pairs of quantile (0 to 1) and value."""

    count: int
    sum: float
    quantiles: tuple[tuple[float, float], ...]


Value: TypeAlias = float | Histogram | ExponentialHistogram | Summary
"""A number is that of a gauge or a sum."""
