"""Many rows in the table: how fast more go in, against an empty one, and how long the four lookups take.

All rows lie in the hour before now, so that the new ones meet the largest partition. Full and empty table take turns.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
from ganglion_query.model import LogFilter
from ganglion_query.reader import Reader

from bench.data import Template, log_template
from bench.postgresql import BATCH_REQUESTS, batches, database, export_all, open_exporter, running_postgresql, server
from bench.report import Budget, Figure, Scale, median, percentile
from bench.size import fill

__all__ = ["run"]

_HOUR = 3600 * 10**9
_ROWS_A_BATCH = BATCH_REQUESTS * 500
_BUDGET = Budget(first=0.8, goal=0.95)
_LOOKUPS = {
    "trace by id": Budget(50, 5, "less"),
    "errors of a user": Budget(100, 10, "less"),
    "an hour, newest 100": Budget(500, 100, "less"),
    "an hour, error rate of each logger": Budget(500, 100, "less"),
    "full text": Budget(1000, 200, "less"),
}
_SEARCHES = ("amber contract", "juniper", "fjord raven", "basalt pdf", "onyx turns")


async def _rate(dsn: str, templates: Sequence[Template], first: int, count: int) -> float:
    work = list(batches(templates, first, count, time.time_ns()))
    exporter = open_exporter(dsn)
    await exporter.start()
    try:
        begin = time.perf_counter()
        await export_all(exporter, work)
        return count * _ROWS_A_BATCH / (time.perf_counter() - begin)
    finally:
        await exporter.shutdown()


def _truncate(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE logs")


def _throughput(full: str, empty: str, templates: Sequence[Template], rows: int, rounds: int) -> Figure:
    with_rows: list[float] = []
    without: list[float] = []
    count, first = 6, rows // _ROWS_A_BATCH
    asyncio.run(_rate(empty, templates, 0, 1))
    for turn in range(rounds):
        _truncate(empty)
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        numbers = first + turn * count
        without.append(asyncio.run(_rate(empty, templates, numbers, count)))
        with_rows.append(asyncio.run(_rate(full, templates, numbers, count)))
    note = f"{rounds} rounds of {count * _ROWS_A_BATCH:,} rows; the budget says 50 M rows"
    return Figure(f"into {rows:,} rows, against none", median(with_rows), "rows/s", median(without), _BUDGET, note)


def _samples(dsn: str, count: int) -> list[tuple[str, str]]:
    """Return trace ids and users of random rows: users as often as they have logs."""
    query = "SELECT trace_id, user_id FROM logs TABLESAMPLE SYSTEM (1) WHERE trace_id IS NOT NULL LIMIT 20000"
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(query).fetchall()
    return [(trace.hex, user) for trace, user in random.Random(1).sample(rows, count)]


def _timed(name: str, calls: Sequence[Callable[[], object]]) -> Figure:
    seconds: list[float] = []
    for call in calls:
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    note = f"p95 of {len(calls)}; median {median(seconds) * 1e3:.1f} ms, longest {max(seconds) * 1e3:.0f} ms"
    return Figure(f"{name}, p95", percentile(seconds, 95) * 1e3, "ms", budget=_LOOKUPS[name], note=note)


def _lookups(dsn: str, count: int) -> Iterator[Figure]:
    reader = Reader(dsn)
    samples = _samples(dsn, count)
    now = datetime.now(UTC)
    day, hour = now - timedelta(days=1), LogFilter(since=now - timedelta(hours=1), until=now)
    searches = [LogFilter(search=words, since=day) for words in _SEARCHES] * (count // len(_SEARCHES))
    yield _timed("trace by id", [partial(reader.trace, trace) for trace, _ in samples])
    yield _timed("errors of a user", [partial(reader.errors, user=user, since=day) for _, user in samples])
    yield _timed("an hour, newest 100", [partial(reader.logs, hour)] * count)
    yield _timed("an hour, error rate of each logger", [partial(_error_rate, dsn, now)] * (count // 5))
    yield _timed("full text", [partial(reader.logs, search) for search in searches])


def _error_rate(dsn: str, now: datetime) -> None:
    query = (
        "SELECT logger, count(*), avg((level = 'ERROR')::int) FROM logs "
        "WHERE timestamp BETWEEN %s AND %s GROUP BY logger"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(query, [now - timedelta(hours=1), now]).fetchall()


def run(scale: Scale) -> Iterator[Figure]:
    """Yield the rate with and without rows, and the 95th percentile of each lookup."""
    count = scale.pick(32, 320)
    templates = [log_template(seed=seed) for seed in range(256)]
    with running_postgresql(server(scale.directory / "volume")) as dsn, database(dsn) as full, database(dsn) as empty:
        asyncio.run(fill(full, templates, 0, count, time.time_ns() - _HOUR, _HOUR // (count * BATCH_REQUESTS)))
        with psycopg.connect(full, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE) logs")
        yield from _lookups(full, scale.pick(20, 100))
        yield _throughput(full, empty, templates, count * _ROWS_A_BATCH, scale.pick(2, 5))
