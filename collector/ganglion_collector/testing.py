"""Parts for tests of components: OTLP destinations that answer as told, and exporters that fail on purpose.

async with OTLPSink() as sink:
sink.answers.append(Answer(http_status=503, http_headers={"retry-after": "2"}))
...                                   # send to sink.http_endpoint or sink.grpc_endpoint
received = await sink.received(1)     # what came, as soon as it is there
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias
from uuid import UUID

import grpc
import grpc.aio

from ganglion_collector.component import Batch, Exporter, Position, Record, Signal, Source
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import Request, count_items, parse_request, request_type

__all__ = [
    "Answer",
    "FlakyExporter",
    "MemoryExporter",
    "OTLPSink",
    "Received",
    "make_batch",
    "make_request",
]

_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_JOURNAL = UUID("00000000-0000-4000-8000-000000000001")
_SERVICES = {Signal.TRACES: "trace.v1.Trace", Signal.METRICS: "metrics.v1.Metrics", Signal.LOGS: "logs.v1.Logs"}


def make_request(signal: Signal, *names: str) -> Request:
    """Return a request of one item for each name: a span's name, a log's body, a gauge's name."""
    made = request_type(signal)()
    request: Any = made
    match signal:
        case Signal.TRACES:
            spans = request.resource_spans.add().scope_spans.add().spans
            for number, name in enumerate(names, 1):
                spans.add(name=name, trace_id=number.to_bytes(16), span_id=number.to_bytes(8))
        case Signal.LOGS:
            records = request.resource_logs.add().scope_logs.add().log_records
            for name in names:
                records.add().body.string_value = name
        case Signal.METRICS:
            metrics = request.resource_metrics.add().scope_metrics.add().metrics
            for name in names:
                metrics.add(name=name).gauge.data_points.add(as_int=1)
    return made


def make_batch(*requests: Request | bytes, signal: Signal = Signal.LOGS, first: int = 1, reader: str = "test") -> Batch:
    """Return a batch with one record for each request, numbered from `first` on; bytes need not be a request."""
    records = tuple(_record(signal, sequence, request) for sequence, request in enumerate(requests, first))
    end = Position(first + len(records))
    return Batch(signal, records, Source(_JOURNAL, reader), Position(first), end)


def _record(signal: Signal, sequence: int, request: Request | bytes) -> Record:
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    items = 1 if isinstance(request, bytes) else count_items(signal, request)
    return Record(sequence, signal, "otlp", 1_700_000_000_000_000_000, items, payload)


class MemoryExporter:
    """Keeps the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._running = False

    async def start(self) -> None:
        self._running = True

    async def export(self, batch: Batch) -> PartialSuccess | None:
        if not self._running:
            raise RetryableError("the exporter is not started or already shut down")
        self.batches.append(batch)
        return None

    async def shutdown(self) -> None:
        self._running = False

    @property
    def payloads(self) -> list[bytes]:
        return [record.payload for batch in self.batches for record in batch.records]


class FlakyExporter:
    """Passes batches on to `inner`, but fails.

    Args:
        inner: gets what does not fail.
        error_rate: share of attempts, 0 to 1, that end in a RetryableError.
        lose_answers: whether such an attempt reaches `inner` all the same, as when a connection breaks late.
        poison: records for which this is true make their whole batch fail permanently.
        seed: the same failures for the same seed.
    """

    def __init__(
        self,
        inner: Exporter,
        error_rate: float = 0.0,
        *,
        lose_answers: bool = False,
        poison: Callable[[Record], bool] = lambda _record: False,
        seed: int = 0,
    ) -> None:
        self._inner = inner
        self._error_rate = error_rate
        self._lose_answers = lose_answers
        self._poison = poison
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets
        self.attempts = 0
        """Calls of `export` so far."""

    async def start(self) -> None:
        await self._inner.start()

    async def export(self, batch: Batch) -> PartialSuccess | None:
        self.attempts += 1
        if any(self._poison(record) for record in batch.records):
            raise PermanentError("the batch holds a poisoned record")
        fails = self._random.random() < self._error_rate
        answer = await self._inner.export(batch) if not fails or self._lose_answers else None
        if fails:
            raise RetryableError("failed on purpose")
        return answer

    async def shutdown(self) -> None:
        await self._inner.shutdown()


@dataclass(frozen=True, slots=True)
class Answer:
    """How a sink answers one request, over gRPC by `grpc_*`, over HTTP by `http_*`.

    `delay` seconds pass first; `hang_up` closes an HTTP connection without an answer. `grpc_status_details` is a
    serialized `google.rpc.Status`.
    """

    grpc_code: grpc.StatusCode = grpc.StatusCode.OK
    grpc_message: str = ""
    grpc_status_details: bytes = b""
    http_status: int = 200
    http_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    delay: float = 0.0
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it reached a sink; header names are lower case, `body` is what stood on the wire for HTTP."""

    signal: Signal | None
    transport: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def parsed(self) -> Request:
        """Return the request; the body must not be compressed."""
        assert self.signal is not None
        return parse_request(self.signal, self.body)


