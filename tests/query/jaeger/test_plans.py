"""How PostgreSQL looks for what Jaeger's clients ask: by indexes, and in the partitions of the time asked for alone."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from ganglion_query.reader import Session, jaeger
from ganglion_query.reader.bounds import Bounded
from ganglion_query.reader.jaeger import SpanCriteria
from ganglion_query.reader.session import Query
from psycopg import sql

from tests.query.telemetry import TRACE_ID, Sent, log, span, store

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NOW = datetime.now(UTC)
R = TypeVar("R", bound="DataclassInstance")


class _Explaining(Session):
    """Asks for the plan of a statement instead of its rows."""

    plans: list[str] = []  # noqa: RUF012

    def rows(self, row: type[R], query: Query, arguments: Mapping[str, Any], *, often: bool = False) -> list[R]:
        del row, often
        self._explain(query, arguments)
        return []

    def bounded(self, row: type[R], query: Query, arguments: Mapping[str, Any], *, often: bool = False) -> Bounded[R]:
        return Bounded(self.rows(row, query, arguments, often=often), is_cut=False)

    def dicts(self, query: Query, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._explain(query, arguments)
        return []

    def _explain(self, query: Query, arguments: Mapping[str, Any]) -> None:
        composed = query if isinstance(query, sql.Composable) else sql.SQL(query)
        found = self.connection.execute(sql.SQL("EXPLAIN {}").format(composed), arguments).fetchall()
        self.plans.append("\n".join(line for (line,) in found))


async def _plans(dsn: str, *asked: Callable[[Session], Any]) -> list[list[str]]:
    """Return the plans of each question. The tables are small, so other ways than by a B-tree are made dear."""
    days = [NOW - timedelta(days=days) for days in range(4)]
    spans = [span("GET /", number + 1, at=day) for number, day in enumerate(days)]
    others = [span("GET /", number, at=NOW, trace_id=f"{number:032x}") for number in range(1, 1000)]
    await store(dsn, Sent("shop", spans, [log("m", 1, at=day) for day in days]), Sent("other", others))
    found: list[list[str]] = []
    with psycopg.connect(dsn) as connection:
        connection.execute("ANALYZE")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        for ask in asked:
            session = _Explaining(connection)
            session.plans.clear()
            ask(session)
            found.append(list(session.plans))
    return found


def _partitions(plan: str) -> set[str]:
    return set(re.findall(r" on ((?:spans|logs)_\d{8})", plan))


def _day(ago: int) -> str:
    return f"spans_{NOW - timedelta(days=ago):%Y%m%d}"


async def test_names_are_read_from_the_index_of_operations(postgresql: str) -> None:
    for (plan,) in await _plans(
        postgresql,
        lambda session: jaeger.services(session, 10),
        lambda session: jaeger.operations(session, "shop", 10),
    ):
        assert "service_name_name_start_time_idx" in plan
        assert not re.search(r"Seq Scan on spans", plan), plan


async def test_a_search_reads_the_partitions_of_its_time_by_an_index(postgresql: str) -> None:
    short = SpanCriteria(NOW - timedelta(minutes=1), NOW, service="shop", operation="GET /")
    long = SpanCriteria(NOW - timedelta(hours=47), NOW, service="shop", operation="GET /", tags={"user.id": "u"})
    (only,), plans = await _plans(
        postgresql,
        lambda session: jaeger.find_traces(session, short, 20),
        lambda session: jaeger.find_traces(session, long, 20),
    )
    assert _day(0) in _partitions(only)
    assert "service_name_name_start_time_idx" in only
    assert len(plans) > 2, "ever longer windows"
    assert _day(3) not in _partitions("\n".join(plans))
    for plan in (only, *plans):
        assert "Seq Scan on spans" not in plan, plan


async def test_traces_are_read_by_their_keys(postgresql: str) -> None:
    plans = await _plans(
        postgresql,
        lambda session: jaeger.spans_of(session, [TRACE_ID], 10, 10),
        lambda session: jaeger.logs_of(session, [TRACE_ID], 10, 10),
        lambda session: jaeger.summaries(session, [TRACE_ID]),
    )
    for (plan,), index in zip(plans, ("_pkey", "_trace_id_idx", "_pkey"), strict=True):
        assert index in plan
        assert not re.search(r"Seq Scan on (spans|logs)", plan), plan


async def test_dependencies_read_their_lookback_alone(postgresql: str) -> None:
    ((plan,),) = await _plans(postgresql, lambda session: jaeger.calls(session, NOW - timedelta(hours=1), NOW, 10))
    assert _day(3) not in _partitions(plan)
