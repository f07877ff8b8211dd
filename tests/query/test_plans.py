"""How PostgreSQL carries out what people ask: partitions that hold nothing of it are not read, ids go by indexes.

The statements are those of the reader, explained as they are asked, over six days with enough rows in each for an index
to be worth its while.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.answers.log_search import list_errors, search_logs
from ganglion_query.answers.log_volume import log_volume
from ganglion_query.answers.period import Period
from ganglion_query.model import LogFilter, LogRow
from ganglion_query.reader import Reader, Scope
from ganglion_query.reader.logs import ErrorFilter, logs
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
    for one in questions(Samples(period, ["0"], ["u"], [period], ["a"], ["b"], ["t"]), period)
]


class Told:
    """A database with a history, and the questions about its last day (`newest`) and one before (`old`)."""

    def __init__(self, dsn: str, history: History) -> None:
        self.dsn = dsn
        self.whole = Period(history.since, history.until)
        self.tenant = draw(dsn, self.whole, 1).tenants[0]
        self.incident = Period(history.incident, history.incident + timedelta(minutes=40))
        old = (history.since + 2 * _DAY).replace(hour=0)
        days = {"newest": Period(history.until - _DAY, history.until), "old": Period(old, old + _DAY)}
        self._questions = {
            age: {one.name: one for one in questions(draw(dsn, day, 2), self.whole)} for age, day in days.items()
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


# How often the partitions of logs that hold something were read from end to end in this transaction, and how many of
# them were searched by their index of words.
_READS = """SELECT coalesce(sum(pg_stat_get_xact_numscans(p.oid)), 0)::int AS scans,
    count(*) FILTER (WHERE pg_stat_get_xact_numscans(x.indexrelid) > 0)::int AS searched, count(*)::int AS partitions
FROM pg_class p JOIN pg_index x ON x.indrelid = p.oid JOIN pg_class i ON i.oid = x.indexrelid
WHERE p.relname ~ '^logs_[0-9]+$' AND p.relpages > 0 AND i.relname LIKE '%%_log_words_idx'"""


@pytest.mark.parametrize("words", ["nothing1", '"did not answer within"'])
def test_words_are_found_by_their_index_for_a_tenant_too(told: Told, words: str) -> None:
    with Reader(told.dsn).within(Scope((told.tenant,))).session() as session:
        logs(session, LogFilter(search=words, since=told.whole.since, until=told.whole.until), 10_000)
        (found,) = session.dicts(_READS, {})
    assert found == {"scans": 0, "searched": found["partitions"], "partitions": 7}


def _pages(reader: Reader, wanted: LogFilter) -> Iterator[LogRow]:
    page = search_logs(reader, wanted, 30)
    yield from page.items
    while page.next:
        page = search_logs(reader, wanted, 30, page.next)
        yield from page.items


@pytest.mark.parametrize("words", ["answering", '"answering question"', "chunk or upstream", "question -chunk", '"'])
@pytest.mark.parametrize("hours", [0.2, 30, 144, None])
def test_a_tenant_finds_the_same_by_the_index_as_is_there(told: Told, words: str, hours: float | None) -> None:
    whole = told.whole
    since = None if hours is None else whole.until - timedelta(hours=hours)
    until = None if hours is None else whole.until - timedelta(minutes=1)
    wanted = LogFilter(search=words, since=since, until=until)
    tenant, everybody = Reader(told.dsn).within(Scope((told.tenant,))), Reader(told.dsn)
    there = list(_pages(everybody, replace(wanted, tenant=told.tenant)))
    assert list(_pages(tenant, wanted)) == there
    counted = [log_volume(reader, replace(wanted, tenant=told.tenant), whole) for reader in (tenant, everybody)]
    assert counted[0] == counted[1]
    assert there or hours in {0.2, 30} or words == '"'


def test_scan_of_everything_is_seen(told: Told) -> None:
    with explained(told.dsn) as (reader, statements), reader.session() as session:
        session.dicts("SELECT count(*) FROM logs WHERE context ->> 'chunk_size' = '512'", {})
    day = told.question("overview of a day", "old").asked
    assert day is not None
    assert len(cold_reads(statements, day)) >= 3
    assert len(cold_reads(statements, None)) >= 6