class OTLPSink:
    """An OTLP destination on free ports of 127.0.0.1: keeps what comes and answers with `answers`, then `otherwise`.

    Args:
        otherwise: the answer when `answers` is empty, or what gives it for a request.
        tls: makes the HTTP side HTTPS.
        grpc_credentials: make the gRPC side TLS.
    """

    def __init__(
        self,
        otherwise: Answer | Callable[[Received], Answer] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        grpc_credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.otherwise = otherwise or Answer()
        self.answers: deque[Answer] = deque()
        self.requests: list[Received] = []
        self._tls = tls
        self._grpc_credentials = grpc_credentials
        self._arrived = asyncio.Condition()
        self._conversations: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._http = await asyncio.start_server(self._converse, "127.0.0.1", 0, ssl=self._tls)
        self._http_port = int(self._http.sockets[0].getsockname()[1])
        self._grpc = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        for signal, name in _SERVICES.items():
            service = f"opentelemetry.proto.collector.{name}Service"
            handler: _Handler = grpc.unary_unary_rpc_method_handler(self._method(signal, f"/{service}/Export"))
            self._grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
        if self._grpc_credentials is None:
            self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        else:
            self._grpc_port = self._grpc.add_secure_port("127.0.0.1:0", self._grpc_credentials)
        await self._grpc.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        conversations = list(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        await self._http.wait_closed()
        await self._grpc.stop(0)

    @property
    def http_endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._http_port}"

    @property
    def grpc_endpoint(self) -> str:
        return f"127.0.0.1:{self._grpc_port}"

    async def received(self, count: int, timeout: float = 10.0) -> Sequence[Received]:
        """Wait until `count` requests have come; raise TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _answer(self, request: Received) -> Answer:
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        answer = self._next_answer(request)
        await asyncio.sleep(answer.delay)
        return answer

    def _next_answer(self, request: Received) -> Answer:
        if self.answers:
            return self.answers.popleft()
        return self.otherwise if isinstance(self.otherwise, Answer) else self.otherwise(request)

    def _method(self, signal: Signal, path: str) -> Callable[[bytes, Any], Any]:
        async def export(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            headers = {key: str(value) for key, value in context.invocation_metadata() or ()}
            answer = await self._answer(Received(signal, "grpc", path, headers, body))
            if answer.grpc_status_details:
                context.set_trailing_metadata((("grpc-status-details-bin", answer.grpc_status_details),))
            if answer.grpc_code is not grpc.StatusCode.OK:
                await context.abort(answer.grpc_code, answer.grpc_message)
            return answer.body

        return export

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test has ended
        finally:
            self._conversations.discard(conversation)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        answer = await self._answer(await _read_request(reader))
        if not answer.hang_up:
            writer.write(_http_head(answer) + answer.body)
            await writer.drain()
        return not answer.hang_up


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip().split("\r\n")
    path = line.split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    last = path.rpartition("/")[2]
    return Received(Signal(last) if last in set(Signal) else None, "http", path, headers, body)


def _http_head(answer: Answer) -> bytes:
    headers = {
        "content-type": "application/x-protobuf",
        "content-length": str(len(answer.body)),
        **answer.http_headers,
    }
    lines = [f"HTTP/1.1 {answer.http_status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
