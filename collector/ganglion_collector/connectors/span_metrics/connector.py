"""Takes spans in and gives their metrics out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from ganglion_collector.attributes import EMPTY_TEXT, Attributes, Plain, canonical, plain
from ganglion_collector.component import Batch, Derived, Signal
from ganglion_collector.connectors._output import derive
from ganglion_collector.connectors.span_metrics.config import Dimension, SpanMetricsConfig
from ganglion_collector.connectors.span_metrics.output import families
from ganglion_collector.connectors.span_metrics.series import (
    Durations,
    Exemplar,
    Explicit,
    Exponential,
    Resource,
    State,
    Sum,
)
from ganglion_collector.errors import InvalidRequestError, PermanentError
from ganglion_collector.saved_state import read_state, write_state
from ganglion_collector.telemetry import count_dropped, count_overflow

__all__ = ["SpanMetricsConnector"]

_TYPE = "span_metrics"
_SCOPE = "spanmetricsconnector"
_VERSION = 1
_SHAPE = {
    "aggregation_temporality",
    "calls_dimensions",
    "dimensions",
    "events",
    "exclude_dimensions",
    "histogram",
    "include_instrumentation_scope",
    "namespace",
    "resource_metrics_key_attributes",
}
"""Settings that say which series there are: with others the remembered ones are of no use."""
_OVERFLOW: Attributes = (("otel.metric.overflow", (b"\x10\x01",)),)
_KINDS: Mapping[int, str] = dict(zip(Span.SpanKind.values(), Span.SpanKind.keys(), strict=True))
_STATUSES: Mapping[int, str] = dict(zip(Status.StatusCode.values(), Status.StatusCode.keys(), strict=True))


class _Places:
    """Which values of a span belong to which of the wanted dimensions."""

    def __init__(self, dimensions: Iterable[Dimension]) -> None:
        self.names = [dimension.name for dimension in dimensions]
        self.defaults: list[Plain | None] = [dimension.default for dimension in dimensions]
        self.by_name: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            self.by_name.setdefault(name, []).append(place)

    def fill(self, values: list[Plain | None], attributes: Iterable[KeyValue]) -> list[Plain | None]:
        """Return `values` with those that `attributes` have, the first where a key is there twice."""
        found = list(values)
        for attribute in reversed(list(attributes)):
            for place in self.by_name.get(attribute.key, ()):
                found[place] = plain(attribute.value)
        return found


class _Target(NamedTuple):
    calls: Sum
    durations: Durations | None


class SpanMetricsConnector:
    """Keeps series in memory, by resource; a series' start is when its first span was received."""

    def __init__(self, config: SpanMetricsConfig) -> None:
        self._config = config
        self._bounds = config.histogram.bounds
        self._divider = 1e6 if config.histogram.unit == "ms" else 1e9
        self._dimensions = _Places([*config.dimensions, *config.calls_dimensions, *config.histogram.dimensions])
        self._event_dimensions = _Places([*config.dimensions, *config.events.dimensions])
        self._delta = config.aggregation_temporality == "AGGREGATION_TEMPORALITY_DELTA"
        self._state = State(_VERSION, config.model_dump_json(include=_SHAPE))
        self._targets: dict[tuple[bytes, Attributes], dict[tuple[Plain | None, ...], _Target]] = {}

    @property
    def flush_interval(self) -> float:
        return self._config.metrics_flush_interval

    def state(self) -> bytes:
        return write_state(self._state)

    def restore(self, state: bytes) -> None:
        """Go on from `state`; one of other settings (buckets, dimensions) is no state of this connector."""
        found = read_state(state, State, _VERSION, _TYPE)
        if found.shape != self._state.shape:
            raise ValueError("a state of span_metrics with other settings")
        self._state = found
        self._targets = {}

    def consume(self, batch: Batch) -> None:
        try:
            requests = batch.requests()
        except InvalidRequestError as error:
            raise PermanentError(str(error)) from None
        for record, request in zip(batch.records, requests, strict=True):
            for resource_spans in getattr(request, "resource_spans", ()):
                self._take(resource_spans, record.received_at)

    def flush(self, now: int) -> Sequence[Derived]:
        temporality = AGGREGATION_TEMPORALITY_DELTA if self._delta else AGGREGATION_TEMPORALITY_CUMULATIVE
        derived = derive(families(self._state, self._config, now), _SCOPE, temporality)
        if self._delta:
            self._end_deltas(now)
        else:
            self._forget_stale(now)
        self._targets = {}
        return derived

    def _take(self, resource_spans: ResourceSpans, received_at: int) -> None:
        service = _service_name(resource_spans.resource)
        if service is None:
            dropped = sum(len(scope.spans) for scope in resource_spans.scope_spans)
            count_dropped(_TYPE, Signal.TRACES, dropped, "no_service_name")
            return
        key, resource = self._resource(resource_spans.resource)
        fallback = self._dimensions.fill(self._dimensions.defaults, resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = self._scope_attributes(scope_spans.scope)
            frame = _Frame(key, resource, (("service.name", service or EMPTY_TEXT),), scope, received_at, fallback)
            self._take_spans(frame, scope_spans.spans)
            if self._config.events.enabled:
                self._take_events(frame, scope_spans.spans, resource_spans.resource.attributes)

    def _take_spans(self, frame: "_Frame", spans: Iterable[Span]) -> None:
        targets = self._targets.setdefault((frame.key, frame.scope), {})
        named = "span.name" not in self._config.exclude_dimensions
        wanted, fallback, received_at = bool(self._dimensions.names), frame.fallback, frame.received_at
        divider, bounds, exemplars = self._divider, self._bounds, self._config.exemplars.enabled
        for span in spans:
            name, kind, status = span.name if named else "", span.kind, span.status.code
            key: tuple[Any, ...] = (name, _KINDS.get(kind, ""), _STATUSES.get(status, ""))
            if wanted:
                key = (*key, *self._dimensions.fill(fallback, span.attributes))
            calls, durations = targets.get(key) or self._target(frame, targets, key)
            start, end = span.start_time_unix_nano, span.end_time_unix_nano
            duration = (end - start) / divider if end > start else 0.0
            calls.count += 1
            calls.touched = True
            exemplar = None
            if exemplars and any(span.trace_id):
                measured_at = end if 0 < end <= received_at else received_at
                exemplar = calls.exemplar = Exemplar(span.trace_id, span.span_id, duration, measured_at)
            if durations is not None:
                durations.touched = True
                bucket = durations.observe(duration, bounds)
                if exemplar is not None:
                    durations.exemplars[bucket] = exemplar

    def _target(
        self, frame: "_Frame", targets: dict[tuple[Plain | None, ...], _Target], key: tuple[Any, ...]
    ) -> _Target:
        """Find or begin the series of a span; remember them, unless they are the overflow."""
        config = self._config
        own, values = self._own_attributes(frame, key[:3]), key[3:]
        common, calls_only = len(config.dimensions), len(config.dimensions) + len(config.calls_dimensions)
        named = list(zip(self._dimensions.names, values, strict=True))
        attributes = self._limited(frame.resource.calls, (*own, *_present(named[:calls_only])))
        calls = self._sum(frame, "calls", frame.resource.calls, attributes)
        durations, over = None, attributes == _OVERFLOW
        if not config.histogram.disable:
            table = frame.resource.durations
            attributes = self._limited(table, (*own, *_present(named[:common]), *_present(named[calls_only:])))
            durations = table.get(attributes) or self._begin_durations(frame, attributes)
            over = over or attributes == _OVERFLOW
        target = _Target(calls, durations)
        if over:
            count_overflow(_TYPE, Signal.TRACES, 1)
        else:
            targets[key] = target
        return target

    def _own_attributes(self, frame: "_Frame", values: Sequence[str]) -> Attributes:
        named = (*frame.service, *zip(("span.name", "span.kind", "status.code"), values, strict=True))
        excluded = self._config.exclude_dimensions
        kept = ((name, value or EMPTY_TEXT) for name, value in named if name not in excluded)
        return (*kept, *frame.scope)

    def _limited(self, table: Mapping[Attributes, Any], attributes: Attributes) -> Attributes:
        limit = self._config.aggregation_cardinality_limit
        return attributes if attributes in table or not limit or len(table) < limit else _OVERFLOW

    def _sum(self, frame: "_Frame", metric: str, table: dict[Attributes, Sum], attributes: Attributes) -> Sum:
        found = table.get(attributes)
        if found is None:
            found = table[attributes] = Sum(self._start(frame, metric, attributes))
        return found

    def _begin_durations(self, frame: "_Frame", attributes: Attributes) -> Durations:
        start = self._start(frame, "duration", attributes)
        exponential = self._config.histogram.exponential
        begun: Durations = (
            Explicit(start, counts=[0] * (len(self._bounds) + 1))
            if exponential is None
            else Exponential(start, max_size=exponential.max_size)
        )
        frame.resource.durations[attributes] = begun
        return begun

    def _start(self, frame: "_Frame", metric: str, attributes: Attributes) -> int:
        """Return when a new series begins: where its last delta ended, else when its first span was received.

        Not before the last flush: a delta whose end is forgotten may have ended there, and two must not overlap.
        """
        earliest = max(frame.received_at, self._state.flushed)
        return self._state.ended.pop((frame.key, metric, attributes), earliest)

    def _take_events(self, frame: "_Frame", spans: Iterable[Span], resource: Iterable[KeyValue]) -> None:
        places, exemplars = self._event_dimensions, self._config.exemplars.enabled
        for span in spans:
            own = self._own_attributes(
                frame, (span.name, _KINDS.get(span.kind, ""), _STATUSES.get(span.status.code, ""))
            )
            for event in span.events:
                # What the span has goes before its resource, and that before the event.
                values = places.fill(places.defaults, [*span.attributes, *resource, *event.attributes])
                wanted = (*own, *_present(zip(places.names, values, strict=True)))
                attributes = self._limited(frame.resource.events, wanted)
                series = self._sum(frame, "events", frame.resource.events, attributes)
                series.count += 1
                series.touched = True
                if attributes == _OVERFLOW:
                    count_overflow(_TYPE, Signal.TRACES, 1)
                if exemplars and any(span.trace_id):
                    series.exemplar = Exemplar(
                        span.trace_id, span.span_id, 1.0, event.time_unix_nano or frame.received_at
                    )

    def _resource(self, message: ResourceMessage) -> tuple[bytes, Resource]:
        names = self._config.resource_metrics_key_attributes
        key = canonical(attribute for attribute in message.attributes if not names or attribute.key in names)
        found = self._state.resources.get(key)
        if found is None:
            found = self._state.resources[key] = Resource(message.SerializeToString())
        found.touched = True
        return key, found

    def _scope_attributes(self, scope: InstrumentationScope) -> Attributes:
        if not scope.name or scope.name not in self._config.include_instrumentation_scope:
            return ()
        version: Plain = scope.version or EMPTY_TEXT
        return (("span.instrumentation.scope.name", scope.name), ("span.instrumentation.scope.version", version))

    def _end_deltas(self, now: int) -> None:
        ended, self._state.flushed = self._state.ended, now
        for key, resource in self._state.resources.items():
            for metric, table in (
                ("calls", resource.calls),
                ("duration", resource.durations),
                ("events", resource.events),
            ):
                for attributes in table:
                    ended[key, metric, attributes] = now
        for oldest in list(ended)[: -self._config.metric_timestamp_cache_size]:
            del ended[oldest]
        self._state.resources = {}

    def _forget_stale(self, now: int) -> None:
        """Drop exemplars, which were of the time up to now, and what had no span for too long."""
        quiet: dict[bytes, Resource] = {}
        recent: dict[bytes, Resource] = {}
        for key, resource in self._state.resources.items():
            (recent if resource.touched else quiet)[key] = resource
            _note_seen(resource, now)
            if self._expired(resource.seen, self._config.metrics_expiration, now):
                quiet.pop(key, None)
                continue
            for table in (resource.calls, resource.durations, resource.events):
                self._forget_series(table, now)
        kept = {**quiet, **recent}
        for oldest in list(kept)[: -self._config.resource_metrics_cache_size]:
            del kept[oldest]
        self._state.resources = kept

    def _forget_series(self, table: dict[Attributes, Any], now: int) -> None:
        for attributes, series in list(table.items()):
            _note_seen(series, now)
            if isinstance(series, Sum):
                series.exemplar = None
            else:
                series.exemplars = {}
            if self._expired(series.seen, self._config.series_expiration, now):
                del table[attributes]

    @staticmethod
    def _expired(seen: int, expiration: float, now: int) -> bool:
        return bool(expiration) and now - seen >= expiration * 1e9


class _Frame(NamedTuple):
    """What all spans of one scope have in common; `fallback` are the dimensions' values without the span's own."""

    key: bytes
    resource: Resource
    service: Attributes
    scope: Attributes
    received_at: int
    fallback: list[Plain | None]


def _service_name(resource: ResourceMessage) -> str | None:
    for attribute in resource.attributes:
        if attribute.key == "service.name":
            return attribute.value.string_value
    return None


def _present(named: Iterable[tuple[str, Plain | None]]) -> Iterator[tuple[str, Plain]]:
    return ((name, value) for name, value in named if value is not None)


def _note_seen(item: Resource | Sum | Explicit | Exponential, now: int) -> None:
    if item.touched:
        item.seen, item.touched = now, False
