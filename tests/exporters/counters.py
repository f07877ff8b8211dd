"""OTLP requests of a counter, as a service would send them."""

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

__all__ = ["CUMULATIVE", "DELTA", "NOW", "SPAN_ID", "TRACE_ID", "S", "request"]

S = 10**9
NOW = 1_700_000_000 * S
DELTA, CUMULATIVE = 1, 2
TRACE_ID, SPAN_ID = b"\x01" * 16, b"\x02" * 8


def request(
    *values: float, temporality: int = CUMULATIVE, at: int = 0, now: int = NOW, **labels: str
) -> ExportMetricsServiceRequest:
    """Return the counter `calls` with a point for each value, `user` numbered, each with an exemplar.

    A point is of `at` seconds after `now`; a delta is of one second, a cumulative value since a second before `now`.
    """
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    for key, text in (("service.name", "web"), ("service.instance.id", "1"), ("host.name", "h")):
        resource.resource.attributes.add(key=key).value.string_value = text
    metric: Any = resource.scope_metrics.add().metrics.add(name="calls")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = temporality
    for number, value in enumerate(values):
        start = now + (at - 1) * S if temporality == DELTA else now - S
        point = metric.sum.data_points.add(as_double=value, start_time_unix_nano=start, time_unix_nano=now + at * S)
        for key, text in {"user": str(number), **labels}.items():
            point.attributes.add(key=key).value.string_value = text
        exemplar = point.exemplars.add(as_double=1, time_unix_nano=now, trace_id=TRACE_ID, span_id=SPAN_ID)
        exemplar.filtered_attributes.add(key="k").value.string_value = "v"
    return made
