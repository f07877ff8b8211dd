"""A database with days of a RAG application's logs and spans in it, to be asked.

    python -m bench.history --directory D [--logs 10000000] [--days 10] [--seed 0] [--until ISO]

fills a PostgreSQL of its own in D (once: a database that is there is used again), prints its DSN and runs until Ctrl-C.
With `--dsn` it fills the empty database at that DSN instead. The same seed and `--until` make the same rows: ten logs
for each span, about twelve spans for each trace. What happens when is told in `bench.stories`.
"""

import argparse
import asyncio
import bisect
import itertools
import json
import math
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from ganglion_collector.component import Batch, Position, Signal, Source
from ganglion_collector.embedded import EmbeddedPostgreSQL
from ganglion_exporters.postgresql.partitions import Partitions, day_of
from ganglion_exporters.postgresql.rows import TABLES
from psycopg import AsyncConnection, sql

from bench.postgresql import open_exporter, running_postgresql, server
from bench.stencils import Copied, Filling, cut
from bench.stories import ERAS, FAULTS, KINDS, Era, Story, background, resources
from bench.story import told

__all__ = ["History", "fill_history", "made_history"]

_ABOUT = "Make a database with days of a RAG application's logs and spans in it."
_SLOT = timedelta(minutes=10)
_INCIDENT = (0.82, timedelta(minutes=40))
_USERS, _TENANTS, _WORDS, _DOCUMENTS = 20_000, 40, 30_000, 4_000
_BATCH_ROWS = 16_000
_WRITERS = 2
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "wa", "ze")
# For filling only: what is lost with the machine is made again.
_FILLING = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class History:
    """What is in a database; both times are aware."""

    since: datetime
    until: datetime
    logs: int
    spans: int
    traces: int
    incident: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What every worker must know."""

    dsn: str
    seed: int
    since: datetime
    until: datetime
    traces: int
    variants: int


class _Choice:
    """Draws ranks of a Zipf distribution."""

    def __init__(self, count: int, exponent: float) -> None:
        self._sums = list(itertools.accumulate(1 / rank**exponent for rank in range(1, count + 1)))

    def draw(self, source: random.Random) -> int:
        return bisect.bisect(self._sums, source.random() * self._sums[-1])


class _Author:
    """Tells who asks what."""

    def __init__(self, seed: int) -> None:
        source = random.Random(f"{seed} words")
        self._words = [_word(source, rank) for rank in range(_WORDS)]
        self._word, self._user, self._document = _Choice(_WORDS, 1.0), _Choice(_USERS, 1.05), _Choice(_DOCUMENTS, 0.9)

    def texts(self, source: random.Random) -> Mapping[str, str]:
        user = self._user.draw(source)
        document = self._document.draw(source)
        return {
            "trace": f"{source.getrandbits(128) | 1:032x}",
            "span": f"{source.getrandbits(32):08x}",
            "user": f"user-{user:05d}",
            "tenant": f"tenant-{user * 7919 % _TENANTS:02d}",
            "session": f"s-{user:05d}-{source.randrange(40):02d}",
            "request": f"req-{source.getrandbits(64):016x}",
            "document": f"{self._words[document * 7]}-{document}.pdf",
            "question": self._text(source, source.randrange(5, 12)),
            "answer": self._text(source, source.randrange(30, 120)),
        }

    def _text(self, source: random.Random, words: int) -> str:
        return " ".join([self._words[self._word.draw(source)] for _ in range(words)])


def _word(source: random.Random, rank: int) -> str:
    """Return a word, the frequent ones short."""
    syllables = source.choices(_SYLLABLES, k=2 + (rank > 50) + (rank > 1000))
    return "".join(syllables) + ("" if rank < 400 else str(rank % 97))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The stencils of one era by kind of request."""

    kinds: Sequence[Sequence[Copied]]
    loose: Sequence[Copied]


def _shelf(era: Era, seed: int, variants: int) -> _Shelf:
    source = random.Random(f"{seed} {era}")
    kinds: list[list[Copied]] = []
    for make, share in KINDS.items():
        count = max(2, math.ceil(variants * min(1.0, share * 2)))
        kinds.append([_copied(source, era, Story(source, era), make) for _ in range(count)])
    loose = [cut(told(source, None, background(source), resources(era, source))) for _ in range(20)]
    return _Shelf(kinds, loose)


