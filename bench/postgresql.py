"""A PostgreSQL of the bench's own: the embedded server with the settings that `ganglion up` gives it, all durable."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from uuid import uuid4

import psycopg
from ganglion_collector.component import Batch, Exporter, Position, Record, Source
from ganglion_collector.embedded import EmbeddedPostgreSQL
from ganglion_exporters.postgresql import factory
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench.data import Template
from bench.processes import started

__all__ = [
    "BATCH_REQUESTS",
    "batches",
    "columns",
    "copied_out",
    "copy_in",
    "database",
    "export_all",
    "open_exporter",
    "running_postgresql",
    "server",
    "table_bytes",
]

BATCH_REQUESTS = 32
"""Requests of 500 records in a batch: 16,000 items, the worker's bound."""


def server(directory: Path) -> EmbeddedPostgreSQL:
    """Return a server to be started, its data under `directory`; its socket's address is known before it runs."""
    directory.mkdir(parents=True, exist_ok=True)
    for folder in directory.parents:
        # A temporary folder is its maker's alone; the server's user, another one when root, passes through it.
        if folder.name.startswith("ganglion-bench-"):
            folder.chmod(0o711)
    return EmbeddedPostgreSQL(directory)


@contextmanager
def running_postgresql(embedded: EmbeddedPostgreSQL) -> Iterator[str]:
    """Run `embedded` until the block ends; give its DSN."""
    embedded.prepare()
    command = embedded.command()
    log = embedded.home / "postgres.log"
    with started(command.argv, log, command.env, signal.SIGINT):
        asyncio.run(embedded.wait_ready())
        yield embedded.dsn


@contextmanager
def database(dsn: str) -> Iterator[str]:
    """Make an empty database for the block; give its DSN."""
    name = f"bench_{uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield make_conninfo(dsn, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def open_exporter(dsn: str) -> Exporter:
    """Return the product's exporter with its default configuration, not started."""
    return factory.create(factory.config.model_validate({"dsn": dsn}))


def batches(templates: Sequence[Template], first: int, count: int, time_ns: int, step_ns: int = 0) -> Iterator[Batch]:
    """Yield `count` batches as a worker cuts them, of requests numbered from `first * BATCH_REQUESTS` on.

    Request n has its records at `time_ns + n * step_ns`. A fresh journal identity for each call.
    """
    source = Source(uuid4(), "bench")
    for batch in range(first, first + count):
        numbers = range(batch * BATCH_REQUESTS, (batch + 1) * BATCH_REQUESTS)
        records = tuple(_record(templates[number % len(templates)], number, time_ns, step_ns) for number in numbers)
        yield Batch(
            signal=records[0].signal,
            records=records,
            source=source,
            start=Position(numbers.start),
            end=Position(numbers.stop),
        )


def _record(template: Template, number: int, time_ns: int, step_ns: int) -> Record:
    time = time_ns + number * step_ns
    payload = template.stamp(number, time)
    return Record(number, template.signal, "otlp", time, template.records, payload)


async def export_all(exporter: Exporter, work: Sequence[Batch]) -> None:
    for batch in work:
        await exporter.export(batch)


def columns(connection: psycopg.Connection, table: str) -> sql.Composable:
    """Return the columns that a COPY may write, for an SQL statement."""
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s "
        "AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    )
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)


def copied_out(connection: psycopg.Connection, table: str, rows: int) -> list[bytes]:
    """Return `table` in COPY's text format, in pieces of `rows` rows."""
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns(connection, table), sql.Identifier(table))
    with connection.cursor().copy(statement) as copy:
        lines = (bytes(line) for line in copy)
        pieces: list[bytes] = []
        while piece := b"".join(islice(lines, rows)):
            pieces.append(piece)
        return pieces


def copy_in(connection: psycopg.Connection, table: str, pieces: Sequence[bytes]) -> None:
    """Copy each piece into `table` in a transaction of its own, 128 KiB a message as the exporter would."""
    names = columns(connection, table)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    connection.commit()
    for piece in pieces:
        with connection.transaction(), connection.cursor().copy(statement) as copy:
            view = memoryview(piece)
            for start in range(0, len(view), 131072):
                copy.write(view[start : start + 131072])


def table_bytes(connection: psycopg.Connection, table: str) -> dict[str, int]:
    """Return the bytes of `table` with all its partitions: of its `heap`, of its `indexes`, and `total`."""
    row = connection.execute(
        "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)), sum(pg_total_relation_size(relid)) "
        "FROM pg_partition_tree(%s::regclass)",
        [table],
    ).fetchone()
    heap, indexes, total = row or (0, 0, 0)
    return {"heap": int(heap), "indexes": int(indexes), "total": int(total)}
