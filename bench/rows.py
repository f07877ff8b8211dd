"""OTLP to rows: the PostgreSQL exporter against a pre-encoded COPY of the same rows into the same table.

Ours converts journal records, copies them and moves its position, one transaction a batch. The reference copies bytes
that PostgreSQL itself wrote from those rows, in transactions of the same size, into the same emptied table with the
same indexes. The two take turns.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence

import psycopg
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
from bench.report import Budget, Figure, Scale, median

__all__ = ["run"]

_BUDGET = Budget(first=0.5, goal=0.9)


class _Comparison:
    """One table, written by ours and by the reference in turn."""

    def __init__(self, dsn: str, table: str, templates: Sequence[Template], size: int) -> None:
        self._dsn = dsn
        self._table = table
        self._templates = templates
        self._size = size
        self._rows = size * BATCH_REQUESTS * templates[0].records
        self._turn = 0

    async def ours(self) -> tuple[float, float]:
        """Return the seconds that exporting took, and the processor seconds of this process."""
        work = list(batches(self._templates, self._turn * self._size, self._size, time.time_ns()))
        self._turn += 1
        exporter = open_exporter(self._dsn)
        await exporter.start()
        try:
            begin, cpu = time.perf_counter(), time.process_time()
            await export_all(exporter, work)
            return time.perf_counter() - begin, time.process_time() - cpu
        finally:
            await exporter.shutdown()

    def reference(self) -> float:
        """Return the seconds that copying the rows of the last `ours` took."""
        with psycopg.connect(self._dsn) as connection:
            pieces = copied_out(connection, self._table, self._rows // self._size)
        self.empty()
        with psycopg.connect(self._dsn) as connection:
            begin = time.perf_counter()
            copy_in(connection, self._table, pieces)
            return time.perf_counter() - begin

    def empty(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(self._table)))
            connection.execute("CHECKPOINT")

    def figures(self, rounds: int) -> Iterator[Figure]:
        asyncio.run(self.ours())  # makes the schema, the partitions and the caches
        self.empty()
        ours: list[float] = []
        cpu: list[float] = []
        reference: list[float] = []
        for _ in range(rounds):
            seconds, used = asyncio.run(self.ours())
            ours.append(self._rows / seconds)
            cpu.append(used / self._rows * 1e6)
            reference.append(self._rows / self.reference())
            self.empty()
        note = f"rounds of {self._rows:,} rows: {_spread(ours)} against {_spread(reference)}"
        yield Figure(f"OTLP to {self._table}", median(ours), "rows/s", median(reference), _BUDGET, note)
        yield Figure(f"CPU of the exporter's process, {self._table}", median(cpu), "µs a row")


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):,.0f}-{max(values):,.0f}"


def run(scale: Scale) -> Iterator[Figure]:
    """Yield rows a second of logs and of spans."""
    size, rounds = scale.pick(3, 8), scale.pick(2, 5)
    with running_postgresql(server(scale.directory / "rows")) as dsn, database(dsn) as bench:
        logs = [log_template(seed=seed) for seed in range(64)]
        yield from _Comparison(bench, "logs", logs, size).figures(rounds)
        spans = [span_template(seed=seed) for seed in range(64)]
        yield from _Comparison(bench, "spans", spans, size).figures(rounds)