def _copied(source: random.Random, era: Era, story: Story, make: Any) -> Copied:
    return cut(told(source, story.chatter(make(story)), (), resources(era, source)))


def _rows_of_a_trace(shelves: Sequence[_Shelf]) -> float:
    means = [[sum(one.logs.rows for one in kind) / len(kind) for kind in shelf.kinds] for shelf in shelves]
    return sum(sum(m * share for m, share in zip(mean, KINDS.values(), strict=True)) for mean in means) / len(means)


def _rate(moment: datetime) -> float:
    """Return how busy it is: a wave over the day, quiet weekends."""
    hour = moment.hour + moment.minute / 60
    day = 0.3 + max(0.0, math.sin((hour - 6) / 14 * math.pi)) if 6 <= hour <= 20 else 0.3
    return day * (0.5 if moment.weekday() >= 5 else 1.0)


def _slots(plan: _Plan) -> list[tuple[datetime, int]]:
    """Return the beginning of every ten minutes, and how many traces begin in them."""
    times = [plan.since + _SLOT * number for number in range(math.ceil((plan.until - plan.since) / _SLOT))]
    sums = list(itertools.accumulate(_rate(moment) for moment in times))
    ends = [round(plan.traces * one / sums[-1]) for one in sums]
    return [(moment, end - begin) for moment, begin, end in zip(times, [0, *ends], ends, strict=False)]


class _Writer:
    """Copies rows into one table, in transactions as large as the exporter's."""

    def __init__(self, connection: psycopg.Connection, signal_: Signal) -> None:
        table = TABLES[signal_]
        names = sql.SQL(", ").join(map(sql.Identifier, (*table.columns, "created_at")))
        self._statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), names)
        self._connection = connection
        self._waiting: list[str] = []
        self._rows = 0
        self.written = 0

    def add(self, text: str, rows: int) -> None:
        self._waiting.append(text)
        self._rows += rows
        if self._rows >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        with self._connection.transaction(), self._connection.cursor().copy(self._statement) as copy:
            for start in range(0, len(self._waiting), 8):
                copy.write("".join(self._waiting[start : start + 8]))
        self.written += self._rows
        self._waiting, self._rows = [], 0


class _Worker:
    """Fills whole days."""

    def __init__(self, plan: _Plan, shelves: Sequence[_Shelf]) -> None:
        self._plan, self._shelves = plan, shelves
        self._author = _Author(plan.seed)

    def fill(self, slots: Sequence[tuple[datetime, int]]) -> tuple[int, int, int]:
        """Fill some slots in their order; return how many logs, spans and traces that were."""
        with psycopg.connect(self._plan.dsn, autocommit=True) as connection:
            logs, spans = _Writer(connection, Signal.LOGS), _Writer(connection, Signal.TRACES)
            for moment, count in slots:
                for filling, copied in self._traces(moment, count):
                    logs.add(copied.logs.fill(filling), copied.logs.rows)
                    if copied.spans.rows:
                        spans.add(copied.spans.fill(filling), copied.spans.rows)
            logs.flush()
            spans.flush()
        return logs.written, spans.written, sum(count for _, count in slots)

    def _traces(self, moment: datetime, count: int) -> Iterator[tuple[Filling, Copied]]:
        plan = self._plan
        source = random.Random(f"{plan.seed} {(moment - plan.since) // _SLOT}")
        share = (moment - plan.since) / (plan.until - plan.since)
        shelf = self._shelves[max(number for number, era in enumerate(ERAS) if era.begins <= share)]
        begin = _INCIDENT[0]
        is_faulty = begin <= share < begin + _INCIDENT[1] / (plan.until - plan.since)
        weights = list(itertools.accumulate((FAULTS if is_faulty else KINDS).values()))
        start, length = round(moment.timestamp() * 1e6), _SLOT // timedelta(microseconds=1)
        times = sorted((source.random(), True) for _ in range(count)) + [(number / 5, False) for number in range(5)]
        for at, is_request in sorted(times):
            kind = source.choices(shelf.kinds, cum_weights=weights)[0] if is_request else shelf.loose
            yield (
                Filling(start + int(at * length), source.lognormvariate(0, 0.3), self._author.texts(source)),
                source.choice(kind),
            )


