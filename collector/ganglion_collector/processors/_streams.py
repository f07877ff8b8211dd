"""Streams of data points across batches: who a point belongs to, and requests rewritten point by point."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from math import isfinite
from typing import Any, Protocol

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, Metric, ResourceMetrics, ScopeMetrics

from ganglion_collector.attributes import canonical
from ganglion_collector.component import Batch, Record, Signal
from ganglion_collector.errors import InvalidRequestError
from ganglion_collector.metric_values import Value, of_point
from ganglion_collector.otlp import count_items, drop_empty, parse_request
from ganglion_collector.telemetry import count_dropped

__all__ = ["Conversion", "RefusedPointError", "has_no_value", "rewrite", "value_of"]


class RefusedPointError(Exception):
    """This data point is left out; the text is the reason that is counted."""


class Conversion(Protocol):
    """What is done to the points of some metrics."""

    component_type: str

    def wants(self, metric: Metric) -> bool:
        """Whether the points of `metric` are to be converted."""
        ...

    def convert(self, stream: bytes, kind: str, point: Any, received_at: int) -> None:
        """Change `point`, one of the stream with this identity; raise RefusedPointError to leave it out."""
        ...

    def finish(self, metric: Metric) -> None:
        """Change what `metric` says of all its points."""
        ...


def rewrite(batch: Batch, conversion: Conversion) -> Batch:
    """Return `batch` with every wanted point converted; what needs no change keeps its very bytes."""
    records = (_rewrite_record(record, conversion) for record in batch.records)
    return replace(batch, records=tuple(record for record in records if record is not None))


def _rewrite_record(record: Record, conversion: Conversion) -> Record | None:
    try:
        request: Any = parse_request(Signal.METRICS, record.payload)
    except InvalidRequestError:
        return record
    wanted = [(metric, prefix) for metric, prefix in _wanted(request, conversion)]
    if not wanted:
        return record
    for metric, prefix in wanted:
        _rewrite_metric(metric, prefix, conversion, record.received_at)
    drop_empty(Signal.METRICS, request)
    count = count_items(Signal.METRICS, request)
    return replace(record, payload=request.SerializeToString(), item_count=count) if count else None


def _wanted(request: Any, conversion: Conversion) -> Iterator[tuple[Metric, bytes]]:
    for resource in request.resource_metrics:
        owner = None
        for scope in resource.scope_metrics:
            scope_owner = None
            for metric in scope.metrics:
                if not conversion.wants(metric):
                    continue
                owner = owner or _resource_identity(resource)
                scope_owner = scope_owner or owner + _scope_identity(scope)
                yield metric, scope_owner + _metric_identity(metric)


def _resource_identity(resource: ResourceMetrics) -> bytes:
    return msgspec.msgpack.encode((canonical(resource.resource.attributes), resource.schema_url))


def _scope_identity(scope: ScopeMetrics) -> bytes:
    found = scope.scope
    return msgspec.msgpack.encode((found.name, found.version, canonical(found.attributes), scope.schema_url))


def _metric_identity(metric: Metric) -> bytes:
    kind = metric.WhichOneof("data")
    return msgspec.msgpack.encode((metric.name, metric.unit, kind, kind == "sum" and metric.sum.is_monotonic))


def _rewrite_metric(metric: Metric, prefix: bytes, conversion: Conversion, received_at: int) -> None:
    kind = metric.WhichOneof("data") or ""
    points = getattr(metric, kind).data_points
    refused: list[int] = []
    for index, point in enumerate(points):
        stream = blake2b(prefix + canonical(point.attributes), digest_size=16).digest()
        try:
            conversion.convert(stream, kind, point, received_at)
        except RefusedPointError as error:
            refused.append(index)
            count_dropped(conversion.component_type, Signal.METRICS, 1, str(error))
    for index in reversed(refused):
        del points[index]
    conversion.finish(metric)


def has_no_value(point: Any) -> bool:
    """Whether the point says that its stream has ended."""
    return bool(point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)


def value_of(kind: str, point: Any) -> Value:
    """Read a point that can be calculated with; raise RefusedPointError for any other."""
    try:
        value = of_point(kind, point)
    except ValueError:
        raise RefusedPointError("invalid") from None
    if isinstance(value, float) and not isfinite(value):
        raise RefusedPointError("not_a_number")
    return value
