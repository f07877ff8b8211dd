"""From the ack of a log to its being visible to a query, at 5,000 logs a second through the whole collector.

Requests of 50 logs come 100 times a second over gRPC. Of every fifth request one trace id is asked for, by a query on
its trace id over and over until a row comes back; the time from one answer to the next bounds the measuring error.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc.aio
import psycopg

from bench.collector import running_collector
from bench.data import Template, log_template
from bench.postgresql import running_postgresql, server
from bench.report import Budget, Figure, Scale, median, percentile

__all__ = ["run"]

_BUDGET = Budget(first=200, goal=50, better="less")
_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_RECORDS, _REQUESTS_A_SECOND, _PROBE_EVERY = 50, 100, 5
_BETWEEN_QUERIES = 0.001
_LOST_AFTER = 30.0


@dataclass(slots=True)
class _Probes:
    """Trace ids that were acknowledged (when) and not yet seen; seconds of those that were."""

    waiting: dict[str, float] = field(default_factory=dict[str, float])
    visible: list[float] = field(default_factory=list[float])
    acks: list[float] = field(default_factory=list[float])
    periods: list[float] = field(default_factory=list[float])
    late: float = 0.0
    over: bool = False


async def _send_one(call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], payload: bytes, probes: _Probes) -> float:
    begin = time.perf_counter()
    await call(payload)
    probes.acks.append(time.perf_counter() - begin)
    return time.perf_counter()


async def _probe(
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], template: Template, number: int, probes: _Probes
) -> None:
    acknowledged = await _send_one(call, template.stamp(number, time.time_ns()), probes)
    if number % _PROBE_EVERY == 0:
        probes.waiting[template.first_trace(number)] = acknowledged


async def _send(address: str, seconds: int, probes: _Probes) -> None:
    template = log_template(_RECORDS)
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as tasks:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_EXPORT)
        begin = time.perf_counter()
        for number in range(seconds * _REQUESTS_A_SECOND):
            due = begin + number / _REQUESTS_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            probes.late = max(probes.late, time.perf_counter() - due)
            tasks.create_task(_probe(call, template, number, probes))
    probes.over = True


async def _ask(dsn: str, probes: _Probes) -> None:
    query = "SELECT DISTINCT trace_id FROM logs WHERE trace_id = ANY(%s::uuid[])"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        before = time.perf_counter()
        while probes.waiting or not probes.over:
            await asyncio.sleep(_BETWEEN_QUERIES)
            if not probes.waiting:
                before = time.perf_counter()
                continue
            rows = await (await connection.execute(query, [list(probes.waiting)])).fetchall()
            now = time.perf_counter()
            probes.periods.append(now - before)
            before = now
            _note(probes, [trace.hex for (trace,) in rows], now)


def _note(probes: _Probes, seen: list[str], now: float) -> None:
    for trace in seen:
        probes.visible.append(now - probes.waiting.pop(trace))
    if probes.waiting and now - min(probes.waiting.values()) > _LOST_AFTER:
        raise RuntimeError(f"{len(probes.waiting)} acknowledged traces not visible after {_LOST_AFTER:.0f} s")


async def _measure(dsn: str, address: str, seconds: int) -> _Probes:
    probes = _Probes()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_send(address, seconds, probes))
        tasks.create_task(_ask(dsn, probes))
    return probes


def run(scale: Scale) -> Iterator[Figure]:
    """Yield the median and the 99th percentile, in milliseconds."""
    directory = scale.directory / "latency"
    with running_postgresql(server(directory / "database")) as dsn:
        exporters: dict[str, object] = {"postgresql": {"dsn": dsn}}
        with running_collector(directory / "collector", exporters) as collector:
            asyncio.run(_measure(dsn, collector.grpc, 2))
            probes = asyncio.run(_measure(dsn, collector.grpc, scale.pick(5, 60)))
    note = (
        f"{len(probes.visible)} probes; measuring error up to {median(probes.periods) * 1e3:.1f} ms at the median, "
        f"{percentile(probes.periods, 99) * 1e3:.1f} ms at p99; ack p50 {median(probes.acks) * 1e3:.1f} ms, "
        f"p99 {percentile(probes.acks, 99) * 1e3:.1f} ms; the sender was {probes.late * 1e3:.0f} ms late at most"
    )
    yield Figure("acknowledged to visible, p50", median(probes.visible) * 1e3, "ms")
    yield Figure("acknowledged to visible, p99", percentile(probes.visible, 99) * 1e3, "ms", budget=_BUDGET, note=note)
