"""Load a collector, kill -9 its processes at random, then prove that every acknowledged record is stored exactly once.

    senders ──same bytes until acknowledged──▶ collector ◀──SIGKILL── killer
        └── ids of what was acknowledged ──────┐
    PostgreSQL ── ids of what is stored ───────┴──▶ Verdict

Senders retry as SDKs do, so a request whose answer was lost comes twice. The collector runs with its embedded
PostgreSQL, whose processes are killed too; a killed supervisor is started again, as systemd would do.
"""

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product

import grpc
import grpc.aio
import psutil
import psycopg
from ganglion_collector.otlp import Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Faults", "Verdict", "difference", "run_faults"]

_RECORDS = 20
_KEY = "fault.id"
_SERVICES = {
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
_STORED = {
    Signal.LOGS: "SELECT context->>'fault.id' FROM logs",
    Signal.TRACES: "SELECT attributes->>'fault.id' FROM spans",
}


@dataclass(frozen=True, slots=True)
class Faults:
    """How a run goes.

    `start` starts the collector and returns its process; it is called again when that was killed. `grpc` and `http`
    are its addresses, `dsn` its database. `patience` bounds each wait, in seconds.
    """

    start: Callable[[], subprocess.Popen[bytes]]
    grpc: str
    http: str
    dsn: str
    kills: int = 10
    seed: int = 0
    senders: int = 4
    """Senders for each signal and transport."""
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it; ids are given for the first few only."""

    kills: Mapping[str, int]
    requests: int
    acknowledged: int
    stored: int
    retries: int
    lost: Sequence[str]
    doubled: Sequence[str]
    unknown: Sequence[str]

    @property
    def exactly_once(self) -> bool:
        return not (self.lost or self.doubled or self.unknown)


@dataclass(slots=True)
class _Run:
    faults: Faults
    process: subprocess.Popen[bytes]
    random: random.Random
    sent: dict[Signal, set[str]] = field(default_factory=lambda: {Signal.LOGS: set(), Signal.TRACES: set()})
    """Ids of acknowledged records."""
    killed: Counter[str] = field(default_factory=Counter[str])
    requests: int = 0
    retries: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False


def _request(signal: Signal, ids: Sequence[str]) -> bytes:
    now = time.time_ns()
    if signal is Signal.LOGS:
        logs = ExportLogsServiceRequest()
        records = logs.resource_logs.add().scope_logs.add().log_records
        for name in ids:
            record = records.add(time_unix_nano=now, trace_id=random.randbytes(16))
            record.body.string_value = "fault test"
            record.attributes.add(key=_KEY).value.string_value = name
        return logs.SerializeToString()
    traces = ExportTraceServiceRequest()
    spans = traces.resource_spans.add().scope_spans.add().spans
    for name in ids:
        span = spans.add(trace_id=random.randbytes(16), span_id=random.randbytes(8), name="fault test")
        span.start_time_unix_nano = span.end_time_unix_nano = now
        span.attributes.add(key=_KEY).value.string_value = name
    return traces.SerializeToString()


Send = Callable[[bytes], Awaitable[bool]]
"""Send a request once; True if it was acknowledged."""


async def _send_all(run: _Run, name: str, signal: Signal, send: Send) -> None:
    number = 0
    while not run.stopping:
        ids = [f"{name}-{number}-{index}" for index in range(_RECORDS)]
        payload = _request(signal, ids)
        number += 1
        while not await send(payload):
            run.retries += 1
            await asyncio.sleep(run.random.uniform(0.02, 0.2))
        run.sent[signal].update(ids)
        run.requests += 1
        run.progress.set()


def _grpc_send(channel: grpc.aio.Channel, signal: Signal) -> Send:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_SERVICES[signal])

    async def send(payload: bytes) -> bool:
        try:
            await call(payload, timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                return False
            raise
        return True

    return send


def _http_send(address: str, signal: Signal) -> Send:
    host, _, port = address.rpartition(":")
    head = f"POST /v1/{signal} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-protobuf"

    async def exchange(payload: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"{head}\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
            return await reader.readuntil(b"\r\n")
        finally:
            writer.close()

    async def send(payload: bytes) -> bool:
        try:
            line = await asyncio.wait_for(exchange(payload), 10)
        except (OSError, EOFError, TimeoutError):
            return False
        status = int(line.split()[1])
        if status not in {200, 429, 502, 503, 504}:
            raise RuntimeError(f"the collector answered {status}")
        return status == 200

    return send


def _victims(run: _Run) -> dict[str, list[psutil.Process]]:
    """Return the processes that run, by kind."""
    if run.process.poll() is not None:
        raise RuntimeError(f"the collector stopped by itself with {run.process.returncode}")
    supervisor = psutil.Process(run.process.pid)
    found: dict[str, list[psutil.Process]] = {"supervisor": [supervisor]}
    for process in supervisor.children(recursive=True):
        with suppress(psutil.Error):
            found.setdefault(_kind(process), []).append(process)
    return found


def _kind(process: psutil.Process) -> str:
    if process.name().startswith("postgres"):
        parent = process.parent()
        backend = parent is not None and parent.name().startswith("postgres")
        return "PostgreSQL child" if backend else "PostgreSQL"
    line = " ".join(process.cmdline())
    if "ganglion_collector.child" not in line:
        return "other"
    return "receiver" if "receiver" in line else "worker"


def _kill_one(run: _Run) -> None:
    victims = _victims(run)
    victims.pop("other", None)
    kind = run.random.choice(sorted(victims))
    with suppress(psutil.NoSuchProcess):
        run.random.choice(victims[kind]).send_signal(signal.SIGKILL)
        run.killed[kind] += 1
    if kind == "supervisor":
        run.process.wait()
        run.process = run.faults.start()


async def _kill_all(run: _Run) -> None:
    """Kill until it is enough; mostly load flows again before the next kill, sometimes it does not yet."""
    await _progress(run)
    while run.killed.total() < run.faults.kills:
        await asyncio.sleep(run.random.uniform(0.0, 1.0))
        await asyncio.to_thread(_kill_one, run)
        if run.random.random() > 0.2:
            await _progress(run)
    await _progress(run)


async def _progress(run: _Run) -> None:
    """Return when a request was acknowledged from now on."""
    run.progress.clear()
    end = time.monotonic() + run.faults.patience
    while not run.progress.is_set():
        if run.process.poll() is not None:
            raise RuntimeError(f"the collector stopped by itself with {run.process.returncode} after {run.killed}")
        if time.monotonic() > end:
            raise RuntimeError(f"nothing was acknowledged for {run.faults.patience:.0f} s after {run.killed}")
        with suppress(TimeoutError):
            await asyncio.wait_for(run.progress.wait(), 1)


async def _load(run: _Run) -> None:
    options = [("grpc.max_reconnect_backoff_ms", 500)]
    async with grpc.aio.insecure_channel(run.faults.grpc, options) as channel, asyncio.TaskGroup() as tasks:
        for kind, index in product(_SERVICES, range(run.faults.senders)):
            tasks.create_task(_send_all(run, f"grpc{index}", kind, _grpc_send(channel, kind)))
            tasks.create_task(_send_all(run, f"http{index}", kind, _http_send(run.faults.http, kind)))
        await _kill_all(run)
        run.stopping = True


def _stored(dsn: str, kind: Signal) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [name for (name,) in connection.execute(_STORED[kind])]


async def _await_stored(run: _Run) -> dict[Signal, list[str]]:
    """Return the stored ids once all that was acknowledged is there and no more comes, or when patience is over."""
    end = time.monotonic() + run.faults.patience
    before: dict[Signal, list[str]] = {}
    while True:
        stored: dict[Signal, list[str]] = {}
        with suppress(psycopg.OperationalError):
            stored = {kind: await asyncio.to_thread(_stored, run.faults.dsn, kind) for kind in _SERVICES}
        complete = stored and all(run.sent[kind] <= set(stored[kind]) for kind in _SERVICES)
        settled = stored and all(len(stored[kind]) == len(before.get(kind, ())) for kind in _SERVICES)
        if (complete and settled) or time.monotonic() > end:
            return stored
        before = stored
        # The question is to another system, which tells no one when it is done.
        await asyncio.sleep(1)


def _verdict(run: _Run, stored: Mapping[Signal, Sequence[str]]) -> Verdict:
    differences = [difference(run.sent[kind], stored.get(kind, ())) for kind in _SERVICES]
    lost, doubled, unknown = ([name for part in kind for name in part][:10] for kind in zip(*differences, strict=True))
    return Verdict(
        kills=dict(run.killed),
        requests=run.requests,
        acknowledged=sum(map(len, run.sent.values())),
        stored=sum(map(len, stored.values())),
        retries=run.retries,
        lost=lost,
        doubled=doubled,
        unknown=unknown,
    )


def difference(sent: set[str], stored: Sequence[str]) -> Iterator[list[str]]:
    """Yield the ids that are lost, those stored more than once, those that were never acknowledged."""
    counted = Counter(stored)
    yield sorted(sent - counted.keys())
    yield sorted(name for name, times in counted.items() if times > 1)
    yield sorted(counted.keys() - sent)


async def run_faults(faults: Faults) -> Verdict:
    """Start the collector, load it, kill, wait until all is stored, stop it; say what is stored.

    Raises:
        RuntimeError: it did not recover within `faults.patience`, or answered what no server may.
    """
    run = _Run(faults, faults.start(), random.Random(faults.seed))
    try:
        await _load(run)
        return _verdict(run, await _await_stored(run))
    finally:
        run.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(run.process.wait, 30)
        run.process.kill()
        run.process.wait()
