"""Traces by what they are, and their pages; conditions on attributes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_query.answers.period import Period
from ganglion_query.answers.search import TraceFilter, search_traces
from ganglion_query.conditions import parse_condition
from ganglion_query.model import Condition
from ganglion_query.reader import Reader

from tests.query.telemetry import Sent, attributes, log, span, store

NOW = datetime.now(UTC).replace(microsecond=0)
PERIOD = Period(NOW - timedelta(hours=3), NOW)


def _id(number: int) -> str:
    return f"{number:032x}"


def _ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


async def _shop(dsn: str) -> Reader:
    """Store five requests: 1 slow, 2 with a failed child, 3 of a caller without spans, 4 calls a bank, 5 is old."""
    shop = [
        span("POST /ask", 1, at=_ago(minutes=1), ms=6000, trace_id=_id(1)),
        span("generate", 2, 1, at=_ago(minutes=1), ms=5900, trace_id=_id(1), rag_layer="generation", user_id="ada"),
        span("POST /ask", 3, at=_ago(minutes=2), ms=100, trace_id=_id(2), user_id="bob", tenant_id="acme"),
        span("search", 4, 3, at=_ago(minutes=2), ms=50, trace_id=_id(2), error="refused"),
        span("GET /docs", 5, 99, at=_ago(minutes=3), ms=30, trace_id=_id(3), user_id="ada"),
        span("POST /pay", 6, at=_ago(minutes=4), ms=400, trace_id=_id(4)),
        span("POST /ask", 9, at=_ago(hours=2), ms=200, trace_id=_id(5), user_id="ada", session_id="s-1"),
    ]
    logs = [
        log("chunks_created", 4, at=_ago(minutes=2), trace_id=_id(2), numbers={"chunk_size": 512}, model="small"),
        log("chunks_created", 9, at=_ago(hours=2), trace_id=_id(5), numbers={"chunk_size": 1024}),
    ]
    charge = span("charge", 7, 6, at=_ago(minutes=4), ms=300, trace_id=_id(4))
    charge.attributes.extend(attributes({"gen_ai.usage.input_tokens": 7}))
    await store(dsn, Sent("shop", shop, logs), Sent("bank", [charge]))
    return Reader(dsn)


_CASES: list[tuple[Mapping[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5]),
    ({"service": "bank"}, [4]),
    ({"service": "shop", "operation": "POST /ask"}, [1, 2, 5]),
    ({"operation": "POST /ask", "max_duration_ms": 150}, [2]),
    ({"layer": "generation"}, [1]),
    ({"user": "ada"}, [1, 3, 5]),
    ({"tenant": "acme"}, [2]),
    ({"session": "s-1"}, [5]),
    ({"status": "error"}, [2]),
    ({"status": "ok"}, [1, 3, 4, 5]),
    ({"service": "shop", "operation": "search", "status": "ok"}, []),
    ({"min_duration_ms": 5000}, [1]),
    ({"min_duration_ms": 200, "user": "ada"}, [1, 5]),
    ({"order": "slowest"}, [1, 4, 5, 2, 3]),
    ({"conditions": [Condition("context.chunk_size", "=", "512")]}, []),
    ({"conditions": [Condition("chunk_size", "=", "512.0")]}, [2]),
    ({"conditions": [Condition("metrics.chunk_size", ">", "512")]}, [5]),
    ({"conditions": [Condition("model", "~", "MALL")]}, [2]),
    ({"conditions": [Condition("resource.service.name", "=", "bank")]}, [4]),
    ({"conditions": [Condition("chunk_size", ">=", "512"), Condition("user.id", "=", "ada")]}, [5]),
    ({"conditions": [Condition("attributes.nothing", "!=", "x")]}, []),
]


async def test_traces_are_found_by_each_criterion(postgresql: str) -> None:
    reader = await _shop(postgresql)
    for criteria, numbers in _CASES:
        page = search_traces(reader, TraceFilter(PERIOD, **criteria))
        assert [int(one.trace_id, 16) for one in page.items] == numbers, criteria
        assert page.next is None


@pytest.mark.parametrize("order", ["newest", "slowest"])
async def test_pages_hold_every_trace_once(postgresql: str, order: Any) -> None:
    reader = await _shop(postgresql)
    wanted = TraceFilter(PERIOD, order=order)
    whole = [one.trace_id for one in search_traces(reader, wanted).items]
    page = search_traces(reader, wanted, limit=2)
    paged = [one.trace_id for one in page.items]
    while page.next is not None:
        page = search_traces(reader, wanted, limit=2, cursor=page.next)
        paged += [one.trace_id for one in page.items]
    assert paged == whole


async def test_a_trace_whose_root_lies_before_a_window_is_on_its_page(postgresql: str) -> None:
    root, called = _ago(minutes=5, seconds=2), _ago(minutes=4, seconds=58)
    shop = [span("POST /ask", 1, at=root, ms=9000, trace_id=_id(1), user_id="ada")]
    later = span("POST /ask", 3, at=_ago(minutes=4, seconds=59), trace_id=_id(2), user_id="ada")
    await store(postgresql, Sent("shop", shop), Sent("bank", [span("charge", 2, 1, at=called, trace_id=_id(1)), later]))
    page = search_traces(Reader(postgresql), TraceFilter(PERIOD, service="bank", user="ada"), limit=1)
    assert [one.trace_id for one in page.items] == [_id(1)]


async def test_traces_of_one_time_are_paged_by_their_ids(postgresql: str) -> None:
    spans = [span("a", number, at=_ago(minutes=1), trace_id=_id(number)) for number in range(1, 6)]
    await store(postgresql, Sent(spans=spans))
    reader, found = Reader(postgresql), list[str]()
    page = search_traces(reader, TraceFilter(PERIOD), limit=2)
    while True:
        found += [one.trace_id for one in page.items]
        if page.next is None:
            break
        page = search_traces(reader, TraceFilter(PERIOD), limit=2, cursor=page.next)
    assert found == [_id(number) for number in range(5, 0, -1)]


async def test_a_line_says_what_became_of_a_trace(postgresql: str) -> None:
    reader = await _shop(postgresql)
    (failed,) = search_traces(reader, TraceFilter(PERIOD, status="error")).items
    assert (failed.root_name, failed.root_status, failed.status, failed.first_error) == (
        "POST /ask",
        "UNSET",
        "ERROR",
        "refused",
    )
    assert (failed.span_count, failed.error_count, failed.log_count, failed.services) == (2, 1, 1, {"shop": 2})
    assert (failed.user_id, failed.tenant_id, failed.duration_ms) == ("bob", "acme", 100)
    (paid,) = search_traces(reader, TraceFilter(PERIOD, service="bank")).items
    assert (paid.matched_ms, paid.duration_ms, paid.services, paid.total_tokens) == (
        300,
        400,
        {"shop": 1, "bank": 1},
        7,
    )


@pytest.mark.parametrize("cursor", ["", "x", "WyJhIl0", "WzEsMl0", "W251bGwsbnVsbF0", "~" * 3000])
async def test_a_foreign_cursor_is_refused(postgresql: str, cursor: str) -> None:
    with pytest.raises(ValueError, match="the cursor is not one of this list"):
        search_traces(Reader(postgresql), TraceFilter(PERIOD), cursor=cursor)


async def test_a_cursor_of_the_other_order_is_refused(postgresql: str) -> None:
    reader = await _shop(postgresql)
    wanted = TraceFilter(PERIOD)
    cursor = search_traces(reader, wanted, limit=1).next
    with pytest.raises(ValueError, match="the cursor is not one of this list"):
        search_traces(reader, replace(wanted, order="slowest"), cursor=cursor)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("context.chunk_size=512", Condition("context.chunk_size", "=", "512")),
        (' model = "gpt-4 = x" ', Condition("model", "=", "gpt-4 = x")),
        ("duration_ms>=500", Condition("duration_ms", ">=", "500")),
        ("a!=b", Condition("a", "!=", "b")),
        ("http.route~/ask?x=1", Condition("http.route", "~", "/ask?x=1")),
        ("empty=", Condition("empty", "=", "")),
    ],
)
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize("text", ["", "=", "=5", "word", "a b", "x" * 2000 + "=1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a condition; write"):
        parse_condition(text)


@pytest.mark.parametrize("key", ["'; DROP TABLE logs; --", "%s", "%(limit)s", 'a"b', "{x}", "ü"])
async def test_keys_and_values_are_never_sql(postgresql: str, key: str) -> None:
    odd = span("a", 1, at=_ago(minutes=1))
    odd.attributes.extend(attributes({key: key}))
    await store(postgresql, Sent(spans=[odd]))
    wanted = TraceFilter(PERIOD, conditions=[Condition(f"attributes.{key}", "=", key)])
    assert len(search_traces(Reader(postgresql), wanted).items) == 1
