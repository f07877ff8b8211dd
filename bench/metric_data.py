"""Metrics as a service's SDK sends them: of ten series six counters, three gauges and a histogram, four labels each."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ganglion_collector.otlp import Signal
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

__all__ = ["BOUNDS", "LABELS", "Measured", "MetricRequests", "measured"]

Kind = Literal["counter", "gauge", "histogram"]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LABELS = ("http_route", "http_method", "http_status", "tenant")
_KINDS: Sequence[Kind] = ("counter",) * 6 + ("gauge",) * 3 + ("histogram",)
_NAMES = 20
_START = 1_700_000_000_000_000_000
_TIME_MARK = b"\x9a\xc5\xe1\x8d\xb7\xd6\xfe\xf3"


@dataclass(frozen=True, slots=True)
class Measured:
    """One series: `labels` are the values of `LABELS`."""

    kind: Kind
    name: str
    labels: tuple[str, ...]


def measured(count: int) -> Iterator[Measured]:
    """Yield `count` series, those of one metric not beside each other."""
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        name = f"bench_{kind}_{number // len(_KINDS) % _NAMES}"
        method, status = ("GET", "POST", "PUT")[number % 3], ("200", "201", "404", "500")[number % 4]
        yield Measured(kind, name, (f"/tenants/{{tenant}}/items/{number}", method, status, f"t-{number % 40:02d}"))


class MetricRequests:
    """Requests of `points` data points each, which go through `series` series over and over, each at its own time."""

    signal = Signal.METRICS

    def __init__(self, points: int, series: int) -> None:
        all_series = list(measured(series))
        self.records = points
        self._encoded = [_encoded(all_series[first : first + points]) for first in range(0, series, points)]

    def __len__(self) -> int:
        """Return how many requests go through all series once."""
        return len(self._encoded)

    def payload(self, number: int) -> bytes:
        encoded = self._encoded[number % len(self._encoded)]
        return encoded.replace(_TIME_MARK, time.time_ns().to_bytes(8, "little"))


def _encoded(series: Sequence[Measured]) -> bytes:
    request = ExportMetricsServiceRequest()
    resource = Resource(attributes=[_text("service.name", "bench"), _text("service.instance.id", "bench-0")])
    scope = request.resource_metrics.add(resource=resource).scope_metrics.add()
    scope.scope.name = "bench.metrics"
    metrics: dict[str, Metric] = {}
    for one in series:
        metric = metrics.get(one.name) or metrics.setdefault(one.name, scope.metrics.add(name=one.name))
        _add_point(metric, one)
    return request.SerializeToString()


def _add_point(metric: Metric, one: Measured) -> None:
    attributes = [_text(name, value) for name, value in zip(LABELS, one.labels, strict=True)]
    moment = int.from_bytes(_TIME_MARK, "little")
    match one.kind:
        case "counter":
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            metric.sum.data_points.add(
                attributes=attributes, start_time_unix_nano=_START, time_unix_nano=moment, as_int=4711
            )
        case "gauge":
            metric.gauge.data_points.add(attributes=attributes, time_unix_nano=moment, as_double=0.375)
        case "histogram":
            metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            counts = [*range(1, len(BOUNDS) + 1), 0]
            point = metric.histogram.data_points.add(
                attributes=attributes, start_time_unix_nano=_START, time_unix_nano=moment
            )
            point.count, point.sum = sum(counts), 12.5
            point.explicit_bounds.extend(BOUNDS)
            point.bucket_counts.extend(counts)


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
