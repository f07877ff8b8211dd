"""OTLP data points as values that Prometheus can take.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", sections "Sums",
"Histograms", "Exponential Histograms" and "Summaries" (OTLP to Prometheus).
"""

from functools import lru_cache
from math import isnan

from ganglion_collector.metric_values import Buckets, ExponentialHistogram, Histogram, Summary, downscale, of_point
from msgspec.structs import replace
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

__all__ = ["InvalidPointError", "counter", "exponential_histogram", "gauge", "histogram", "summary"]

_LOWEST_SCALE, _HIGHEST_SCALE = -4, 8
_USUAL_LENGTH = 200
_ZERO_THRESHOLD = 1e-128
_EXPONENTS = range(-1075, 1025)


class InvalidPointError(ValueError):
    """A data point that Prometheus cannot take; the text is the reason under which it is counted."""


def gauge(point: NumberDataPoint) -> int | float:
    """Return the number of a gauge, whatever it is (NaN and infinities too)."""
    match point.WhichOneof("value"):
        case "as_double":
            return point.as_double
        case "as_int":
            return point.as_int
        case _:
            raise InvalidPointError("no_value")


def counter(point: NumberDataPoint) -> int | float:
    """Return the number of a monotonic sum; below zero and NaN are none."""
    value = gauge(point)
    if value >= 0:
        return value
    raise InvalidPointError("not_a_count")


def histogram(point: HistogramDataPoint) -> Histogram:
    """Return an explicit histogram: bounds ascend and end below +Inf, and its count is that of its buckets."""
    try:
        value = of_point("histogram", point)
    except ValueError:
        raise InvalidPointError("invalid_buckets") from None
    assert isinstance(value, Histogram)
    if len(value.bounds) <= _USUAL_LENGTH:
        value.bounds = _shared(value.bounds)
    return value


@lru_cache(maxsize=256)
def _shared(bounds: tuple[float, ...]) -> tuple[float, ...]:
    # One object for all series of a histogram: without it bounds are most of a series' memory.
    return bounds


def exponential_histogram(point: ExponentialHistogramDataPoint) -> ExponentialHistogram:
    """Return a histogram of a scale that native histograms have (-4 to 8); a finer one is made coarser.

    Buckets of values that no double can be are refused: a hostile offset would make what they are added to huge.
    """
    if not point.HasField("sum"):
        raise InvalidPointError("no_sum")
    if point.scale < _LOWEST_SCALE:
        raise InvalidPointError("scale_too_low")
    try:
        value = of_point("exponential_histogram", point)
    except ValueError:
        raise InvalidPointError("invalid_buckets") from None
    assert isinstance(value, ExponentialHistogram)
    value = downscale(value, min(value.scale, _HIGHEST_SCALE))
    if not (_is_possible(value.positive, value.scale) and _is_possible(value.negative, value.scale)):
        raise InvalidPointError("invalid_buckets")
    # Observations of NaN are counted, and are in no bucket.
    count = max(value.count, point.count) if isnan(point.sum) else value.count
    return replace(value, count=count, zero_threshold=value.zero_threshold or _ZERO_THRESHOLD)


def _is_possible(buckets: Buckets, scale: int) -> bool:
    """Tell whether all bounds lie within the powers of two that a double has."""
    last = buckets.offset + len(buckets.counts) - 1
    ends = (buckets.offset, max(last, buckets.offset))
    return all((index >> scale if scale >= 0 else index << -scale) in _EXPONENTS for index in ends)


def summary(point: SummaryDataPoint) -> Summary:
    """Return a summary with quantiles from 0 to 1 in ascending order, the last of equal ones."""
    quantiles = {entry.quantile: entry.value for entry in point.quantile_values}
    if not all(0 <= quantile <= 1 for quantile in quantiles):
        raise InvalidPointError("invalid_quantiles")
    return Summary(point.count, point.sum, tuple(sorted(quantiles.items())))
