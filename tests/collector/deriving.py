"""Batches for connectors and transforms, and what comes out of them, as plain Python values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from ganglion_collector.component import Batch, Derived, Position, Record, Signal, Source
from ganglion_collector.otlp import Request, count_items, parse_request
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SECOND = 10**9
START = 1_700_000_000 * SECOND
TRACE = bytes(range(1, 17))
SPAN = bytes(range(1, 9))


def batch_of(signal: Signal, *requests: Request, received_at: int = START) -> Batch:
    records = tuple(
        Record(place, signal, "otlp", received_at, count_items(signal, request), request.SerializeToString())
        for place, request in enumerate(requests)
    )
    return Batch(signal, records, Source(UUID(int=7), "r"), Position(), Position(len(records)))


def set_attributes(message: Any, attributes: Mapping[str, object]) -> None:
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    for key, value in attributes.items():
        setattr(message.attributes.add(key=key).value, kinds[type(value)], value)


def trace_request(
    spans: Iterable[Mapping[str, Any]], resource: Mapping[str, object] | None = None, scope: str = ""
) -> ExportTraceServiceRequest:
    """Return a request; each span as its fields, with `duration` in nanoseconds, `attributes` and `events`."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    set_attributes(group.resource, {"service.name": "shop"} if resource is None else resource)
    scope_spans = group.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = scope, "1" if scope else ""
    for given in spans:
        fields = {"name": "GET /", "kind": 2, "trace_id": TRACE, "span_id": SPAN, "duration": SECOND, **given}
        span = scope_spans.spans.add(name=fields["name"], kind=fields["kind"])
        span.trace_id, span.span_id = fields["trace_id"], fields["span_id"]
        span.start_time_unix_nano = START - 100 * SECOND
        span.end_time_unix_nano = span.start_time_unix_nano + fields["duration"]
        span.status.code = fields.get("status", 0)
        set_attributes(span, fields.get("attributes", {}))
        for event in fields.get("events", ()):
            set_attributes(span.events.add(name="exception", time_unix_nano=START), event)
    return request


def traces(*spans: Mapping[str, Any], received_at: int = START, **given: Any) -> Batch:
    return batch_of(Signal.TRACES, trace_request(spans, **given), received_at=received_at)


def metric_request(kind: str, *points: Mapping[str, Any], temporality: int, name: str = "m") -> Any:
    """Return a request of one metric; each point as fields of its message, with `attributes`."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    data: Any = getattr(metric, kind)
    data.SetInParent()
    if kind not in {"gauge", "summary"}:
        data.aggregation_temporality = temporality
    if kind == "sum":
        data.is_monotonic = True
    for given in points:
        fields = dict(given)
        attributes = fields.pop("attributes", {})
        set_attributes(data.data_points.add(**fields), attributes)
    return request


def payload_requests(found: Batch | Sequence[Derived]) -> list[Any]:
    payloads = [record.payload for record in (found.records if isinstance(found, Batch) else found)]
    return [parse_request(Signal.METRICS, payload) for payload in payloads]


def metrics_in(found: Batch | Sequence[Derived]) -> list[Any]:
    return [
        metric
        for request in payload_requests(found)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def points_in(found: Batch | Sequence[Derived], name: str = "m") -> list[Any]:
    return [
        point
        for metric in metrics_in(found)
        if metric.name == name
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def attributes_of(point: Any) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in point.attributes}
