"""Counts spans, span events, metrics, data points and log records, all or those that meet conditions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA, NumberDataPoint
from pydantic import Field, model_validator

from ganglion_collector.attributes import Attributes, Plain, canonical, key_values, plain
from ganglion_collector.component import Batch, Config, ConnectorFactory, Derived, Signal
from ganglion_collector.conditions import Condition, Scene, compile_condition
from ganglion_collector.connectors._output import Family, derive
from ganglion_collector.errors import InvalidRequestError, PermanentError
from ganglion_collector.saved_state import read_state, write_state

__all__ = ["CountConfig", "CountConnector", "factory"]

_SCOPE = "otelcol/countconnector"
_VERSION = 1
_FLUSH_INTERVAL = 1.0


class AttributeConfig(Config):
    """An attribute that tells counts apart."""

    key: str = Field(min_length=1)
    """Looked up in the item, then in its scope, then in its resource."""
    default_value: str | bool | int | float | None = None
    """Taken where none has it; without a default such an item is not counted."""


class MetricConfig(Config):
    """One count."""

    description: str = ""
    """Description of the metric."""
    conditions: list[str] = Field(default=[])
    """Count what meets any of these; all where there is none."""
    attributes: list[AttributeConfig] = Field(default=[])
    """Count separately for each set of their values."""


class CountConfig(Config):
    """Metrics by name for each kind of item; a kind that is not written is counted by the Collector's name."""

    spans: dict[str, MetricConfig] = Field(
        default={"trace.span.count": MetricConfig(description="The number of spans observed.")}
    )
    """Counts of spans."""
    spanevents: dict[str, MetricConfig] = Field(
        default={"trace.span.event.count": MetricConfig(description="The number of span events observed.")}
    )
    """Counts of span events."""
    metrics: dict[str, MetricConfig] = Field(
        default={"metric.count": MetricConfig(description="The number of metrics observed.")}
    )
    """Counts of metrics."""
    datapoints: dict[str, MetricConfig] = Field(
        default={"metric.datapoint.count": MetricConfig(description="The number of data points observed.")}
    )
    """Counts of data points."""
    logs: dict[str, MetricConfig] = Field(
        default={"log.record.count": MetricConfig(description="The number of log records observed.")}
    )
    """Counts of log records."""

    @model_validator(mode="after")
    def _can_be_counted(self) -> "CountConfig":
        for context, metrics in _sections(self).items():
            for name, metric in metrics.items():
                _check(context, name, metric)
        return self


def _sections(config: CountConfig) -> dict[str, dict[str, MetricConfig]]:
    """Return the metrics by what conditions call the items."""
    return {
        "span": config.spans,
        "spanevent": config.spanevents,
        "metric": config.metrics,
        "datapoint": config.datapoints,
        "log": config.logs,
    }


def _check(context: str, name: str, metric: MetricConfig) -> None:
    if not name:
        raise ValueError(f"a count of {context}s has no name; write one")
    if context == "metric" and metric.attributes:
        raise ValueError(f"{name}: metrics have no attributes; count data points by theirs")
    for condition in metric.conditions:
        try:
            compile_condition(condition, context)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class _Definition(NamedTuple):
    context: str
    name: str
    description: str
    conditions: tuple[Condition, ...]
    attributes: tuple[tuple[str, Plain | None], ...]


class _Resource(msgspec.Struct, array_like=True):
    """Counts by context, metric and attributes; `message` is a serialized `Resource`."""

    message: bytes
    counts: dict[tuple[str, str, Attributes], int] = {}


class _State(msgspec.Struct, array_like=True):
    """What is counted since `flushed`, or, before the first flush, since the first item was received."""

    version: int
    flushed: int = 0
    resources: dict[bytes, _Resource] = {}


_Counts = dict[tuple[bytes, str, str, Attributes], int]


