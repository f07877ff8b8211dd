"""How PostgreSQL carries out what people ask: partitions that hold nothing of it are not read, ids go by indexes.

The statements are those of the reader, explained as they are asked, over six days with enough rows in each for an index
to be worth its while.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.answers.log_search import list_errors
from ganglion_query.answers.period import Period
from ganglion_query.reader.logs import ErrorFilter
from psycopg.conninfo import make_conninfo

from bench.history import History, fill_history
from bench.plans import Statement, cold_reads, explained
from bench.postgresql import database
from bench.questions import Question, Samples, draw, questions

pytestmark = pytest.mark.timeout(120)

_DAY = timedelta(days=1)
_NAMES = [
    one.name
    for period in [Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))]
    for one in questions(Samples(period, ["0"], ["u"], [period], ["a"], ["b"]), period)
]


class Told:
    """A database with a history, and the questions about its last day (`newest`) and one before (`old`)."""

    def __init__(self, dsn: str, history: History) -> None:
        self.dsn = dsn
        self._whole = Period(history.since, history.until)
        self.incident = Period(history.incident, history.incident + timedelta(minutes=40))
        old = (history.since + 2 * _DAY).replace(hour=0)
        days = {"newest": Period(history.until - _DAY, history.until), "old": Period(old, old + _DAY)}
        self._questions = {
            age: {one.name: one for one in questions(draw(dsn, day, 2), self._whole)} for age, day in days.items()
        }

    def question(self, name: str, age: str) -> Question:
        return self._questions[age][name]

    def asked(self, question: Question) -> list[Statement]:
        with explained(self.dsn) as (reader, statements):
            question.calls[0](reader)
        assert statements
        return list(statements)


@pytest.fixture(scope="module")
def told(postgresql_server: str) -> Iterator[Told]:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    with database(postgresql_server) as dsn:
        yield Told(dsn, fill_history(dsn, 60_000, 6, until=noon))


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("age", ["newest", "old"])
def test_what_was_not_asked_for_is_not_read(told: Told, name: str, age: str) -> None:
    question = told.question(name, age)
    statements = told.asked(question)
    assert not cold_reads(statements, question.asked), "\n".join(one.text() for one in statements)


@pytest.mark.parametrize(
    ("name", "table", "index"),
    [
        ("trace by id, rows", "spans", "_pkey"),
        ("trace by id, rows", "logs", "_trace_id_idx"),
        ("errors of a user in 24 h", "logs", "_idx"),
        ("full text, a rare word, all days", "logs", "_log_words_idx"),
        ("full text, what is not there, all days", "logs", "_log_words_idx"),
        ("full text, two words, 24 h", "logs", "_log_words_idx"),
    ],
)
@pytest.mark.parametrize("age", ["newest", "old"])
def test_every_partition_is_read_by_the_index_for_it(told: Told, name: str, table: str, index: str, age: str) -> None:
    statements = told.asked(told.question(name, age))
    reads = [read for one in statements for read in one.reads() if read.table.startswith(table)]
    assert reads
    for read in reads:
        assert any(one.endswith(index) for one in read.indexes), "\n".join(one.text() for one in statements)


def test_errors_are_matched_within_their_time_however_they_are_joined(told: Told) -> None:
    asked = told.incident
    with explained(make_conninfo(told.dsn, options="-c enable_nestloop=off")) as (reader, statements):
        page = list_errors(reader, ErrorFilter(since=asked.since, until=asked.until))
    assert page.items
    assert not cold_reads(statements, asked), "\n".join(one.text() for one in statements)


def test_scan_of_everything_is_seen(told: Told) -> None:
    with explained(told.dsn) as (reader, statements), reader.session() as session:
        session.dicts("SELECT count(*) FROM logs WHERE context ->> 'chunk_size' = '512'", {})
    day = told.question("overview of a day", "old").asked
    assert day is not None
    assert len(cold_reads(statements, day)) >= 3
    assert len(cold_reads(statements, None)) >= 6
