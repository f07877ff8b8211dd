"""OTLP to rows: the PostgreSQL exporter against a pre-encoded COPY of the same rows into the same table.

Ours converts journal records, copies them and moves its position, one transaction a batch. The reference copies bytes
that PostgreSQL itself wrote from those rows, in transactions of the same size, into the same emptied table with the
same indexes. The two take turns.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from ganglion_collector.embedded import EmbeddedPostgreSQL
from psycopg import sql

from bench.data import Template, log_template, span_template
from bench.postgresql import (
    BATCH_REQUESTS,
    batches,
    copied_out,
    copy_in,
    database,
    export_all,
    open_exporter,
    running_postgresql,
    server,
)
from bench.processes import cpu_seconds, process_tree
from bench.report import Budget, Figure, Scale, median

__all__ = ["run"]

_BUDGET = Budget(first=0.5, goal=0.9)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Seconds of one turn: on the clock, of this process's processor, of PostgreSQL's."""

    wall: float
    client: float
    server: float


class _Stopwatch:
    """Times a turn; `embedded` is the server whose processes count."""

    def __init__(self, embedded: EmbeddedPostgreSQL) -> None:
        self._postmaster = int((embedded.data / "postmaster.pid").read_text().split()[0])
        self._begin = self._read()

    def turn(self) -> _Turn:
        return _Turn(*(now - before for now, before in zip(self._read(), self._begin, strict=True)))

    def _read(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), cpu_seconds(process_tree(self._postmaster))


class _Comparison:
    """One table, written by ours and by the reference in turn."""

    def __init__(
        self, embedded: EmbeddedPostgreSQL, dsn: str, table: str, templates: Sequence[Template], size: int
    ) -> None:
        self._embedded = embedded
        self._dsn = dsn
        self._table = table
        self._templates = templates
        self._size = size
        self._rows = size * BATCH_REQUESTS * templates[0].records
        self._number = 0

    async def ours(self) -> _Turn:
        """Export batches that were not exported before."""
        work = list(batches(self._templates, self._number * self._size, self._size, time.time_ns()))
        self._number += 1
        exporter = open_exporter(self._dsn)
        await exporter.start()
        try:
            watch = _Stopwatch(self._embedded)
            await export_all(exporter, work)
            return watch.turn()
        finally:
            await exporter.shutdown()

    def reference(self) -> _Turn:
        """Copy the rows of the last `ours` once more, after emptying the table."""
        with psycopg.connect(self._dsn) as connection:
            pieces = copied_out(connection, self._table, self._rows // self._size)
        self.empty()
        with psycopg.connect(self._dsn) as connection:
            watch = _Stopwatch(self._embedded)
            copy_in(connection, self._table, pieces)
            return watch.turn()

    def empty(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(self._table)))
            connection.execute("CHECKPOINT")

    def figures(self, rounds: int) -> Iterator[Figure]:
        asyncio.run(self.ours())  # makes the schema, the partitions and the caches
        self.empty()
        ours: list[_Turn] = []
        reference: list[_Turn] = []
        for _ in range(rounds):
            ours.append(asyncio.run(self.ours()))
            reference.append(self.reference())
            self.empty()
        rates, reference_rates = ([self._rows / turn.wall for turn in turns] for turns in (ours, reference))
        note = f"rounds of {self._rows:,} rows: {_spread(rates)} against {_spread(reference_rates)}; load {_load()}"
        yield Figure(f"OTLP to {self._table}", median(rates), "rows/s", median(reference_rates), _BUDGET, note)
        client = median(turn.client for turn in ours) / self._rows
        yield Figure(f"CPU of the exporter's process, {self._table}", client * 1e6, "µs a row")
        mine, theirs = (median(turn.server for turn in turns) / self._rows for turns in (ours, reference))
        yield Figure(f"CPU of PostgreSQL, {self._table}", mine * 1e6, "µs a row", theirs * 1e6)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):,.0f}-{max(values):,.0f}"


def run(scale: Scale) -> Iterator[Figure]:
    """Yield rows a second of logs and of spans."""
    size, rounds = scale.pick(2, 8), 7
    embedded = server(scale.directory / "rows")
    with running_postgresql(embedded) as dsn, database(dsn) as bench:
        logs = [log_template(seed=seed) for seed in range(64)]
        yield from _Comparison(embedded, bench, "logs", logs, size).figures(rounds)
        spans = [span_template(seed=seed) for seed in range(64)]
        yield from _Comparison(embedded, bench, "spans", spans, size).figures(rounds)
