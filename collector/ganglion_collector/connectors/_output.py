"""Derived metrics as OTLP requests of a size that a receiver takes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, ScopeMetrics

from ganglion_collector.component import Derived, Signal

__all__ = ["Family", "Kind", "derive"]

Kind: TypeAlias = Literal["sum", "histogram", "exponential_histogram"]
_REQUEST_BYTES = 1024 * 1024


class Family(NamedTuple):
    """The data points of one metric of one resource; `resource` is a serialized `Resource`."""

    resource: bytes
    name: str
    description: str
    unit: str
    kind: Kind
    points: Iterable[Any]


def derive(families: Iterable[Family], scope: str, temporality: AggregationTemporality.ValueType) -> Sequence[Derived]:
    """Return requests with all points of `families`, in order; sums are monotonic.

    A request holds about a mebibyte, or a single larger point.
    """
    return list(_Writer(scope, temporality).requests(families))


class _Writer:
    def __init__(self, scope: str, temporality: AggregationTemporality.ValueType) -> None:
        self._scope = scope
        self._temporality = temporality
        self._request = ExportMetricsServiceRequest()
        self._points = 0
        self._bytes = 0

    def requests(self, families: Iterable[Family]) -> Iterator[Derived]:
        for family in families:
            points: Any = None
            for point in family.points:
                size = point.ByteSize()
                if self._points and self._bytes + size > _REQUEST_BYTES:
                    yield self._take()
                    points = None
                if points is None:
                    points = self._open(family)
                points.append(point)
                self._points += 1
                self._bytes += size
        if self._points:
            yield self._take()

    def _take(self) -> Derived:
        derived = Derived(Signal.METRICS, self._points, self._request.SerializeToString())
        self._request = ExportMetricsServiceRequest()
        self._points = self._bytes = 0
        return derived

    def _open(self, family: Family) -> Any:
        metric = self._scope_of(family.resource).metrics.add(
            name=family.name, description=family.description, unit=family.unit
        )
        self._bytes += len(family.name) + len(family.description)
        data = getattr(metric, family.kind)
        data.aggregation_temporality = self._temporality
        if family.kind == "sum":
            data.is_monotonic = True
        return data.data_points

    def _scope_of(self, resource: bytes) -> ScopeMetrics:
        """Return the open scope when it is that of `resource`, else begin one."""
        listed = self._request.resource_metrics
        if listed and listed[-1].resource.SerializeToString() == resource:
            return listed[-1].scope_metrics[0]
        self._bytes += len(resource)
        opened = listed.add()
        opened.resource.ParseFromString(resource)
        scope = opened.scope_metrics.add()
        scope.scope.name = self._scope
        return scope
