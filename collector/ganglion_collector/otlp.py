"""OTLP requests as protobuf messages: parse, count, slice.

An *item* is a span, a log record or a metric data point. The items of a request are numbered from 0 in wire order:
resource by resource, scope by scope, for metrics also metric by metric.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ganglion_collector.errors import InvalidRequestError

__all__ = [
    "Request",
    "Response",
    "Signal",
    "count_items",
    "drop_empty",
    "entry_lists",
    "item_lists",
    "parse_request",
    "request_type",
    "response_type",
    "slice_items",
]


class Signal(StrEnum):
    """A kind of telemetry, by its name in a configuration."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def items(self) -> str:
        """What the Collector's own metrics call the items: `spans`, `metric_points`, `log_records`."""
        return _ITEMS[self]


_ITEMS = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}

Request: TypeAlias = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
Response: TypeAlias = ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse

_REQUESTS: dict[Signal, type[Request]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_RESPONSES: dict[Signal, type[Response]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}


# The repeated fields on the way to the items: in the request, in a resource, in a scope.
_FIELDS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def request_type(signal: Signal) -> type[Request]:
    return _REQUESTS[signal]


def response_type(signal: Signal) -> type[Response]:
    return _RESPONSES[signal]


def parse_request(signal: Signal, payload: bytes) -> Request:
    """Parse an `Export<Signal>ServiceRequest`; raise InvalidRequestError if it is not one."""
    try:
        return _REQUESTS[signal].FromString(payload)
    except DecodeError as error:
        raise InvalidRequestError(f"not a protobuf {_REQUESTS[signal].__name__}: {error}") from None


def entry_lists(signal: Signal, request: Request) -> Iterator[Any]:
    """Yield the repeated field of spans, metrics or log records of each scope, in wire order."""
    resources, scopes, entries = _FIELDS[signal]
    for resource in getattr(request, resources):
        for scope in getattr(resource, scopes):
            yield getattr(scope, entries)


def item_lists(signal: Signal, request: Request) -> Iterator[Any]:
    """Yield every repeated field that holds items, in wire order; deleting from it changes `request`."""
    if signal is not Signal.METRICS:
        yield from entry_lists(signal, request)
        return
    for metrics in entry_lists(signal, request):
        yield from map(_data_points, metrics)


def _data_points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return [] if kind is None else getattr(metric, kind).data_points


def count_items(signal: Signal, request: Request) -> int:
    return sum(map(len, item_lists(signal, request)))


def slice_items(signal: Signal, payload: bytes, start: int, stop: int) -> bytes:
    """Return `payload` with only its items `start` to `stop` (exclusive); emptied envelopes are dropped.

    Resources and scopes stay with their items.
    """
    request = parse_request(signal, payload)
    offset = 0
    for items in item_lists(signal, request):
        count = len(items)
        del items[max(0, stop - offset) :]
        del items[: max(0, start - offset)]
        offset += count
    drop_empty(signal, request)
    return request.SerializeToString()


def drop_empty(signal: Signal, request: Request) -> None:
    """Remove scopes, resources and metrics that hold no item."""
    resources, scopes, items = _FIELDS[signal]
    for resource in getattr(request, resources):
        for scope in getattr(resource, scopes):
            if signal is Signal.METRICS:
                _keep(scope.metrics, _data_points)
        _keep(getattr(resource, scopes), attrgetter(items))
    _keep(getattr(request, resources), attrgetter(scopes))


def _keep(messages: Any, children: Callable[[Any], Any]) -> None:
    for index in reversed(range(len(messages))):
        if not children(messages[index]):
            del messages[index]