def _work(plan: _Plan, shelves: Sequence[_Shelf], slots: Sequence[tuple[datetime, int]]) -> tuple[int, int, int]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _Worker(plan, shelves).fill(slots)


async def _prepare(dsn: str, days: range, shelves: Sequence[_Shelf]) -> None:
    """Make the exporter's schema, a partition for each day, and the resources."""
    exporter = open_exporter(dsn)
    await exporter.start()
    await exporter.export(Batch(Signal.LOGS, (), Source(UUID(int=0), "history"), Position(), Position(1)))
    await exporter.shutdown()

    @asynccontextmanager
    async def connect() -> Any:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            yield connection

    partitions = Partitions("public", connect)
    for table in TABLES.values():
        await partitions.ensure(table.name, days)
    copied = [one for shelf in shelves for kind in (*shelf.kinds, shelf.loose) for one in kind]
    known = {identity: resource.row for one in copied for identity, resource in one.resources.items()}
    async with connect() as connection, connection.cursor() as cursor:
        statement = "INSERT INTO resources (id, service_name, attributes, schema_url) VALUES (%s, %s, %s, %s)"
        await cursor.executemany(statement, [(identity, *row) for identity, row in sorted(known.items())])


def fill_history(dsn: str, logs: int, days: float, *, seed: int = 0, until: datetime | None = None) -> History:
    """Fill the empty database at `dsn` with about `logs` logs and a tenth as many spans, and analyse it."""
    begin = time.monotonic()
    until = until or datetime.now(UTC).replace(second=0, microsecond=0)
    since = until - timedelta(days=days)
    variants = 12 if logs < 100_000 else 60 if logs < 1_000_000 else 150
    shelves = [_shelf(era, seed, variants) for era in ERAS]
    background_logs = days * 86_400 / _SLOT.total_seconds() * 5 * 4.1
    traces = max(1, round((logs - background_logs) / _rows_of_a_trace(shelves)))
    plan = _Plan(dsn, seed, since, until, traces, variants)
    asyncio.run(_prepare(dsn, range(day_of(since), day_of(until) + 2), shelves))
    # Two write at once, each into days of its own: new processes, as one forked from threads need not live.
    parts = [[slot for slot in _slots(plan) if day_of(slot[0]) % _WRITERS == number] for number in range(_WRITERS)]
    with ProcessPoolExecutor(_WRITERS, mp_context=get_context("spawn")) as pool:
        counts = list(pool.map(partial(_work, plan, shelves), parts))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    logs_written, spans, traces = (sum(column) for column in zip(*counts, strict=True))
    incident = since + _INCIDENT[0] * (until - since)
    return History(since, until, logs_written, spans, traces, incident, time.monotonic() - begin)


def made_history(home: Path, logs: int, days: float, *, seed: int = 0, until: datetime | None = None) -> History:
    """Return what is in the server's data under `home`; fill them first if there are none. The server must not run."""
    note = home / "history.json"
    if note.exists():
        known = json.loads(note.read_text())
        times = {name: datetime.fromisoformat(known[name]) for name in ("since", "until", "incident")}
        return History(**{**known, **times})
    with running_postgresql(EmbeddedPostgreSQL(server(home).home, settings=_FILLING)) as dsn:
        made = fill_history(dsn, logs, days, seed=seed, until=until)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
    note.write_text(json.dumps(asdict(made), default=datetime.isoformat))
    return made


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=_ABOUT)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--directory", type=Path, help="folder of the database")
    where.add_argument("--dsn", help="an empty database to fill")
    parser.add_argument("--logs", type=int, default=10_000_000)
    parser.add_argument("--days", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", type=datetime.fromisoformat, help="when it ends, with its offset (default: now)")
    return parser.parse_args()


def _main() -> None:
    arguments = _arguments()
    given = {"seed": arguments.seed, "until": arguments.until}
    with ExitStack() as stack:
        if arguments.dsn:
            print(fill_history(arguments.dsn, arguments.logs, arguments.days, **given))
            return
        home = arguments.directory.resolve()
        print(made_history(home, arguments.logs, arguments.days, **given))
        print(stack.enter_context(running_postgresql(server(home))), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    _main()
