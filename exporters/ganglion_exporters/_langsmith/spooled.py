"""What the spool takes in and gives out: spans with their resource, one by one; logs of spans; parts of traces."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import orjson
import zstandard
from ganglion_collector.component import Batch, Record, Signal
from ganglion_collector.otlp import parse_request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from ganglion_exporters._langsmith.assembly import is_phantom
from ganglion_exporters._langsmith.ids import span_key, trace_key
from ganglion_exporters._langsmith.log_events import has_messages
from ganglion_exporters._langsmith.model import Placed

__all__ = ["LogRow", "Part", "SpanRow", "SpooledSpan", "log_rows", "span_rows", "spooled_spans"]

_WORTH_PACKING = 512
_LARGEST_LOG = 64 * 1024
_LARGEST_MESSAGES = 4 * 1024 * 1024
_NO_ID = (b"", bytes(8))


class SpanRow(NamedTuple):
    """A span as the file keeps it; the columns of `spans` but the first, and whether it hangs below a run's id."""

    trace: bytes
    span: bytes
    parent: bytes
    is_root: bool
    sequence: int
    item: int
    receiver: str
    received_at: int
    context: bytes
    size: int
    packed: bool
    payload: bytes
    is_phantom: bool


class LogRow(NamedTuple):
    """A log record of a span: the columns of `logs` but the first."""

    trace: bytes
    span: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class SpooledSpan:
    """One span and where it came from; `record` is a request with nothing but it."""

    id: int
    key: bytes
    size: int
    record: Record

    def parsed(self) -> tuple[Span, Resource, InstrumentationScope]:
        group = next(iter(ExportTraceServiceRequest.FromString(self.record.payload).resource_spans))
        scoped = next(iter(group.scope_spans))
        return next(iter(scoped.spans)), group.resource, scoped.scope


@dataclass(frozen=True, slots=True)
class Part:
    """Spans of one trace that are to be assembled together, at the time `now` (Unix nanoseconds).

    Until it is delivered the same part comes again, also after a restart, whatever has come meanwhile: LangSmith may
    have taken some of its runs already, and their places must stay. `logs` holds `LogRecord`s by span key; `log_ids`
    also those that came too late for their run.
    """

    trace: bytes
    spans: tuple[SpooledSpan, ...]
    logs: Mapping[bytes, tuple[bytes, ...]]
    log_ids: tuple[int, ...]
    known: Mapping[bytes, Placed]
    now: int

    @property
    def size(self) -> int:
        return sum(span.size for span in self.spans)


def span_rows(batch: Batch) -> Iterator[SpanRow]:
    """Yield each span of a batch of traces. Raises InvalidRequestError where a payload is none."""
    pack = zstandard.ZstdCompressor(level=3).compress
    for record in batch.records:
        context = orjson.dumps(dict(record.context))
        item = record.first_item
        for prefix, spans in _groups(record):
            for span in spans:
                payload = _message(1, prefix[0] + _message(2, prefix[1] + _message(2, span.SerializeToString())))
                packed = pack(payload) if len(payload) > _WORTH_PACKING else payload
                yield SpanRow(
                    trace_key(span.trace_id),
                    span_key(span.span_id),
                    b"" if span.parent_span_id in _NO_ID else span_key(span.parent_span_id),
                    span.parent_span_id in _NO_ID,
                    record.sequence,
                    item,
                    record.receiver,
                    record.received_at,
                    context,
                    len(packed),
                    packed is not payload,
                    packed,
                    is_phantom(span.trace_id, span.parent_span_id),
                )
                item += 1


def log_rows(batch: Batch) -> Iterator[LogRow]:
    """Yield the log records of a batch that belong to a span and are not too large to be an event of it.

    Raises InvalidRequestError where a payload is none.
    """
    for record in batch.records:
        request = cast("ExportLogsServiceRequest", parse_request(Signal.LOGS, record.payload))
        for group in request.resource_logs:
            for scoped in group.scope_logs:
                for log in scoped.log_records:
                    if log.span_id not in _NO_ID and log.trace_id and _is_small(log):
                        yield LogRow(trace_key(log.trace_id), span_key(log.span_id), log.SerializeToString())


def _is_small(log: LogRecord) -> bool:
    size = log.ByteSize()
    return size <= _LARGEST_LOG or (size <= _LARGEST_MESSAGES and has_messages(log))


def spooled_spans(
    rows: Iterable[tuple[int, bytes, int, int, str, int, bytes, int, int, bytes]],
) -> Iterator[SpooledSpan]:
    """Make them of the columns id, span, sequence, item, receiver, received_at, context, size, packed, payload."""
    unpack = zstandard.ZstdDecompressor().decompress
    for identity, key, sequence, item, receiver, received_at, context, size, packed, payload in rows:
        content = unpack(payload) if packed else payload
        known = orjson.loads(context)
        record = Record(sequence, Signal.TRACES, receiver, received_at, 1, content, known, item)
        yield SpooledSpan(identity, key, size, record)


def _groups(record: Record) -> Iterator[tuple[tuple[bytes, bytes], list[Span]]]:
    """Yield spans with the bytes that come before them in their resource and in their scope."""
    request = cast("ExportTraceServiceRequest", parse_request(Signal.TRACES, record.payload))
    for group in request.resource_spans:
        resource = group.resource if group.HasField("resource") else None
        shell = ResourceSpans(resource=resource, schema_url=group.schema_url).SerializeToString()
        for scoped in group.scope_spans:
            scope = scoped.scope if scoped.HasField("scope") else None
            inner = ScopeSpans(scope=scope, schema_url=scoped.schema_url).SerializeToString()
            yield (shell, inner), list(scoped.spans)


def _message(number: int, content: bytes) -> bytes:
    """Return `content` as a field of protobuf's wire type 2."""
    length, digits = len(content), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return bytes((number << 3 | 2, *digits)) + content
