"""Load a collector, kill -9 its processes at random, then prove that all that was acknowledged counts exactly once.

    senders ──same bytes until acknowledged──▶ collector ◀──SIGKILL── killer
        └── what was acknowledged ─────────────┐
    PostgreSQL ── ids of what is stored ───────┼──▶ Verdict
    page for Prometheus ── what is counted ────┘

Senders retry as SDKs do, so a request whose answer was lost comes twice. The collector runs with its embedded
PostgreSQL, whose processes are killed too; a killed supervisor is started again, as systemd would do.
"""

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from math import nan

import grpc.aio
import psutil
import psycopg
from ganglion_collector.otlp import Signal

from bench.collector import page_sums
from bench.fault_load import SERVICES, Send, grpc_send, http_send, request

__all__ = ["Faults", "Verdict", "difference", "run_faults"]

_RECORDS = 20
_STORED = {
    Signal.LOGS: "SELECT context->>'fault.id' FROM logs",
    Signal.TRACES: "SELECT attributes->>'fault.id' FROM spans",
}
_SHOWN = {
    "traces_span_metrics_calls_total": Signal.TRACES,
    "traces_span_metrics_duration_milliseconds_count": Signal.TRACES,
    "log_record_count_total": Signal.LOGS,
    "fault_points_total": Signal.METRICS,
}
"""Sums on the page, and what each counts the records of."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How a run goes.

    `start` starts the collector and returns its process; it is called again when that was killed. `grpc` and `http`
    are its addresses, `page` that of its `prometheus` exporter, `dsn` its database. `patience` bounds each wait, in
    seconds.
    """

    start: Callable[[], subprocess.Popen[bytes]]
    grpc: str
    http: str
    page: str
    dsn: str
    kills: int = 10
    seed: int = 0
    senders: int = 4
    """Senders for each signal and transport."""
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it; ids are given for the first few only.

    `counted` has what each sum on the page must be, and what it is.
    """

    kills: Mapping[str, int]
    requests: int
    acknowledged: int
    stored: int
    retries: int
    lost: Sequence[str]
    doubled: Sequence[str]
    unknown: Sequence[str]
    counted: Mapping[str, tuple[int, float]]

    @property
    def miscounted(self) -> Sequence[str]:
        """The sums on the page that are wrong."""
        return [name for name, (wanted, shown) in self.counted.items() if wanted != shown]

    @property
    def exactly_once(self) -> bool:
        return not (self.lost or self.doubled or self.unknown or self.miscounted)


@dataclass(slots=True)
class _Run:
    faults: Faults
    process: subprocess.Popen[bytes]
    random: random.Random
    sent: dict[Signal, set[str]] = field(default_factory=lambda: {kind: set[str]() for kind in SERVICES})
    """Ids of acknowledged records."""
    killed: Counter[str] = field(default_factory=Counter[str])
    requests: int = 0
    retries: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False


async def _send_all(run: _Run, name: str, signal: Signal, send: Send) -> None:
    number = 0
    while not run.stopping:
        ids = [f"{name}-{number}-{index}" for index in range(_RECORDS)]
        payload = request(signal, name, ids)
        number += 1
        while not await send(payload):
            run.retries += 1
            await asyncio.sleep(run.random.uniform(0.02, 0.2))
        run.sent[signal].update(ids)
        run.requests += 1
        run.progress.set()


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
    line = process.cmdline()
    return line[-1] if "ganglion_collector.child" in line else "other"


def _kill_one(run: _Run) -> None:
    victims = _victims(run)
    victims.pop("other", None)
    # Every kind has its turn, however few the kills.
    fewest = min(run.killed[kind] for kind in victims)
    kind = run.random.choice(sorted(kind for kind in victims if run.killed[kind] == fewest))
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
        for kind, index in product(SERVICES, range(run.faults.senders)):
            tasks.create_task(_send_all(run, f"grpc{index}", kind, grpc_send(channel, kind)))
            tasks.create_task(_send_all(run, f"http{index}", kind, http_send(run.faults.http, kind)))
        await _kill_all(run)
        run.stopping = True


@dataclass(frozen=True, slots=True)
class _Found:
    """What came out: ids of stored records, sums on the page; empty where there was no answer."""

    stored: Mapping[Signal, Sequence[str]] = field(default_factory=dict[Signal, Sequence[str]])
    shown: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def amounts(self) -> tuple[object, ...]:
        return (*map(len, self.stored.values()), *self.shown.values())


def _find(faults: Faults) -> _Found:
    try:
        with psycopg.connect(faults.dsn, autocommit=True) as connection:
            stored = {kind: [name for (name,) in connection.execute(query)] for kind, query in _STORED.items()}
        return _Found(stored, page_sums(faults.page, _SHOWN))
    except (psycopg.OperationalError, OSError):
        return _Found()


def _is_complete(run: _Run, found: _Found) -> bool:
    stored = all(run.sent[kind] <= set(found.stored.get(kind, ())) for kind in _STORED)
    return stored and all(len(run.sent[kind]) <= found.shown.get(name, -1) for name, kind in _SHOWN.items())


async def _await_all(run: _Run) -> _Found:
    """Return what came out once all that was acknowledged did and no more comes, or when patience is over."""
    end = time.monotonic() + run.faults.patience
    before = _Found()
    while True:
        found = await asyncio.to_thread(_find, run.faults)
        if (_is_complete(run, found) and found.amounts == before.amounts) or time.monotonic() > end:
            return found
        before = found
        # Longer than a connector's pause between two flushes; nobody tells when no more comes.
        await asyncio.sleep(1.5)


def _verdict(run: _Run, found: _Found) -> Verdict:
    differences = [difference(run.sent[kind], found.stored.get(kind, ())) for kind in _STORED]
    lost, doubled, unknown = ([name for part in kind for name in part][:10] for kind in zip(*differences, strict=True))
    return Verdict(
        kills=dict(run.killed),
        requests=run.requests,
        acknowledged=sum(len(run.sent[kind]) for kind in _STORED),
        stored=sum(map(len, found.stored.values())),
        retries=run.retries,
        lost=lost,
        doubled=doubled,
        unknown=unknown,
        counted={name: (len(run.sent[kind]), found.shown.get(name, nan)) for name, kind in _SHOWN.items()},
    )


def difference(sent: set[str], stored: Sequence[str]) -> Iterator[list[str]]:
    """Yield the ids that are lost, those stored more than once, those that were never acknowledged."""
    counted = Counter(stored)
    yield sorted(sent - counted.keys())
    yield sorted(name for name, times in counted.items() if times > 1)
    yield sorted(counted.keys() - sent)


async def run_faults(faults: Faults) -> Verdict:
    """Start the collector, load it, kill, wait until all came out, stop it; say what did.

    Raises:
        RuntimeError: it did not recover within `faults.patience`, or answered what no server may.
    """
    run = _Run(faults, faults.start(), random.Random(faults.seed))
    try:
        await _load(run)
        return _verdict(run, await _await_all(run))
    finally:
        run.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(run.process.wait, 30)
        run.process.kill()
        run.process.wait()
