"""Requests of every signal for tests."""

from ganglion_collector.component import Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = bytes(range(1, 17))
SPAN = bytes(range(1, 9))


def spans(*ids: tuple[bytes, bytes]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    for trace_id, span_id in ids or ((TRACE, SPAN),):
        span = scope.spans.add(trace_id=trace_id, span_id=span_id, name="GET /", kind="SPAN_KIND_SERVER")
        span.start_time_unix_nano = 1_700_000_000_000_000_000
        span.end_time_unix_nano = 1_700_000_000_250_000_000
        span.attributes.add(key="http.route").value.string_value = "/"
    return request


def logs(count: int = 1, body: str = "hello") -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add()
    for _ in range(count):
        record = scope.log_records.add(time_unix_nano=1_700_000_000_000_000_000, severity_text="INFO")
        record.body.string_value = body
        record.trace_id = TRACE
        record.span_id = SPAN
    return request


def metrics(points: int = 1) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="queue.length", unit="1")
    for value in range(points):
        metric.gauge.data_points.add(time_unix_nano=1_700_000_000_000_000_000, as_int=value)
    return request


PAYLOADS = {
    Signal.TRACES: spans().SerializeToString(),
    Signal.METRICS: metrics().SerializeToString(),
    Signal.LOGS: logs().SerializeToString(),
}
