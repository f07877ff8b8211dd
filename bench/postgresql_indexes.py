"""Which indexes the table of logs can afford: server CPU and bytes a row for each candidate, by COPY of the same rows.

    python -m bench postgresql_indexes [--rows 160000]

The choice and its reasons are in docs/decisions/0002-postgresql-schema.md.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
from ganglion_collector.component import Batch, Position, Signal, Source
from ganglion_exporters.postgresql.rows import TABLES, Clock, logs_to_copy
from psycopg import sql
from rich.console import Console
from rich.table import Table

from bench.data import Stamped, log_template
from bench.postgresql import database, open_exporter, running_postgresql, server, table_bytes

__all__ = ["CANDIDATES", "measure"]

_WORDS = "log_words(message, error, stack_trace)"
CANDIDATES: dict[str, tuple[str, ...] | None] = {
    "no index": (),
    "brin (timestamp)": ("USING brin (timestamp) WITH (pages_per_range = 32)",),
    "btree (timestamp)": ("(timestamp)",),
    "btree (trace_id)": ("(trace_id) WHERE trace_id IS NOT NULL",),
    "hash (trace_id)": ("USING hash (trace_id)",),
    "btree (user_id, timestamp)": ("(user_id, timestamp) WHERE user_id IS NOT NULL",),
    "btree (request_id)": ("(request_id) WHERE request_id IS NOT NULL",),
    "btree (level, timestamp)": ("(level, timestamp)",),
    "the same, errors only": ("(level, timestamp) WHERE level IN ('ERROR', 'CRITICAL')",),
    "gin (words)": (f"USING gin ({_WORDS})",),
    "gin (words), 16 MiB pending": (f"USING gin ({_WORDS}) WITH (gin_pending_list_limit = 16384)",),
    "gin (words), 64 MiB pending": (f"USING gin ({_WORDS}) WITH (gin_pending_list_limit = 65536)",),
    "gin (words), no fastupdate": (f"USING gin ({_WORDS}) WITH (fastupdate = off)",),
    "gin (context jsonb_path_ops)": ("USING gin (context jsonb_path_ops)",),
    "as shipped": None,
}
"""Index definitions on `logs`, each candidate alone; None leaves what the migrations made."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a row, of the wall clock and of the server's CPU, and bytes a row."""

    wall: float
    cpu: float
    heap: float
    indexes: float


def _chunks(count: int, now: int) -> Sequence[bytes]:
    clock = Clock.around(now, 86_400.0 * 2, 86_400.0 * 2)
    requests = [Stamped(log_template(seed=seed), now) for seed in range(32)]
    payloads = (requests[number % 32].payload(number) for number in range(count // 500))
    return [rows.data for payload in payloads for rows in logs_to_copy(payload, clock)]


async def _prepare(dsn: str, indexes: tuple[str, ...] | None) -> None:
    """Make the schema and today's partition, then put `indexes` in the place of those of the migrations."""
    exporter = open_exporter(dsn)
    await exporter.start()
    nothing = Batch(Signal.LOGS, (), Source(UUID(int=0), "bench"), Position(), Position(1))
    await exporter.export(nothing)
    await exporter.shutdown()
    if indexes is None:
        return
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'logs'")
        for (name,) in await cursor.fetchall():
            await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for definition in indexes:
            await connection.execute(f"CREATE INDEX ON logs {definition}".encode())


def _copy(connection: psycopg.Connection, chunks: Sequence[bytes]) -> None:
    """Copy the chunks, 32 in a transaction, as the exporter does."""
    columns = sql.SQL(", ").join(map(sql.Identifier, TABLES[Signal.LOGS].columns))
    statement = sql.SQL("COPY logs ({}) FROM STDIN").format(columns)
    for start in range(0, len(chunks), 32):
        with connection.transaction(), connection.cursor().copy(statement) as copy:
            for chunk in chunks[start : start + 32]:
                copy.write(chunk)


def measure(dsn: str, indexes: tuple[str, ...] | None, chunks: Sequence[bytes], rows: int) -> Cost:
    """Copy `chunks` into the empty database at `dsn`, its logs indexed as told."""
    asyncio.run(_prepare(dsn, indexes))
    with psycopg.connect(dsn, autocommit=True) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        before, begin = backend.cpu_times(), time.perf_counter()
        _copy(connection, chunks)
        wall, after = time.perf_counter() - begin, backend.cpu_times()
        cpu = after.user + after.system - before.user - before.system
        sizes = table_bytes(connection, "logs")
    return Cost(wall / rows * 1e6, cpu / rows * 1e6, sizes["heap"] / rows, sizes["indexes"] / rows)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=160_000)
    rows = parser.parse_args().rows
    table = Table("index", "µs a row", "server CPU µs a row", "heap bytes", "index bytes")
    chunks = _chunks(rows, time.time_ns())
    with (
        tempfile.TemporaryDirectory(prefix="ganglion-bench-") as folder,
        running_postgresql(server(Path(folder) / "indexes")) as dsn,
    ):
        for name, indexes in CANDIDATES.items():
            with database(dsn) as fresh:
                cost = measure(fresh, indexes, chunks, rows)
            table.add_row(name, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.heap:.0f}", f"{cost.indexes:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    _main()
