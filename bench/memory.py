"""Resident memory of every process during a backlog, and how fast the backlog then goes into PostgreSQL.

PostgreSQL is down while logs are acknowledged at full speed; then it starts and the worker drains the journal.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from bench.collector import Collector, running_collector
from bench.load import Load, Outcome
from bench.load import run as send
from bench.postgresql import BATCH_REQUESTS, copied_out, copy_in, running_postgresql, server
from bench.processes import MemoryPeak, wait_until, watch_memory
from bench.report import Budget, Figure, Scale

__all__ = ["run"]

_MEMORY = Budget(first=150, goal=100, better="less")
_ROWS = Budget(first=0.5, goal=0.9)
_RECORDS = 500
_RETRY = {"initial_interval": "200ms", "max_interval": "500ms"}


def _memory(peaks: Mapping[str, MemoryPeak], backlog_bytes: int) -> Iterator[Figure]:
    for name, peak in sorted(peaks.items()):
        note = f"{peak.proportional / 2**20:.0f} proportional, {peak.anonymous / 2**20:.0f} anonymous at the peak"
        note += f"; backlog {backlog_bytes / 2**20:.0f} MiB"
        budget = None if name == "postgresql" else _MEMORY
        yield Figure(f"resident, {name}", peak.resident / 2**20, "MiB", budget=budget, note=note)


def _drain(collector: Collector, dsn: str, rows: int) -> Figure:
    def sent() -> float:
        return collector.metric("otelcol_exporter_sent_log_records")

    # The clock starts with the first batch: before it lie a retry's pause and the making of the schema.
    wait_until(sent, "the first batch", 60, 0.1)
    begin, before = time.perf_counter(), sent()
    wait_until(lambda: sent() >= rows, "the backlog to drain", 600, 0.1)
    ours = (rows - before) / (time.perf_counter() - begin)
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute("SELECT count(*) FROM logs").fetchone()
        if found != (rows,):
            raise RuntimeError(f"{rows} logs were acknowledged, {found} are stored")
        pieces = copied_out(connection, "logs", BATCH_REQUESTS * _RECORDS)
        connection.execute("TRUNCATE logs")
        connection.execute("CHECKPOINT")
    with psycopg.connect(dsn) as connection:
        begin = time.perf_counter()
        copy_in(connection, "logs", pieces)
        reference = rows / (time.perf_counter() - begin)
    return Figure("journal backlog to rows", ours, "rows/s", reference, _ROWS, f"{rows:,} logs, once")


def _backlog(collector: Collector, requests: int) -> Outcome:
    outcome = send(Load(collector.grpc, records=_RECORDS, requests=requests, stamped=True))
    if outcome.requests != requests:
        raise RuntimeError(f"{requests} requests were sent, {outcome.requests} acknowledged")
    return outcome


def _run(directory: Path, requests: int) -> Iterator[Figure]:
    embedded = server(directory / "database")
    exporters: dict[str, object] = {"postgresql": {"dsn": embedded.dsn, "retry_on_failure": _RETRY}}
    with running_collector(directory / "collector", exporters, wait_healthy=False) as collector:
        with watch_memory(collector.processes()) as peaks:
            outcome = _backlog(collector, requests)
            with running_postgresql(embedded) as dsn:
                yield _drain(collector, dsn, outcome.records)
        yield from _memory(peaks, outcome.size_bytes)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield the drain's rate against COPY, and the peak of each process in MiB."""
    yield from _run(scale.directory / "memory", scale.pick(400, 3200))
