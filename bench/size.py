"""Bytes of a log and of a span in PostgreSQL, indexes included: realistic rows, users skewed, messages varied."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import psycopg

from bench.data import Template, log_template, span_template
from bench.postgresql import BATCH_REQUESTS, batches, database, open_exporter, running_postgresql, server, table_bytes
from bench.report import Budget, Figure, Scale

__all__ = ["fill", "run"]

_LOG_BUDGET = Budget(first=600, goal=400, better="less")
_HOUR = 3600 * 10**9


async def fill(dsn: str, templates: Sequence[Template], first: int, count: int, time_ns: int, step_ns: int) -> None:
    """Export `count` batches through the product's exporter."""
    exporter = open_exporter(dsn)
    await exporter.start()
    try:
        for batch in batches(templates, first, count, time_ns, step_ns):
            await exporter.export(batch)
    finally:
        await exporter.shutdown()


def _figure(dsn: str, table: str, templates: Sequence[Template], count: int) -> Figure:
    rows = count * BATCH_REQUESTS * templates[0].records
    step = 6 * _HOUR // (count * BATCH_REQUESTS)
    asyncio.run(fill(dsn, templates, 0, count, time.time_ns() - 6 * _HOUR, step))
    with psycopg.connect(dsn, autocommit=True) as connection:
        sizes = table_bytes(connection, table)
    sent = sum(len(template.payload) for template in templates) / sum(template.records for template in templates)
    note = (
        f"{rows:,} rows over 6 hours; heap {sizes['heap'] / rows:.0f}, indexes {sizes['indexes'] / rows:.0f}; "
        f"{sent:.0f} bytes of OTLP each"
    )
    budget = _LOG_BUDGET if table == "logs" else None
    return Figure(f"{table}, heap and indexes", sizes["total"] / rows, "bytes a row", budget=budget, note=note)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield bytes a row of logs and of spans."""
    count = scale.pick(4, 40)
    with running_postgresql(server(scale.directory / "size")) as dsn, database(dsn) as bench:
        yield _figure(bench, "logs", [log_template(seed=seed) for seed in range(256)], count)
        yield _figure(bench, "spans", [span_template(seed=seed) for seed in range(256)], count)
