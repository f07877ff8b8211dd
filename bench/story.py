"""What happens in one request to a RAG application of five services: a tree of steps, and the OTLP that they send.

    Step (own time, attributes, logs, children) ──▶ `told`: one request of spans and one of logs for each service

Who asks, what, and when is left open: `MARKS` stand in the texts, and the trace is at `BASE`. Every duration ends in
777 ns and every span id in `SPAN_MARK`, so that `bench.stencils` finds them all.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ganglion_collector.otlp import Request, Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

__all__ = [
    "BASE",
    "MARKS",
    "SPAN_MARK",
    "TRACE_MARK",
    "Failure",
    "Log",
    "Step",
    "Value",
    "Values",
    "milliseconds",
    "told",
]

BASE = 1_000_000_000 * 10**9
"""When the trace of a story begins, in Unix nanoseconds: 2001-09-09."""
TRACE_MARK = bytes.fromhex("f39ac5e18db7d6fef39ac5e18db7d6fe")
SPAN_MARK = bytes.fromhex("b9d1a7ee")
MARKS = {
    "user": "\ue001",
    "tenant": "\ue002",
    "session": "\ue003",
    "request": "\ue004",
    "question": "\ue005",
    "answer": "\ue006",
    "document": "\ue007",
}

Value: TypeAlias = str | int | float | bool
Values: TypeAlias = Mapping[str, Value]
DEBUG, INFO, WARNING, ERROR = 5, 9, 13, 17
_LEVELS = {"DEBUG": DEBUG, "INFO": INFO, "WARN": WARNING, "ERROR": ERROR}
_MS = 1_000_000
_WHO = {f"{name}.id": MARKS[name] for name in ("user", "tenant", "session", "request")}


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception; with a `stack` it began here."""

    kind: str
    message: str
    stack: str = ""

    @property
    def told(self) -> str:
        return f"{self.kind}: {self.message}"

    @property
    def attributes(self) -> Values:
        return {"exception.type": self.kind, "exception.message": self.message, "exception.stacktrace": self.stack}


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a step."""

    logger: str
    message: str
    values: Values = field(default_factory=dict[str, Value])
    level: str = "INFO"


@dataclass(slots=True)
class Step:
    """One span. It takes `own_ms` and what its children take, one after the other."""

    service: str
    name: str
    own_ms: float
    kind: int = Span.SPAN_KIND_INTERNAL
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    logs: list[Log] = field(default_factory=list[Log])
    children: "list[Step]" = field(default_factory=list["Step"])
    failure: Failure | None = None

    @property
    def total_ms(self) -> float:
        return self.own_ms + sum(child.total_ms for child in self.children)

    def walk(self) -> "Iterator[Step]":
        yield self
        for child in self.children:
            yield from child.walk()


def milliseconds(value: float) -> float:
    """Return `value` as a duration that is found again: to the microsecond, and 777 ns."""
    return float(f"{value:.3f}777")


def _keys(values: Values) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Value) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case _:
            return AnyValue(double_value=value)


class _Told:
    """What each service has to send."""

    def __init__(self, source: random.Random, resources: Mapping[str, Values]) -> None:
        self._source = source
        self._resources = resources
        self.spans: dict[tuple[str, str], list[Span]] = {}
        self.logs: dict[tuple[str, str], list[LogRecord]] = {}

    def span(self, step: Step, start: int, parent: bytes) -> int:
        """Tell `step` and all below it; return when it ended."""
        span_id = self._source.randbytes(4) + SPAN_MARK
        pause = int(step.own_ms * _MS / (len(step.children) + 1))
        end = start + pause
        for child in step.children:
            end = self.span(child, end, span_id) + pause
        end = max(end, start + 1000)
        end += 777 - (end - start) % 1000
        for index, log in enumerate(step.logs):
            at = start + (end - start) * (index + 1) // (len(step.logs) + 1)
            self.log(step.service, log, at, span_id)
        scope = "opentelemetry.instrumentation.fastapi" if step.kind != Span.SPAN_KIND_INTERNAL else "ganglion.rag"
        self.spans.setdefault((step.service, scope), []).append(_span(step, span_id, parent, start, end))
        return end

    def log(self, service: str, log: Log, at: int, span_id: bytes) -> None:
        who = _WHO if span_id else {}
        record = LogRecord(
            time_unix_nano=at,
            observed_time_unix_nano=at + 80_000,
            severity_number=_LEVELS[log.level],  # type: ignore[arg-type]
            severity_text=log.level,
            body=AnyValue(string_value=log.message),
            trace_id=TRACE_MARK if span_id else b"",
            span_id=span_id,
            attributes=_keys({**who, **log.values}),
        )
        self.logs.setdefault((service, log.logger), []).append(record)

    def requests(self) -> Iterator[tuple[Signal, Request]]:
        for service in sorted({service for service, _ in (*self.spans, *self.logs)}):
            resource = Resource(attributes=_keys({"service.name": service, **self._resources[service]}))
            traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
            of_spans, of_logs = traces.resource_spans.add(resource=resource), logs.resource_logs.add(resource=resource)
            for (owner, scope), spans in self.spans.items():
                if owner == service:
                    of_spans.scope_spans.add(spans=spans).scope.name = scope
            for (owner, logger), records in self.logs.items():
                if owner == service:
                    of_logs.scope_logs.add(log_records=records).scope.name = logger
            yield Signal.TRACES, traces
            yield Signal.LOGS, logs


def _span(step: Step, span_id: bytes, parent: bytes, start: int, end: int) -> Span:
    span = Span(
        trace_id=TRACE_MARK,
        span_id=span_id,
        parent_span_id=parent,
        name=step.name,
        kind=step.kind,  # type: ignore[arg-type]
        flags=0x101,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=_keys({**_WHO, **step.values}),
    )
    if step.failure:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=step.failure.told))
        if step.failure.stack:
            exception = _keys(step.failure.attributes)
            span.events.add(name="exception", time_unix_nano=end, attributes=exception)
    return span


def told(
    source: random.Random,
    step: Step | None,
    loose: Sequence[tuple[str, Log]],
    resources: Mapping[str, Values],
) -> list[tuple[Signal, Request]]:
    """Return the requests that the services send: of `step` and all below it, and logs of no trace, a second apart."""
    tale = _Told(source, resources)
    if step is not None:
        tale.span(step, BASE, b"")
    for index, (service, log) in enumerate(loose):
        tale.log(service, log, BASE + index * 1000 * _MS, b"")
    return list(tale.requests())
