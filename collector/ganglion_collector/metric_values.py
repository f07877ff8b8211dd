"""What a metric's data point holds, free of its wire format, and the arithmetic of delta and cumulative values."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, frexp, inf, isnan, ldexp, log2
from sys import float_info
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

__all__ = [
    "MAX_BUCKETS",
    "MAX_SCALE",
    "Buckets",
    "ExponentialHistogram",
    "Histogram",
    "Summary",
    "Value",
    "add",
    "bucket_index",
    "downscale",
    "fit",
    "of_point",
    "subtract",
    "widen_zero",
    "write_point",
]

MAX_BUCKETS = 160
"""Most buckets on each side of zero, as the OpenTelemetry SDKs have it."""


class Histogram(msgspec.Struct, array_like=True, tag="h"):
    """Explicit bounds: `counts` are those of each bucket alone, one more than `bounds`; the last is the overflow."""

    count: int
    sum: float | None
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


class Buckets(msgspec.Struct, array_like=True):
    """Consecutive exponential buckets: `counts[i]` is that of (base ** (offset + i), base ** (offset + i + 1)]."""

    offset: int
    counts: tuple[int, ...]


class ExponentialHistogram(msgspec.Struct, array_like=True, tag="e"):
    """Base 2 ** (2 ** -scale); `zero_count` counts values whose size is at most `zero_threshold`."""

    count: int
    sum: float | None
    scale: int
    zero_threshold: float
    zero_count: int
    positive: Buckets
    negative: Buckets


class Summary(msgspec.Struct, array_like=True, tag="s"):
    """Quantiles as their sender computed them: pairs of quantile (0 to 1) and value."""

    count: int
    sum: float
    quantiles: tuple[tuple[float, float], ...]


Value: TypeAlias = int | float | Histogram | ExponentialHistogram | Summary
"""A number is that of a gauge or a sum; what was sent as an integer stays one. msgspec encodes and decodes any."""

_INTEGERS = range(-(2**63), 2**63)
MAX_SCALE = 20
"""The finest scale, as the OpenTelemetry SDKs have it."""
_MIN_SCALE = -10


def of_point(kind: str, point: Any) -> Value:
    """Read an OTLP data point; `kind` is the name of its metric's `data` field, such as `exponential_histogram`.

    Where the buckets of a histogram do not add up to its count, the buckets are believed.

    Raises:
        ValueError: the point contradicts itself or counts more than 63 bits hold, so that nothing can be made of it.
    """
    match kind:
        case "gauge" | "sum":
            number: int | float = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
            return number
        case "histogram":
            return _histogram(point)
        case "exponential_histogram":
            return _exponential_histogram(point)
        case "summary":
            pairs = tuple((quantile.quantile, quantile.value) for quantile in point.quantile_values)
            return Summary(point.count, point.sum, pairs)
        case _:
            raise ValueError(f"{kind} is no kind of metric")


def _sum(point: Any) -> float | None:
    return point.sum if point.HasField("sum") else None


def _histogram(point: Any) -> Histogram:
    bounds = tuple(point.explicit_bounds)
    counts = tuple(point.bucket_counts) or (point.count,)
    if sum(counts) not in _INTEGERS:
        raise ValueError("the counts of a histogram are together more than 64 bits hold")
    if len(counts) == 1:
        return Histogram(counts[0], _sum(point), (), counts)
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"a histogram of {len(counts)} buckets has {len(bounds)} bounds")
    if not all(low < high for low, high in pairwise(bounds)) or isnan(bounds[0]):
        raise ValueError("the bounds of a histogram do not ascend")
    if bounds[-1] == inf:
        bounds, counts = bounds[:-1], (*counts[:-2], counts[-2] + counts[-1])
    return Histogram(sum(counts), _sum(point), bounds, counts)


def _exponential_histogram(point: Any) -> ExponentialHistogram:
    if not 0 <= point.zero_threshold < inf:
        raise ValueError("the zero threshold of an exponential histogram is not a size")
    if point.scale < _MIN_SCALE:
        raise ValueError(f"at scale {point.scale} a bucket of an exponential histogram holds more than all numbers")
    positive = _trimmed(point.positive.offset, point.positive.bucket_counts)
    negative = _trimmed(point.negative.offset, point.negative.bucket_counts)
    count = point.zero_count + sum(positive.counts) + sum(negative.counts)
    if count not in _INTEGERS:
        raise ValueError("the counts of an exponential histogram are together more than 64 bits hold")
    value = ExponentialHistogram(
        count, _sum(point), point.scale, point.zero_threshold, point.zero_count, positive, negative
    )
    return downscale(value, min(point.scale, MAX_SCALE))


def _trimmed(offset: int, counts: Sequence[int]) -> Buckets:
    """Return the buckets without empty ones at either end; none at all begin at 0."""
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return Buckets(0, ())
    first, last = filled[0], filled[-1]
    return Buckets(offset + first, tuple(counts[first : last + 1]))


def write_point(value: Value, point: Any) -> None:
    """Make an OTLP data point hold `value`; its attributes, times, flags, exemplars, minimum and maximum stay.

    `point` is of the message type that `value` belongs to. An integer past 64 bits becomes a double.
    """
    match value:
        case Histogram():
            _write_totals(value, point)
            point.explicit_bounds[:] = value.bounds
            point.bucket_counts[:] = value.counts
        case ExponentialHistogram():
            _write_totals(value, point)
            point.scale, point.zero_threshold, point.zero_count = value.scale, value.zero_threshold, value.zero_count
            for buckets, message in ((value.positive, point.positive), (value.negative, point.negative)):
                message.offset = buckets.offset
                message.bucket_counts[:] = buckets.counts
        case Summary():
            point.count, point.sum = value.count, value.sum
            del point.quantile_values[:]
            for quantile, size in value.quantiles:
                point.quantile_values.add(quantile=quantile, value=size)
        case int() if value in _INTEGERS:
            point.as_int = value
        case _:
            point.as_double = float(value)


def _write_totals(value: Histogram | ExponentialHistogram, point: Any) -> None:
    point.count = value.count
    point.ClearField("sum")
    if value.sum is not None:
        point.sum = value.sum


def add(total: Value, delta: Value, max_buckets: int = MAX_BUCKETS) -> Value | None:
    """Return the sum of both; None where they do not fit (kinds or bounds differ, or summaries): begin anew then.

    Exponential histograms are brought to one scale and zero threshold, and on to a scale at which `max_buckets` hold
    each side (metrics data model, "Exponential Histograms"). Past 64 bits an integer becomes a double, and the counts
    of histograms do not fit.
    """
    match total, delta:
        case ((int() | float()), (int() | float())):
            result = total + delta
            return float(result) if isinstance(result, int) and result not in _INTEGERS else result
        case Histogram() | ExponentialHistogram(), Histogram() | ExponentialHistogram() if (
            total.count + delta.count not in _INTEGERS
        ):
            return None
        case Histogram(), Histogram() if total.bounds == delta.bounds:
            counts = tuple(map(int.__add__, total.counts, delta.counts))
            return Histogram(total.count + delta.count, _plus(total.sum, delta.sum), total.bounds, counts)
        case ExponentialHistogram(), ExponentialHistogram():
            return _merge(total, delta, max_buckets)
        case _:
            return None


def _plus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left + right


def subtract(later: Value, earlier: Value) -> Value | None:
    """Return what was added between two cumulative values that only grow; None where something began anew."""
    match later, earlier:
        case Histogram(), Histogram() if later.bounds == earlier.bounds:
            counts = _minus(later.counts, earlier.counts)
            if counts is None:
                return None
            return Histogram(sum(counts), _less(later.sum, earlier.sum), later.bounds, counts)
        case ExponentialHistogram(), ExponentialHistogram():
            return _difference(later, earlier)
        case ((int() | float()), (int() | float())):
            return later - earlier if later >= earlier else None
        case _:
            return None


def _less(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


def _minus(later: Sequence[int], earlier: Sequence[int]) -> tuple[int, ...] | None:
    counts = tuple(map(int.__sub__, later, earlier))
    return None if any(count < 0 for count in counts) else counts


def downscale(value: ExponentialHistogram, scale: int) -> ExponentialHistogram:
    """Return `value` at `scale`, which is not above its own: exact, since 2 ** n buckets become one."""
    shift = value.scale - scale
    if not shift:
        return value
    return replace(
        value, scale=scale, positive=_shifted(value.positive, shift), negative=_shifted(value.negative, shift)
    )


def _shifted(buckets: Buckets, shift: int) -> Buckets:
    if not buckets.counts:
        return buckets
    offset = buckets.offset >> shift
    counts = [0] * (((buckets.offset + len(buckets.counts) - 1) >> shift) - offset + 1)
    for index, count in enumerate(buckets.counts, buckets.offset):
        counts[(index >> shift) - offset] += count
    return Buckets(offset, tuple(counts))


def fit(value: ExponentialHistogram, max_buckets: int = MAX_BUCKETS) -> ExponentialHistogram:
    """Return `value` at the finest scale, not above its own, at which each side has at most `max_buckets`."""
    shift = max(_needed_shift([value.positive], max_buckets), _needed_shift([value.negative], max_buckets))
    return downscale(value, value.scale - shift)


def _needed_shift(parts: Sequence[Buckets], max_buckets: int) -> int:
    filled = [part for part in parts if part.counts]
    if not filled:
        return 0
    low = min(part.offset for part in filled)
    high = max(part.offset + len(part.counts) - 1 for part in filled)
    shift = 0
    # -1 and 0 never meet: two buckets are the fewest that can be asked for.
    while (high >> shift) - (low >> shift) >= max(max_buckets, 2):
        shift += 1
    return shift


def widen_zero(value: ExponentialHistogram, threshold: float) -> ExponentialHistogram:
    """Return `value` with at least this zero threshold; what it covers moves to the zero bucket.

    A threshold inside a bucket that holds something is raised to the bucket's end (metrics data model, "Zero Count and
    Zero Threshold").
    """
    if threshold <= value.zero_threshold:
        return value
    covered = bucket_index(threshold, value.scale)
    for buckets in (value.positive, value.negative):
        place = covered - buckets.offset
        if 0 <= place < len(buckets.counts) and buckets.counts[place]:
            threshold = max(threshold, _upper_bound(covered, value.scale))
    # The bucket of the threshold itself is covered whole: it is empty, or the threshold is its end by now.
    below = covered + 1
    moved = sum(sum(side.counts[: max(0, below - side.offset)]) for side in (value.positive, value.negative))
    return replace(
        value,
        zero_threshold=threshold,
        zero_count=value.zero_count + moved,
        positive=_above(value.positive, below),
        negative=_above(value.negative, below),
    )


def _above(buckets: Buckets, first: int) -> Buckets:
    cut = max(0, first - buckets.offset)
    return _trimmed(buckets.offset + cut, buckets.counts[cut:])


def bucket_index(size: float, scale: int) -> int:
    """Return the index of the exponential bucket that holds `size`, which is above 0.

    Subnormal sizes are in the bucket of the smallest normal one (metrics data model, "Exponential Buckets"): they are
    so coarse that at fine scales a hundred thousand buckets hold the same one.
    """
    fraction, exponent = frexp(max(size, float_info.min))
    if scale <= 0:
        return (exponent - 1 - (fraction == 0.5)) >> -scale
    if fraction == 0.5:
        return ((exponent - 1) << scale) - 1
    index = ceil(ldexp(log2(size), scale)) - 1
    # The logarithm is not exact: at a border the bound decides.
    while _upper_bound(index - 1, scale) >= size:
        index -= 1
    while _upper_bound(index, scale) < size:
        index += 1
    return index


def _upper_bound(index: int, scale: int) -> float:
    exponent = (index + 1) / 2**scale if scale > 0 else (index + 1) << -scale
    return 2.0**exponent if exponent < 1024 else float_info.max


def _merge(left: ExponentialHistogram, right: ExponentialHistogram, max_buckets: int) -> ExponentialHistogram:
    left, right = _aligned(left, right)
    shift = max(
        _needed_shift([left.positive, right.positive], max_buckets),
        _needed_shift([left.negative, right.negative], max_buckets),
    )
    left, right = downscale(left, left.scale - shift), downscale(right, right.scale - shift)
    return ExponentialHistogram(
        left.count + right.count,
        _plus(left.sum, right.sum),
        left.scale,
        left.zero_threshold,
        left.zero_count + right.zero_count,
        _combined(left.positive, right.positive, int.__add__),
        _combined(left.negative, right.negative, int.__add__),
    )


def _aligned(
    left: ExponentialHistogram, right: ExponentialHistogram
) -> tuple[ExponentialHistogram, ExponentialHistogram]:
    """Return both at one scale and one zero threshold."""
    scale = min(left.scale, right.scale)
    left, right = downscale(left, scale), downscale(right, scale)
    threshold = max(left.zero_threshold, right.zero_threshold)
    # Twice: what the second has in the threshold's bucket raises it for the first as well.
    threshold = max(widen_zero(left, threshold).zero_threshold, widen_zero(right, threshold).zero_threshold)
    return widen_zero(left, threshold), widen_zero(right, threshold)


def _combined(left: Buckets, right: Buckets, operation: Callable[[int, int], int]) -> Buckets:
    if not right.counts:
        return left
    low = min(left.offset, right.offset) if left.counts else right.offset
    high = max(left.offset + len(left.counts) if left.counts else low, right.offset + len(right.counts))
    counts = [0] * (high - low)
    for buckets, change in ((left, int.__add__), (right, operation)):
        for place, count in enumerate(buckets.counts, buckets.offset - low):
            counts[place] = change(counts[place], count)
    return _trimmed(low, counts)


def _difference(later: ExponentialHistogram, earlier: ExponentialHistogram) -> ExponentialHistogram | None:
    """Subtract; a scale only falls and a zero threshold only grows unless the sender began anew."""
    if later.scale > earlier.scale or later.zero_threshold < earlier.zero_threshold:
        return None
    earlier = widen_zero(downscale(earlier, later.scale), later.zero_threshold)
    if earlier.zero_threshold > later.zero_threshold or earlier.zero_count > later.zero_count:
        return None
    if not (_covers(later.positive, earlier.positive) and _covers(later.negative, earlier.negative)):
        return None
    return replace(
        later,
        count=later.count - earlier.count,
        sum=_less(later.sum, earlier.sum),
        zero_count=later.zero_count - earlier.zero_count,
        positive=_combined(later.positive, earlier.positive, int.__sub__),
        negative=_combined(later.negative, earlier.negative, int.__sub__),
    )


def _covers(later: Buckets, earlier: Buckets) -> bool:
    """Whether no bucket of `earlier` holds more than the same one of `later`."""
    start = earlier.offset - later.offset
    if earlier.counts and (start < 0 or start + len(earlier.counts) > len(later.counts)):
        return False
    here = later.counts[start : start + len(earlier.counts)]
    return all(count <= limit for count, limit in zip(earlier.counts, here, strict=True))
