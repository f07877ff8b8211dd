"""Realistic OTLP requests: skewed users, the events of a RAG application, many traces; cheap to make distinct.

A `Template` is one encoded request in which every trace id ends with a mark and every time too (the upper half of its
little-endian nanoseconds). Stamping replaces the marks by `bytes.replace`, so that a new request of 500 records, with
trace ids and times of its own, costs 0.15 ms; a request that only differs costs a copy.
"""

import random
from dataclasses import dataclass

from ganglion_collector.otlp import Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

__all__ = ["WINDOW", "Stamped", "Template", "Variants", "log_template", "span_template", "trace_mark"]

_TRACE_MARK = b"\xf3\x9a\xc5\xe1\x8d\xb7\xd6\xfe"
_TIME_MARK = b"\xb9\xd1\xa7\xee"
_UPPER = int.from_bytes(_TIME_MARK, "little") << 32
WINDOW = 1 << 32
"""Nanoseconds within which the times of one request lie."""

_LEVELS = [
    ("DEBUG", SeverityNumber.SEVERITY_NUMBER_DEBUG, 15),
    ("INFO", SeverityNumber.SEVERITY_NUMBER_INFO, 78),
    ("WARN", SeverityNumber.SEVERITY_NUMBER_WARN, 5),
    ("ERROR", SeverityNumber.SEVERITY_NUMBER_ERROR, 2),
]
_EVENTS = [
    ("ingestion", "file_parsed: {n} documents of file {w}-{n}.pdf for {w}"),
    ("ingestion", "chunks_created: {n} chunks, average size {m} characters"),
    ("ingestion", "embedding_complete: {m} tokens in {n} batches"),
    ("retrieval", "search_query_received: what does the {w} contract say about {w2}"),
    ("retrieval", "hybrid_search_executed: {n} dense and {m} sparse results"),
    ("retrieval", "reranking_complete: best score 0.{m}, {n} chunks kept"),
    ("generation", "generation_started: model {w}-large, temperature 0.{n}"),
    ("generation", "generation_complete: {m} tokens, finish reason stop"),
    ("evaluation", "ragas_score_computed: faithfulness 0.{m}, relevancy 0.{n}"),
    ("memory", "history_retrieved: {n} turns, {m} tokens, topic {w2}"),
]
_WORDS = ["amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper", "kestrel"]
_WORDS += ["lagoon", "meadow", "nectar", "onyx", "prairie", "quartz", "raven", "saffron", "thistle", "umber", "violet"]
_ERRORS = ["TimeoutError", "RateLimitError", "ConnectionError", "ValidationError"]


@dataclass(frozen=True, slots=True)
class Template:
    """One encoded request with marks in it."""

    signal: Signal
    records: int
    payload: bytes

    def stamp(self, number: int, time_ns: int) -> bytes:
        """Return the request with the trace ids of `number` and times within `WINDOW` of `time_ns`."""
        return self.payload.replace(_TRACE_MARK, trace_mark(number)).replace(_TIME_MARK, _upper_half(time_ns))

    def variants(self, time_ns: int) -> "Variants":
        """Return a source of requests at `time_ns` that differ in their first trace id only."""
        head, mark, tail = self.payload.replace(_TIME_MARK, _upper_half(time_ns)).partition(_TRACE_MARK)
        return Variants(self.signal, self.records, head, tail.replace(mark, trace_mark(0)))

    def first_trace(self, number: int) -> str:
        """Return the first trace id of the request that was stamped with `number`, in hexadecimal."""
        at = self.payload.index(_TRACE_MARK)
        return (self.payload[at - 8 : at] + trace_mark(number)).hex()


@dataclass(frozen=True, slots=True)
class Variants:
    """Requests that are distinct by 8 bytes, for receivers that look no further."""

    signal: Signal
    records: int
    head: bytes
    tail: bytes

    def payload(self, number: int) -> bytes:
        return b"".join((self.head, trace_mark(number), self.tail))


@dataclass(frozen=True, slots=True)
class Stamped:
    """Requests whose every trace id is their own, for what stores the records."""

    template: Template
    time_ns: int

    def payload(self, number: int) -> bytes:
        return self.template.stamp(number, self.time_ns)


def _upper_half(time_ns: int) -> bytes:
    return (time_ns >> 32).to_bytes(4, "little")


def trace_mark(number: int) -> bytes:
    """Return the last 8 bytes of the trace ids of request `number`: never zero, spread over all values."""
    return ((number + 1) * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big")


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _integer(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))


