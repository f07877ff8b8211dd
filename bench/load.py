"""A load generator in a process of its own: encoded OTLP requests over gRPC or HTTP, a fixed number in flight.

Every request differs from every other, since identical ones are recognised as retries. The latency of a request is
from handing its bytes to the client until its answer. `python -m bench.load` reads a `Load` as JSON and prints a
`Outcome` as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import grpc
import grpc.aio
from ganglion_collector.otlp import Signal

from bench.data import Stamped, Variants, log_template, span_template
from bench.metric_data import MetricRequests
from bench.report import percentile

__all__ = ["Load", "Outcome", "run"]

_SERVICES = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_PAUSE = 0.05
"""Seconds a sender waits after a refusal."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `requests` of `records` each if given, else as many as `seconds` allow after `warm_up` seconds."""

    address: str
    transport: str = "grpc"
    signal: str = "logs"
    records: int = 500
    in_flight: int = 8
    seconds: float = 3.0
    warm_up: float = 0.5
    requests: int = 0
    first_number: int = 0
    stamped: bool = False
    """Every trace id is new, at some cost to the client; else only the first of each request."""
    series: int = 1000
    """How many series the points of metrics belong to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was acknowledged within the measured time; latencies in seconds, sorted.

    `all_records` and `client_cpu` count the warm-up too.
    """

    records: int
    all_records: int
    requests: int
    refused: int
    size_bytes: int
    elapsed: float
    client_cpu: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Return acknowledged records a second."""
        return self.records / self.elapsed

    def latency(self, percent: float) -> float:
        return percentile(self.latencies, percent)


def run(load: Load) -> Outcome:
    """Send `load` from a new process and return what came of it.

    Raises:
        RuntimeError: the generator failed; its error output is the message.
    """
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()[-2000:]}")
    return Outcome(**json.loads(done.stdout))


Send = Callable[[bytes], Awaitable[bool]]
"""Send one request; True if acknowledged, False if the server asked for a later attempt."""
Payloads = Variants | Stamped | MetricRequests


class _Senders:
    """Concurrent senders that share a counter of requests."""

    def __init__(self, load: Load, payloads: Payloads) -> None:
        self._load = load
        self._payloads = payloads
        self._number = load.first_number
        self._last = load.first_number + load.requests if load.requests else None
        self._begin = time.perf_counter() + (0 if load.requests else load.warm_up)
        self._end = self._begin + load.seconds
        self._refused = 0
        self._size_bytes = 0
        self._all_requests = 0
        self._latencies: list[float] = []
        self._cpu = time.process_time()

    async def run(self, connect: Callable[[], Awaitable[Send]]) -> Outcome:
        senders = [await connect() for _ in range(self._load.in_flight)]
        await asyncio.gather(*(self._send_all(send) for send in senders))
        elapsed = time.perf_counter() - self._begin if self._last is not None else self._load.seconds
        requests = len(self._latencies)
        return Outcome(
            records=requests * self._load.records,
            all_records=self._all_requests * self._load.records,
            requests=requests,
            refused=self._refused,
            size_bytes=self._size_bytes,
            elapsed=elapsed,
            client_cpu=time.process_time() - self._cpu,
            latencies=sorted(self._latencies),
        )

    def _more(self) -> bool:
        return self._number < self._last if self._last is not None else time.perf_counter() < self._end

    async def _send_all(self, send: Send) -> None:
        while self._more():
            number, self._number = self._number, self._number + 1
            await self._send_one(send, self._payloads.payload(number))

    async def _send_one(self, send: Send, payload: bytes) -> None:
        started = time.perf_counter()
        while not await send(payload):
            self._refused += 1
            await asyncio.sleep(_PAUSE)
        now = time.perf_counter()
        self._all_requests += 1
        if now >= self._begin and (self._last is not None or now <= self._end):
            self._latencies.append(now - started)
            self._size_bytes += len(payload)


async def _send_grpc(load: Load, payloads: Payloads) -> Outcome:
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(load.address, options=options) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_SERVICES[load.signal])

        async def send(payload: bytes) -> bool:
            try:
                await call(payload)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return False
                raise
            return True

        async def connect() -> Send:
            return send

        return await _Senders(load, payloads).run(connect)


class _HTTPConnection:
    """One keep-alive connection of HTTP/1.1, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-protobuf\r\nContent-Length: "

    async def send(self, payload: bytes) -> bool:
        self._writer.write(f"{self._head}{len(payload)}\r\n\r\n".encode() + payload)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        await self._skip_body(head)
        status = int(head.split(b" ", 2)[1])
        if status not in {200, 429, 503}:
            raise RuntimeError(f"the server answered {status}")
        return status == 200

    async def _skip_body(self, head: bytes) -> None:
        _, found, value = head.partition(b"content-length:")
        if found:
            await self._reader.readexactly(int(value.split(b"\r\n", 1)[0]))
            return
        while (size := int(await self._reader.readline(), 16)) > 0:
            await self._reader.readexactly(size + 2)
        await self._reader.readline()


async def _send_http(load: Load, payloads: Payloads) -> Outcome:
    host, _, port = load.address.rpartition(":")

    async def connect() -> Send:
        reader, writer = await asyncio.open_connection(host, int(port))
        return _HTTPConnection(reader, writer, f"/v1/{load.signal}").send

    return await _Senders(load, payloads).run(connect)


def _payloads(load: Load) -> Payloads:
    if load.signal == Signal.METRICS:
        return MetricRequests(load.records, load.series)
    make = log_template if load.signal == Signal.LOGS else span_template
    template = make(load.records, seed=os.getpid())
    return Stamped(template, time.time_ns()) if load.stamped else template.variants(time.time_ns())


def _main() -> None:
    load = Load(**json.load(sys.stdin))
    payloads = _payloads(load)
    send = _send_http if load.transport == "http" else _send_grpc
    print(json.dumps(asdict(asyncio.run(send(load, payloads)))))


if __name__ == "__main__":
    _main()
