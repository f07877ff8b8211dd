"""The remembered series as data points."""

from collections.abc import Iterator

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar as ExemplarMessage,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
)

from ganglion_collector.attributes import Attributes, key_values
from ganglion_collector.connectors._output import Family, Kind
from ganglion_collector.connectors.span_metrics.config import SpanMetricsConfig
from ganglion_collector.connectors.span_metrics.series import Durations, Exemplar, Exponential, State, Sum
from ganglion_collector.metric_values import write_point

__all__ = ["families"]


def families(state: State, config: SpanMetricsConfig, now: int) -> Iterator[Family]:
    """Yield calls, durations and events of each resource, as they stand at `now`."""
    prefix = f"{config.namespace}." if config.namespace else ""
    histogram: Kind = "histogram" if config.histogram.exponential is None else "exponential_histogram"
    for resource in state.resources.values():
        yield Family(resource.message, f"{prefix}calls", "", "", "sum", _sums(resource.calls, now))
        if resource.durations:
            points = _durations(resource.durations, config, now)
            yield Family(resource.message, f"{prefix}duration", "", config.histogram.unit, histogram, points)
        if resource.events:
            yield Family(resource.message, f"{prefix}events", "", "", "sum", _sums(resource.events, now))


def _sums(table: dict[Attributes, Sum], now: int) -> Iterator[NumberDataPoint]:
    for attributes, series in table.items():
        yield NumberDataPoint(
            attributes=key_values(attributes),
            start_time_unix_nano=series.start,
            # A clock that was set back must not make an interval that ends before it begins.
            time_unix_nano=max(now, series.start),
            as_int=series.count,
            exemplars=[] if series.exemplar is None else [_exemplar(series.exemplar, 1.0)],
        )


def _durations(
    table: dict[Attributes, Durations], config: SpanMetricsConfig, now: int
) -> Iterator[HistogramDataPoint | ExponentialHistogramDataPoint]:
    bounds, most = config.histogram.bounds, config.exemplars.max_per_data_point
    for attributes, series in table.items():
        kind = ExponentialHistogramDataPoint if isinstance(series, Exponential) else HistogramDataPoint
        slowest = sorted(series.exemplars)[-most:]
        point = kind(
            attributes=key_values(attributes),
            start_time_unix_nano=series.start,
            time_unix_nano=max(now, series.start),
            exemplars=[_exemplar(series.exemplars[bucket], series.exemplars[bucket].value) for bucket in slowest],
        )
        write_point(series.value(bounds), point)
        if isinstance(series, Exponential):
            point.min, point.max = series.low, series.high
        yield point


def _exemplar(exemplar: Exemplar, value: float) -> ExemplarMessage:
    return ExemplarMessage(
        time_unix_nano=exemplar.time, as_double=value, trace_id=exemplar.trace_id, span_id=exemplar.span_id
    )