class CountConnector:
    """Counts up in memory and gives what it counted out about every second, as deltas."""

    def __init__(self, config: CountConfig) -> None:
        self._definitions = {
            context: [_definition(context, name, metric) for name, metric in metrics.items()]
            for context, metrics in _sections(config).items()
        }
        self._state = _State(_VERSION)

    @property
    def flush_interval(self) -> float:
        return _FLUSH_INTERVAL

    def state(self) -> bytes:
        return write_state(self._state)

    def restore(self, state: bytes) -> None:
        self._state = read_state(state, _State, _VERSION, "count")

    def consume(self, batch: Batch) -> None:
        try:
            requests = batch.requests()
        except InvalidRequestError as error:
            raise PermanentError(str(error)) from None
        for record, request in zip(batch.records, requests, strict=True):
            self._state.flushed = self._state.flushed or record.received_at
            for group in _GROUPS[batch.signal](request):
                self._count(group)

    def flush(self, now: int) -> Sequence[Derived]:
        state = self._state
        if not state.resources:
            return []
        derived = derive(self._families(now), _SCOPE, AGGREGATION_TEMPORALITY_DELTA)
        self._state = _State(_VERSION, max(now, state.flushed))
        return derived

    def _count(self, group: "_Group") -> None:
        for definition in self._definitions[group.context]:
            counts: dict[Attributes, int] = {}
            if not definition.conditions and not definition.attributes:
                counts[()] = len(group.scenes)
            else:
                for scene in group.scenes:
                    attributes = _chosen(definition, scene)
                    if attributes is not None:
                        counts[attributes] = counts.get(attributes, 0) + 1
            self._add(group.resource, definition, counts)

    def _add(self, message: Any, definition: _Definition, counts: Mapping[Attributes, int]) -> None:
        for attributes, count in counts.items():
            if not count:
                continue
            key = canonical(message.attributes)
            resource = self._state.resources.get(key)
            if resource is None:
                resource = self._state.resources[key] = _Resource(message.SerializeToString())
            place = (definition.context, definition.name, attributes)
            resource.counts[place] = resource.counts.get(place, 0) + count

    def _families(self, now: int) -> Iterator[Family]:
        start = self._state.flushed
        for resource in self._state.resources.values():
            for definition in (found for section in self._definitions.values() for found in section):
                points = [
                    NumberDataPoint(
                        attributes=key_values(attributes),
                        start_time_unix_nano=start,
                        time_unix_nano=max(now, start),
                        as_int=count,
                    )
                    for (context, name, attributes), count in resource.counts.items()
                    if (context, name) == (definition.context, definition.name)
                ]
                yield Family(resource.message, definition.name, definition.description, "", "sum", points)


class _Group(NamedTuple):
    """Items of one kind and one scope."""

    context: str
    resource: Any
    scenes: Sequence[Scene]


def _definition(context: str, name: str, metric: MetricConfig) -> _Definition:
    conditions = tuple(compile_condition(condition, context) for condition in metric.conditions)
    attributes = tuple((attribute.key, _default(attribute.default_value)) for attribute in metric.attributes)
    return _Definition(context, name, metric.description, conditions, attributes)


def _default(value: str | bool | float | None) -> Plain | None:
    match value:
        case None:
            return None
        case bool():
            return plain(AnyValue(bool_value=value))
        case int():
            return plain(AnyValue(int_value=value))
        case float():
            return plain(AnyValue(double_value=value))
        case str():
            return plain(AnyValue(string_value=value))


def _chosen(definition: _Definition, scene: Scene) -> Attributes | None:
    """Return the attributes under which an item counts, None where it does not."""
    if definition.conditions and not any(condition(scene) for condition in definition.conditions):
        return None
    found: list[tuple[str, Plain]] = []
    for key, default in definition.attributes:
        value = _value(key, (scene.item, scene.scope, scene.resource))
        if value is None:
            value = default
        if value is None:
            return None
        found.append((key, value))
    return tuple(found)


def _value(key: str, places: Iterable[Any]) -> Plain | None:
    for place in places:
        for attribute in place.attributes:
            if attribute.key == key:
                return plain(attribute.value)
    return None


def _of_traces(request: Any) -> Iterator[_Group]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            spans = [Scene(span, scope.scope, resource.resource) for span in scope.spans]
            yield _Group("span", resource.resource, spans)
            events = [
                Scene(event, scope.scope, resource.resource, span) for span in scope.spans for event in span.events
            ]
            yield _Group("spanevent", resource.resource, events)


def _of_logs(request: Any) -> Iterator[_Group]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            logs = [Scene(log, scope.scope, resource.resource) for log in scope.log_records]
            yield _Group("log", resource.resource, logs)


def _of_metrics(request: Any) -> Iterator[_Group]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            metrics = [Scene(metric, scope.scope, resource.resource) for metric in scope.metrics]
            yield _Group("metric", resource.resource, metrics)
            points = [
                Scene(point, scope.scope, resource.resource, metric)
                for metric in scope.metrics
                if (kind := metric.WhichOneof("data")) is not None
                for point in getattr(metric, kind).data_points
            ]
            yield _Group("datapoint", resource.resource, points)


_GROUPS: Mapping[Signal, Callable[[Any], Iterator[_Group]]] = {
    Signal.TRACES: _of_traces,
    Signal.METRICS: _of_metrics,
    Signal.LOGS: _of_logs,
}

factory = ConnectorFactory(
    component_type="count",
    config=CountConfig,
    create=CountConnector,
    pairs=frozenset((signal, Signal.METRICS) for signal in Signal),
)
