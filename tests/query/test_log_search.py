"""Logs and errors page by page, and as they are stored."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from ganglion_query.answers.log_search import ErrorFilter, list_errors, search_logs
from ganglion_query.answers.log_volume import log_volume
from ganglion_query.answers.period import Period
from ganglion_query.answers.tail import Tail
from ganglion_query.cursors import encode
from ganglion_query.model import Condition, LogFilter
from ganglion_query.reader import Reader

from tests.query.telemetry import ERROR, INFO, WARNING, Sent, attributes, log, span, store

NOW = datetime.now(UTC)


def _ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


async def test_pages_hold_every_log_once_also_those_of_one_time(postgresql: str) -> None:
    same, old = _ago(minutes=5), _ago(days=1, hours=2)
    logs = [log(f"same {number}", at=same) for number in range(5)] + [log(f"old {n}", at=old) for n in range(3)]
    await store(postgresql, Sent(logs=logs))
    reader, found = Reader(postgresql), list[str | None]()
    page = search_logs(reader, LogFilter(), limit=3)
    while True:
        found += [row.message for row in page.items]
        if page.next is None:
            break
        page = search_logs(reader, LogFilter(), limit=3, cursor=page.next)
    assert sorted(map(str, found)) == sorted(str(one.body.string_value) for one in logs)
    assert {str(message).partition(" ")[0] for message in found[:5]} == {"same"}


async def test_logs_are_found_by_what_is_in_their_attributes(postgresql: str) -> None:
    logs = [
        log("a", 1, at=_ago(minutes=1), session_id="s", request_id="r", numbers={"size": 512, "cost_usd": 0.5}),
        log("b", 2, at=_ago(minutes=2), model="small", size="512"),
    ]
    await store(postgresql, Sent("shop", logs=logs))
    reader = Reader(postgresql)
    cases: list[tuple[LogFilter, list[str]]] = [
        (LogFilter(conditions=[Condition("size", "=", "512")]), ["a", "b"]),
        (LogFilter(conditions=[Condition("context.size", "=", "512")]), ["b"]),
        (LogFilter(conditions=[Condition("cost_usd", ">", "0.1")]), ["a"]),
        (LogFilter(conditions=[Condition("resource.service.version", "=", "1.2.0")], session="s"), ["a"]),
        (LogFilter(conditions=[Condition("attributes.x", "=", "1")]), []),
        (LogFilter(request="r", logger="shop.app"), ["a"]),
    ]
    for wanted, messages in cases:
        assert [row.message for row in search_logs(reader, wanted).items] == messages, wanted


async def test_a_number_is_compared_with_a_number(postgresql: str) -> None:
    wanted = LogFilter(conditions=[Condition("duration_ms", ">", "slow")])
    with pytest.raises(ValueError, match="duration_ms is a number"):
        search_logs(Reader(postgresql), wanted)


async def test_pages_hold_every_error_once(postgresql: str) -> None:
    at = _ago(minutes=5)
    logs = [log(f"log {number}", at=at, severity=ERROR, trace_id=f"{number + 1:032x}") for number in range(4)]
    spans = [span(f"span {number}", number + 1, at=at, error="no", trace_id=f"{9:032x}") for number in range(4)]
    await store(postgresql, Sent("shop", spans, logs))
    reader, wanted = Reader(postgresql), ErrorFilter(since=_ago(hours=1))
    found, page = list[str | None](), list_errors(reader, wanted, limit=3)
    while True:
        found += [row.message if row.kind == "log" else row.source for row in page.items]
        if page.next is None:
            break
        page = list_errors(reader, wanted, limit=3, cursor=page.next)
    assert sorted(map(str, found)) == [f"{kind} {number}" for kind in ("log", "span") for number in range(4)]


@pytest.mark.parametrize("cursor", ["", "x", "WyIyMDI2LTAxLTAxIiwgIigwLDEpIl0", encode("2026-01-01T00:00Z", "(1,'')")])
def test_a_foreign_cursor_is_refused(postgresql: str, cursor: str) -> None:
    with pytest.raises(ValueError, match="the cursor is not one of this list"):
        search_logs(Reader(postgresql), LogFilter(), cursor=cursor)


async def test_a_failure_is_told_where_it_began_and_by_what_is_told_of_the_user(postgresql: str) -> None:
    at = _ago(minutes=5)
    spans = [
        span("GET /", 1, at=at, error="no", user_id="ada"),
        span("search", 2, 1, at=at, error="no", user_id="ada"),
        span("query", 3, 2, at=at, error="no"),
        span("POST /", 4, at=at, error="no", trace_id="a" * 32, user_id="ada"),
    ]
    await store(postgresql, Sent("shop", spans, [log("failed", 4, at=at, severity=ERROR, trace_id="a" * 32)]))
    reader = Reader(postgresql)

    def told(user: str | None) -> list[str]:
        found = list_errors(reader, ErrorFilter(user=user, since=_ago(hours=1))).items
        return sorted(str(row.message if row.kind == "log" else row.source) for row in found)

    assert told(None) == ["failed", "query"]
    assert told("ada") == ["POST /", "search"]


async def test_logs_are_counted_over_time(postgresql: str) -> None:
    until = datetime.now(UTC)
    period = Period(until - timedelta(hours=1), until)
    times = [until - timedelta(minutes=minutes) for minutes in (60, 50, 50, 10, 5)]
    levels = [INFO, WARNING, ERROR, INFO, ERROR]
    sent = [log("m", at=at, severity=level, user_id="ada") for at, level in zip(times, levels, strict=True)]
    outside = [log("m", at=at) for at in (period.since - timedelta(seconds=1), until)]
    await store(postgresql, Sent("shop", [], [*sent, *outside, log("other", at=times[-1])]))
    reader = Reader(postgresql)
    found = log_volume(reader, LogFilter(user="ada"), period)
    assert (found.step_seconds, found.logs, found.warnings, found.errors) == (60, 5, 3, 2)
    assert [point.time for point in found.points] == [
        found.points[0].time + number * timedelta(minutes=1) for number in range(len(found.points))
    ]
    assert found.points[0].time <= period.since < found.points[1].time
    at_50 = [point for point in found.points if point.time <= times[1]][-1]
    assert (at_50.logs, at_50.warnings, at_50.errors) == (2, 2, 1)
    assert log_volume(reader, LogFilter(level="ERROR"), period).logs == 2
    assert log_volume(reader, LogFilter(user="nobody"), period).logs == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"http.response.status_code": 503}, 503),
        ({"http.status_code": 429}, 429),
        ({"http.response.status_code": "many"}, None),
        ({}, None),
    ],
)
async def test_an_error_tells_its_request_and_what_that_was_answered(
    postgresql: str, said: dict[str, str | int], status: int | None
) -> None:
    at = _ago(minutes=5)
    asked, served = span("POST /ask", 1, at=at), span("POST /search", 2, 1, at=at + timedelta(seconds=1))
    asked.attributes.extend(attributes(said))
    served.attributes.extend(attributes({"http.response.status_code": 500} if said else {}))
    failed = [
        log("failed", 2, at=at + timedelta(seconds=2), severity=ERROR),
        log("alone", 0, at=at, severity=ERROR),
        log("lost", 7, at=at, severity=ERROR, trace_id="b" * 32),
    ]
    await store(postgresql, Sent("shop", [asked, served], failed))
    found = list_errors(Reader(postgresql), ErrorFilter(since=_ago(hours=1))).items
    told = {row.message: (row.root_name, row.http_status) for row in found}
    outermost = status or (500 if said else None)
    assert told == {"failed": ("POST /ask", outermost), "alone": (None, None), "lost": (None, None)}


async def test_the_tail_tells_each_log_once_from_its_first_look_on(postgresql: str) -> None:
    await store(postgresql, Sent("shop", logs=[log("before", at=_ago(seconds=1))]))
    tail = Tail(Reader(postgresql), LogFilter(service="shop"))
    assert not tail.poll().logs
    await store(postgresql, Sent("shop", logs=[log("late", at=_ago(hours=2)), log("now", at=NOW)]))
    await store(postgresql, Sent("bank", logs=[log("other", at=NOW)]))
    assert [row.message for row in tail.poll().logs] == ["late", "now"]
    assert not tail.poll().logs


async def test_the_tail_tells_what_a_long_transaction_stored(postgresql: str) -> None:
    await store(postgresql, Sent(logs=[log("before", at=NOW)]))
    tail = Tail(Reader(postgresql), LogFilter())
    with psycopg.connect(postgresql) as writer:
        writer.execute('INSERT INTO logs SELECT (jsonb_populate_record(l, \'{"message": "slow"}\')).* FROM logs l')
        writer.execute("UPDATE logs SET created_at = now() WHERE message = 'slow'")
        assert not tail.poll().logs
        await store(postgresql, Sent(logs=[log("quick", at=NOW)]))
        assert [row.message for row in tail.poll().logs] == ["quick"]
    assert [row.message for row in tail.poll().logs] == ["slow"]
    assert not tail.poll().logs


async def test_the_tail_says_that_it_left_some_out(postgresql: str) -> None:
    await store(postgresql, Sent(logs=[log("before", at=NOW)]))
    tail = Tail(Reader(postgresql), LogFilter(), most=3)
    tail.poll()
    await store(postgresql, Sent(logs=[log(str(number), at=_ago(seconds=9 - number)) for number in range(5)]))
    told = tail.poll()
    assert ([row.message for row in told.logs], told.skipped) == (["2", "3", "4"], True)
