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
from ganglion_collector.component import Signal, Source
from ganglion_exporters.postgresql.partitions import Partitions, day_of, partition_name
from ganglion_exporters.postgresql.rows import TABLES, Clock, logs_to_copy
from psycopg import sql
from rich.console import Console
from rich.table import Table

from bench.data import Stamped, log_template
from bench.postgresql import database, open_exporter, running_postgresql, server

__all__ = ["CANDIDATES", "measure"]

_WORDS = "log_words(message, error, stack_trace)"
CANDIDATES = {
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


def _rows(count: int, now: int) -> Sequence[bytes]:
    clock = Clock.around(now, 86_400.0 * 2, 86_400.0 * 2)
    requests = [Stamped(log_template(seed=seed), now) for seed in range(32)]
    payloads = (requests[number % 32].payload(number) for number in range(count // 500))
    return [rows.data for payload in payloads for rows in logs_to_copy(payload, clock)]


async def _prepare(dsn: str, indexes: tuple[str, ...] | None) -> None:
    exporter = open_exporter(dsn)
    await exporter.start()
    await exporter.position(Source(UUID(int=0), "bench"))
    await exporter.shutdown()
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        if indexes is not None:
            for name in await _names(connection):
                await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
            for definition in indexes:
                await connection.execute(f"CREATE INDEX ON logs {definition}".encode())


async def _names(connection: psycopg.AsyncConnection) -> list[str]:
    cursor = await connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'logs'")
    return [name for (name,) in await cursor.fetchall()]


def _sizes(connection: psycopg.Connection, day: int) -> tuple[int, int]:
    query = "SELECT pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)"
    row = connection.execute(query, [partition_name("logs", day)] * 2).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
