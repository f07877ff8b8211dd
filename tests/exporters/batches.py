"""Batches of one request each, made of plain Python values."""

from collections.abc import Mapping, Sequence
from itertools import count
from time import time_ns
from uuid import UUID

from ganglion_collector.component import Batch, Position, Record, Signal, Source
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

JOURNAL = UUID(int=7)
TRACE_ID = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
_span_ids = count(1)


def any_value(value: object) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
        case _:
            raise TypeError(type(value))


def key_values(attributes: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def log(message: object = "hello", attributes: Mapping[str, object] | None = None, **fields: object) -> LogRecord:
    record = LogRecord(severity_number=9, attributes=key_values(attributes or {}), body=any_value(message))  # type: ignore[arg-type]
    record.time_unix_nano = time_ns()
    record.trace_id = TRACE_ID
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def span(name: str = "search", attributes: Mapping[str, object] | None = None, **fields: object) -> Span:
    result = Span(name=name, trace_id=TRACE_ID, span_id=next(_span_ids).to_bytes(8, "big"), kind=Span.SPAN_KIND_SERVER)
    result.start_time_unix_nano = time_ns()
    result.end_time_unix_nano = result.start_time_unix_nano + 1_500_000
    result.attributes.extend(key_values(attributes or {}))
    for field, value in fields.items():
        setattr(result, field, value)
    return result


def logs_payload(records: Sequence[LogRecord], resource: Mapping[str, object] | None = None, scope: str = "") -> bytes:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values(resource or {}))
    items = group.scope_logs.add()
    items.scope.name = scope
    items.log_records.extend(records)
    return request.SerializeToString()


def spans_payload(spans: Sequence[Span], resource: Mapping[str, object] | None = None) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(resource or {}))
    group.scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def batch(
    signal: Signal, payload: bytes, items: int, sequence: int = 0, reader: str = "test", received_at: int | None = None
) -> Batch:
    """One record at `sequence`; the next batch begins at `sequence + 1`."""
    record = Record(sequence, signal, "otlp", received_at or time_ns(), items, payload)
    return Batch(signal, (record,), Source(JOURNAL, reader), Position(sequence, 0), Position(sequence + 1, 0))


def logs_batch(records: Sequence[LogRecord], sequence: int = 0) -> Batch:
    return batch(Signal.LOGS, logs_payload(records), len(records), sequence)


def spans_batch(spans: Sequence[Span], sequence: int = 0) -> Batch:
    return batch(Signal.TRACES, spans_payload(spans), len(spans), sequence)
