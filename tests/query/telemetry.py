"""Traces and logs as a service sends them, put into PostgreSQL by the exporter itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from ganglion_collector.component import Batch, Position, Record, Source
from ganglion_collector.otlp import Request, Signal, count_items
from ganglion_exporters.postgresql import PostgreSQLConfig, factory
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

__all__ = ["ERROR", "INFO", "TRACE_ID", "WARNING", "Sent", "attributes", "log", "span", "store"]

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
INFO, WARNING, ERROR = 9, 13, 17


@dataclass
class Sent:
    """What one service sends."""

    service: str = "shop"
    spans: list[Span] = field(default_factory=list[Span])
    logs: list[LogRecord] = field(default_factory=list[LogRecord])
    version: str = "1.2.0"
    logger: str = ""
    """By default `<service>.app`."""


def attributes(values: Mapping[str, str | int | float]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: str | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def _nanoseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def span(
    name: str,
    id_: int,
    parent: int = 0,
    *,
    at: datetime,
    ms: float = 10,
    error: str = "",
    trace_id: str = TRACE_ID,
    **values: str | int,
) -> Span:
    """Return a span; an underscore in a keyword stands for a dot, `error` makes it a failed one."""
    start = _nanoseconds(at)
    status = Status(code=Status.STATUS_CODE_ERROR, message=error) if error else Status()
    return Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=id_.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start,
        end_time_unix_nano=start + round(ms * 1e6),
        status=status,
        attributes=attributes({key.replace("_", "."): value for key, value in values.items()}),
    )


def log(
    message: str,
    span_id: int = 0,
    *,
    at: datetime,
    severity: int = INFO,
    trace_id: str = TRACE_ID,
    numbers: Mapping[str, float] | None = None,
    **values: str | float,
) -> LogRecord:
    """Return a log; an underscore in a keyword stands for a dot, in the keys of `numbers` for itself."""
    return LogRecord(
        time_unix_nano=_nanoseconds(at),
        severity_number=severity,  # type: ignore[arg-type]
        body=AnyValue(string_value=message),
        trace_id=bytes.fromhex(trace_id) if span_id or trace_id != TRACE_ID else b"",
        span_id=span_id.to_bytes(8, "big") if span_id else b"",
        attributes=attributes({key.replace("_", "."): value for key, value in values.items()} | dict(numbers or {})),
    )


def _requests(sent: Sent) -> Sequence[tuple[Signal, Request]]:
    resource = attributes({"service.name": sent.service, "service.version": sent.version})
    traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    spans_of = traces.resource_spans.add()
    spans_of.resource.attributes.extend(resource)
    spans_of.scope_spans.add().spans.extend(sent.spans)
    logs_of = logs.resource_logs.add()
    logs_of.resource.attributes.extend(resource)
    scope_logs = logs_of.scope_logs.add()
    scope_logs.scope.name = sent.logger or f"{sent.service}.app"
    scope_logs.log_records.extend(sent.logs)
    return [(Signal.TRACES, traces), (Signal.LOGS, logs)]


async def store(dsn: str, *all_sent: Sent, received_at: datetime | None = None) -> None:
    """Export everything, as a worker would; received now if it is not said when."""
    exporter = factory.create(PostgreSQLConfig.model_validate({"dsn": dsn}))
    await exporter.start()
    received = _nanoseconds(received_at or datetime.now(UTC))
    for sent in all_sent:
        for signal, request in _requests(sent):
            count = count_items(signal, request)
            if count:
                record = Record(1, signal, "otlp", received, count, request.SerializeToString())
                source = Source(uuid4(), f"{signal}/postgresql")
                await exporter.export(Batch(signal, (record,), source, Position(), Position(2, 0)))
    await exporter.shutdown()