def _double(key: str, value: float) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(double_value=value))


class _Request:
    """Who makes a request: one user, some of them far more often than others, in one trace."""

    def __init__(self, source: random.Random, users: int) -> None:
        rank = int(source.paretovariate(0.3) - 1) % users
        self.user = f"user-{rank:05d}"
        self.tenant = f"t-{rank % 40:02d}"
        self.session = f"{source.getrandbits(32):08x}"
        self.trace = source.randbytes(8) + _TRACE_MARK


def _resource(source: random.Random) -> Resource:
    return Resource(
        attributes=[
            _text("service.name", source.choice(["rag-api", "ingester", "retriever"])),
            _text("service.version", "2.4.1"),
            _text("deployment.environment.name", "production"),
            _text("host.name", f"node-{source.randrange(6)}"),
            _text("telemetry.sdk.language", "python"),
        ]
    )


def _log(source: random.Random, request: _Request, offset: int) -> LogRecord:
    level, severity, _ = source.choices(_LEVELS, weights=[weight for *_, weight in _LEVELS])[0]
    layer, message = source.choice(_EVENTS)
    time = _UPPER | offset
    record = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time,
        severity_number=severity,
        severity_text=level,
        trace_id=request.trace,
        span_id=source.randbytes(8),
        body=AnyValue(string_value=_fill(source, message)),
        attributes=[
            _text("user.id", request.user),
            _text("session.id", request.session),
            _text("tenant.id", request.tenant),
            _text("layer", layer),
            _text("operation", message.split(":")[0]),
            _double("duration_ms", round(source.lognormvariate(3, 1.2), 3)),
            _integer("attempt", source.randrange(3)),
            _integer("items", source.randrange(5000)),
        ],
    )
    ninth = _text("exception.type", source.choice(_ERRORS)) if level == "ERROR" else _text("cache", "miss")
    record.attributes.append(ninth)
    return record


def _fill(source: random.Random, message: str) -> str:
    return message.format(
        n=source.randrange(1, 60), m=source.randrange(100, 4000), w=source.choice(_WORDS), w2=source.choice(_WORDS)
    )


def log_template(records: int = 500, *, seed: int = 0, users: int = 20_000, per_trace: int = 20) -> Template:
    """Encode a request of logs: about 312 bytes and 9 attributes each, `per_trace` of them in a trace."""
    source = random.Random(seed)
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add(resource=_resource(source))
    scope = resource.scope_logs.add()
    scope.scope.name = "rag.pipeline"
    request = _Request(source, users)
    for index in range(records):
        if index % per_trace == 0:
            request = _Request(source, users)
        scope.log_records.append(_log(source, request, index * (WINDOW // records)))
    return Template(Signal.LOGS, records, message.SerializeToString())


def _span(source: random.Random, request: _Request, parent: bytes, offset: int) -> Span:
    layer, message = source.choice(_EVENTS)
    duration = min(int(source.lognormvariate(3, 1.2) * 1e6), WINDOW - offset - 1)
    return Span(
        trace_id=request.trace,
        span_id=source.randbytes(8),
        parent_span_id=parent,
        name=message.split(":")[0],
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_UPPER | offset,
        end_time_unix_nano=_UPPER | (offset + duration),
        status=Status(code=Status.STATUS_CODE_OK),
        attributes=[
            _text("user.id", request.user),
            _text("session.id", request.session),
            _text("tenant.id", request.tenant),
            _text("layer", layer),
            _text("prompt", _fill(source, "what does the {w} contract say on {w2}, and since when")),
            _integer("items", source.randrange(5000)),
            _double("cost_usd", round(source.random() / 100, 6)),
        ],
    )


def span_template(records: int = 500, *, seed: int = 0, users: int = 20_000, per_trace: int = 10) -> Template:
    """Encode a request of spans: about 286 bytes and 7 attributes each, `per_trace` of them in a trace."""
    source = random.Random(seed)
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add(resource=_resource(source))
    scope = resource.scope_spans.add()
    scope.scope.name = "rag.pipeline"
    request, parent = _Request(source, users), b""
    for index in range(records):
        if index % per_trace == 0:
            request, parent = _Request(source, users), b""
        span = _span(source, request, parent, index * (WINDOW // (records + 1)))
        parent = span.span_id
        scope.spans.append(span)
    return Template(Signal.TRACES, records, message.SerializeToString())
