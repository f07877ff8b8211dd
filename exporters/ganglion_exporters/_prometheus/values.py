"""OTLP data points as values that Prometheus can take.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", sections "Sums",
"Histograms", "Exponential Histograms" and "Summaries" (OTLP to Prometheus).
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isnan

from ganglion_collector.metric_values import Buckets, ExponentialHistogram, Histogram, Summary
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

__all__ = ["InvalidPointError", "counter", "exponential_histogram", "gauge", "histogram", "summary"]

_SCALES = range(-4, 9)
_ZERO_THRESHOLD = 1e-128
_EXPONENTS = range(-1075, 1025)


class InvalidPointError(ValueError):
    """A data point that Prometheus cannot take; the text is the reason under which it is counted."""


def gauge(point: NumberDataPoint) -> float:
    """Return the number of a gauge, whatever it is (NaN and infinities too)."""
    match point.WhichOneof("value"):
        case "as_double":
            return point.as_double
        case "as_int":
            return float(point.as_int)
        case _:
            raise InvalidPointError("no_value")


def counter(point: NumberDataPoint) -> float:
    """Return the number of a monotonic sum; below zero and NaN are none."""
    value = gauge(point)
    if value >= 0:
        return value
    raise InvalidPointError("not_a_count")


def histogram(point: HistogramDataPoint) -> Histogram:
    """Return an explicit histogram: bounds ascend and end below +Inf, and its count is that of its buckets."""
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    total = point.sum if point.HasField("sum") else None
    if not counts and not bounds:
        return Histogram(point.count, total, (), (point.count,))
    if bounds and bounds[-1] == inf and len(counts) > 1:
        bounds, counts = bounds[:-1], (*counts[:-2], counts[-2] + counts[-1])
    if len(counts) != len(bounds) + 1 or not _ascend(bounds):
        raise InvalidPointError("invalid_buckets")
    return Histogram(sum(counts), total, bounds, counts)


def _ascend(bounds: Sequence[float]) -> bool:
    # A comparison with NaN is false, so that NaN is refused too.
    return all(low < high for low, high in pairwise((*bounds, inf)))


def exponential_histogram(point: ExponentialHistogramDataPoint) -> ExponentialHistogram:
    """Return a histogram of a scale that native histograms have (-4 to 8); a finer one is made coarser."""
    if not point.HasField("sum"):
        raise InvalidPointError("no_sum")
    if point.scale < _SCALES.start:
        raise InvalidPointError("scale_too_low")
    shift = max(0, point.scale - _SCALES[-1])
    scale = point.scale - shift
    positive = _buckets(point.positive.offset, point.positive.bucket_counts, shift, scale)
    negative = _buckets(point.negative.offset, point.negative.bucket_counts, shift, scale)
    count = point.zero_count + sum(positive.counts) + sum(negative.counts)
    if isnan(point.sum):
        # Observations of NaN are counted and are in no bucket.
        count = max(count, point.count)
    threshold = point.zero_threshold or _ZERO_THRESHOLD
    return ExponentialHistogram(count, point.sum, scale, threshold, point.zero_count, positive, negative)


def _buckets(offset: int, counts: Sequence[int], shift: int, scale: int) -> Buckets:
    """Return buckets merged 2 ** shift to one, without empty ones at the ends.

    Raises InvalidPointError where values would be beyond what a double holds; so a hostile offset cannot make what is
    added to it huge.
    """
    used = [index for index, count in enumerate(counts) if count]
    if not used:
        return Buckets(0, ())
    first, last = (offset + used[0]) >> shift, (offset + used[-1]) >> shift
    if not (_exponent(first, scale) in _EXPONENTS and _exponent(last, scale) in _EXPONENTS):
        raise InvalidPointError("invalid_buckets")
    merged = [0] * (last - first + 1)
    for index in used:
        merged[((offset + index) >> shift) - first] += counts[index]
    return Buckets(first, tuple(merged))


def _exponent(index: int, scale: int) -> int:
    """Return the power of two at or below a bucket's lower bound."""
    return index >> scale if scale >= 0 else index << -scale


def summary(point: SummaryDataPoint) -> Summary:
    """Return a summary with quantiles from 0 to 1 in ascending order, the last of equal ones."""
    quantiles = {entry.quantile: entry.value for entry in point.quantile_values}
    if not all(0 <= quantile <= 1 for quantile in quantiles):
        raise InvalidPointError("invalid_quantiles")
    return Summary(point.count, point.sum, tuple(sorted(quantiles.items())))
