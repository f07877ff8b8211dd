"""A test's spans, logs and metrics as plain dicts, without a collector."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, get_logger_provider, set_logger_provider
from opentelemetry.sdk._logs import (
    LoggerProvider,
    LogRecordProcessor,
    ReadWriteLogRecord,
)
from opentelemetry.sdk.metrics import Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import (
    DataPointT,
    Gauge,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.util.types import AnyValue

from ganglion.context import ContextSpanProcessor

__all__ = ["Captured", "capture"]

Plain = dict[str, Any]
_P = TypeVar("_P")


class Captured:
    """What came between the start and the end of a `capture`, oldest first. Reading it twice reads the same again."""

    def __init__(self, inbox: "_Inbox") -> None:
        self._inbox = inbox

    @property
    def spans(self) -> list[Plain]:
        """Return the ended spans: name, kind, trace_id, span_id, parent_span_id, status, status_message, attributes.

        Also events, links, scope, resource, start_time and end_time (nanoseconds since 1970). Ids are hexadecimal text.
        """
        return [_span(span) for span in tuple(self._inbox.spans)]

    @property
    def logs(self) -> list[Plain]:
        """Return the log records: timestamp (ns), level, logger, message, trace_id, span_id, attributes, resource."""
        return [_log(record) for record in tuple(self._inbox.logs)]

    @property
    def metrics(self) -> list[Plain]:
        """Return what was measured since the start: name, type, unit, description, scope and `points`.

        A point has `attributes` and `exemplars`, and `value`, or for a histogram `count`, `sum`, `min`, `max`,
        `bounds` and `bucket_counts`.
        """
        return self._inbox.measured()

    def wait(self, until: Callable[["Captured"], object], timeout: float = 5.0) -> None:
        """Wait for what another thread sends, as a server does after the last byte of its response.

        `until` gets this object, after each span and log record.

        Raises:
            TimeoutError: `until` was not true within `timeout` seconds; it names what came.
        """
        with self._inbox.arrival:
            if not self._inbox.arrival.wait_for(lambda: until(self), timeout):
                names = [span["name"] for span in self.spans]
                messages = [record["message"] for record in self.logs]
                raise TimeoutError(f"waited {timeout} s; spans: {names}; logs: {messages}")


class _Inbox:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.spans: list[ReadableSpan] = []
        self.logs: list[ReadWriteLogRecord] = []
        self.arrival = threading.Condition()
        self._measured: dict[tuple[str, str], Plain] = {}
        self._closed = False

    def add(self, item: ReadableSpan | ReadWriteLogRecord) -> None:
        with self.arrival:
            if isinstance(item, ReadWriteLogRecord):
                self.logs.append(item)
            else:
                self.spans.append(item)
            self.arrival.notify_all()

    def measured(self) -> list[Plain]:
        with self.arrival:
            for metric in () if self._closed else _metrics(self.reader):
                key = (metric["scope"], metric["name"])
                self._measured[key] = _merged(self._measured.get(key), metric)
            return list(self._measured.values())

    def close(self) -> None:
        self.measured()
        self._closed = True


_open: tuple[_Inbox, ...] = ()
_here: ContextVar[tuple[_Inbox, ...]] = ContextVar("ganglion_captures", default=())
_setup = threading.RLock()


@contextmanager
def capture() -> Generator[Captured]:
    """Give what the process emits while this is open; captures may be nested, and be open side by side.

    What comes from the code under `with` and from the tasks that it starts is for this capture and those around it.
    What comes from elsewhere, as from the thread of a server, is for every open capture; so are metrics, which know no
    context.

    The process's providers are used, whoever made them; where there are none, they are made and stay. Records of the
    standard library's logging come where `ganglion.configure` or another has connected it to OpenTelemetry.

    Raises:
        RuntimeError: a global provider is not one of the OpenTelemetry SDK, which alone can be listened to.
    """
    inbox = _Inbox()
    meters = _listen()
    meters.add_metric_reader(inbox.reader)
    around = _here.get()
    _here.set((*around, inbox))
    _set_open(lambda now: (*now, inbox))
    try:
        yield Captured(inbox)
    finally:
        _set_open(lambda now: tuple(other for other in now if other is not inbox))
        _here.set(around)
        inbox.close()
        meters.remove_metric_reader(inbox.reader)


def _set_open(change: Callable[[tuple[_Inbox, ...]], tuple[_Inbox, ...]]) -> None:
    global _open  # noqa: PLW0603 - what is open is a fact about the process, as its providers are
    with _setup:
        _open = change(_open)


def _receivers() -> Sequence[_Inbox]:
    now = _open
    return [inbox for inbox in _here.get() if inbox in now] or now


class _Spans(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        for inbox in _receivers():
            inbox.add(span)


class _Logs(LogRecordProcessor):
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        for inbox in _receivers():
            inbox.add(log_record)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True


_heard: set[int] = set()


def _listen() -> MeterProvider:
    """Connect to the global providers, once each."""
    with _setup:
        tracers, loggers, meters = _tracer_provider(), _logger_provider(), _meter_provider()
        if id(tracers) not in _heard:
            tracers.add_span_processor(_Spans())
        if id(loggers) not in _heard:
            loggers.add_log_record_processor(_Logs())
        _heard.update((id(tracers), id(loggers)))
        return meters


def _tracer_provider() -> TracerProvider:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        provider.add_span_processor(ContextSpanProcessor())
        trace.set_tracer_provider(provider)
    return _of_the_sdk(trace.get_tracer_provider(), TracerProvider)


def _logger_provider() -> LoggerProvider:
    if not isinstance(get_logger_provider(), LoggerProvider):
        set_logger_provider(LoggerProvider(shutdown_on_exit=False))
    return _of_the_sdk(get_logger_provider(), LoggerProvider)


def _meter_provider() -> MeterProvider:
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
    return _of_the_sdk(metrics.get_meter_provider(), MeterProvider)


def _of_the_sdk(provider: object, kind: type[_P]) -> _P:
    if not isinstance(provider, kind):
        raise RuntimeError(f"the global {kind.__name__} is {type(provider).__name__}, not the OpenTelemetry SDK's")
    return provider


def _span(span: ReadableSpan) -> Plain:
    context = span.get_span_context() or trace.INVALID_SPAN_CONTEXT
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
        "parent_span_id": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "status": span.status.status_code.name,
        "status_message": span.status.description,
        "attributes": _plain(span.attributes),
        "events": [
            {"name": event.name, "timestamp": event.timestamp, "attributes": _plain(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": trace.format_trace_id(link.context.trace_id),
                "span_id": trace.format_span_id(link.context.span_id),
                "attributes": _plain(link.attributes),
            }
            for link in span.links
        ],
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "resource": _plain(span.resource.attributes),
        "start_time": span.start_time,
        "end_time": span.end_time,
    }


def _log(record: ReadWriteLogRecord) -> Plain:
    said: LogRecord = record.log_record
    return {
        "timestamp": said.timestamp or said.observed_timestamp,
        "level": said.severity_text,
        "logger": record.instrumentation_scope.name if record.instrumentation_scope else None,
        "message": said.body,
        "event_name": said.event_name,
        "trace_id": trace.format_trace_id(said.trace_id) if said.trace_id else None,
        "span_id": trace.format_span_id(said.span_id) if said.span_id else None,
        "attributes": _plain(said.attributes),
        "resource": _plain(record.resource.attributes if record.resource else None),
    }


def _metrics(reader: InMemoryMetricReader) -> Iterator[Plain]:
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield _metric(metric, scope.scope.name)


def _metric(metric: Metric, scope: str) -> Plain:
    kind = "sum" if isinstance(metric.data, Sum) else "gauge" if isinstance(metric.data, Gauge) else "histogram"
    return {
        "name": metric.name,
        "type": kind,
        "unit": metric.unit or "",
        "description": metric.description or "",
        "scope": scope,
        "points": [_point(point) for point in metric.data.data_points],
    }


def _merged(before: Plain | None, now: Plain) -> Plain:
    """Keep what the SDK tells only once: a gauge's value and exemplars."""
    if before is None:
        return now
    points = {repr(point["attributes"]): point for point in before["points"]}
    for point in now["points"]:
        key = repr(point["attributes"])
        if key in points:
            point["exemplars"] = points[key]["exemplars"] + point["exemplars"]
        points[key] = point
    return now | {"points": list(points.values())}


def _point(point: DataPointT) -> Plain:
    plain: Plain = {"attributes": _plain(point.attributes), "exemplars": [_exemplar(one) for one in point.exemplars]}
    if isinstance(point, NumberDataPoint):
        return plain | {"value": point.value}
    plain |= {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}
    if isinstance(point, HistogramDataPoint):
        plain |= {"bounds": list(point.explicit_bounds), "bucket_counts": list(point.bucket_counts)}
    return plain


def _exemplar(exemplar: Exemplar) -> Plain:
    return {
        "value": exemplar.value,
        "trace_id": trace.format_trace_id(exemplar.trace_id) if exemplar.trace_id else None,
        "span_id": trace.format_span_id(exemplar.span_id) if exemplar.span_id else None,
        "attributes": _plain(exemplar.filtered_attributes),
    }


def _plain(values: Mapping[str, AnyValue] | None) -> Plain:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in (values or {}).items()}
