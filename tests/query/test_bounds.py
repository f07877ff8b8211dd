"""An answer has a bound in bytes too: long messages and attributes neither fill the memory nor are lost from lists."""

from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.answers.log_search import ErrorFilter, list_errors, search_logs
from ganglion_query.answers.tail import Tail
from ganglion_query.answers.trace import read_span, read_trace
from ganglion_query.jaeger.parameters import TraceQuery
from ganglion_query.jaeger.questions import one_trace, traces
from ganglion_query.model import LogFilter
from ganglion_query.reader import Reader
from ganglion_query.reader.jaeger import SpanCriteria

from tests.query.telemetry import ERROR, TRACE_ID, Sent, attributes, log, span, store

MEGABYTE = 1_000_000
COUNT, FIT = 20, 17
"""Rows of a megabyte, and how many of them an answer holds: until it has reached 16 MiB."""
AT = datetime.now(UTC) - timedelta(minutes=5)


def _long(number: int) -> str:
    return f"{number:02}" + "x" * MEGABYTE


def _logs() -> list[str]:
    return [_long(number) for number in range(COUNT)]


async def test_a_page_of_long_logs_ends_sooner_and_the_next_goes_on(postgresql: str) -> None:
    sent = [log(text, at=AT + timedelta(seconds=number)) for number, text in enumerate(_logs())]
    await store(postgresql, Sent("shop", [], sent))
    reader, wanted = Reader(postgresql), LogFilter(since=AT - timedelta(hours=1))
    first = search_logs(reader, wanted)
    second = search_logs(reader, wanted, cursor=first.next)
    assert (len(first.items), len(second.items), second.next) == (FIT, COUNT - FIT, None)
    assert [row.message for row in (*first.items, *second.items)] == _logs()[::-1]


async def test_one_log_longer_than_a_page_is_still_told(postgresql: str) -> None:
    text = "y" * 20 * MEGABYTE
    await store(postgresql, Sent("shop", [], [log("before", at=AT - timedelta(seconds=1)), log(text, at=AT)]))
    reader = Reader(postgresql)
    page = search_logs(reader, LogFilter(since=AT - timedelta(hours=1)))
    assert [row.message for row in page.items] == [text]
    assert [row.message for row in search_logs(reader, LogFilter(), cursor=page.next).items] == ["before"]


@pytest.mark.parametrize("kind", ["messages", "attributes"])
async def test_a_trace_of_long_rows_says_that_it_is_not_whole(postgresql: str, kind: str) -> None:
    spans = [span("GET /", number + 1, at=AT + timedelta(seconds=number)) for number in range(COUNT)]
    logs = [log("m", 1, at=AT) for _ in range(COUNT)]
    for number in range(COUNT):
        if kind == "attributes":
            spans[number].attributes.extend(attributes({"prompt": _long(number)}))
        else:
            logs[number].body.string_value = _long(number)
    await store(postgresql, Sent("shop", spans, logs))
    reader = Reader(postgresql)
    answer = read_trace(reader, TRACE_ID)
    shown = (FIT, COUNT) if kind == "attributes" else (COUNT, FIT)
    assert (answer.truncated, len(answer.spans), len(answer.logs)) == (True, *shown)
    assert len(one_trace(reader, TRACE_ID).spans) == shown[0]
    detail = read_span(reader, TRACE_ID, f"{COUNT if kind == 'attributes' else 1:016x}")
    assert detail.span.attributes.get("prompt") in {None, _long(COUNT - 1)}


async def test_traces_for_which_there_is_no_room_are_named(postgresql: str) -> None:
    ids = [f"{number + 1:032x}" for number in range(3)]
    sent = [span("GET /", number, at=AT, trace_id=one) for one in ids for number in range(1, 9)]
    for one in sent:
        one.attributes.extend(attributes({"prompt": _long(0)}))
    await store(postgresql, Sent("shop", sent))
    found = traces(Reader(postgresql), TraceQuery(SpanCriteria(AT, AT), 20, ids))
    assert [len(rows.spans) for rows in found.rows] == [8, 8, 1]
    assert found.rows[-1].notes == ("only the first 1 spans of this trace are shown",)


async def test_the_tail_says_that_long_logs_were_left_out(postgresql: str) -> None:
    await store(postgresql, Sent("shop", [], [log("before", at=AT)]))
    tail = Tail(Reader(postgresql), LogFilter())
    tail.poll()
    await store(postgresql, Sent("shop", [], [log(text, at=datetime.now(UTC)) for text in _logs()]))
    told = tail.poll()
    assert (len(told.logs), told.skipped) == (FIT, True)


async def test_a_list_of_errors_tells_the_beginning_of_a_long_one(postgresql: str) -> None:
    failed = span("GET /", 1, at=AT, error=_long(2))
    await store(postgresql, Sent("shop", [failed], [log(_long(1), at=AT, severity=ERROR)]))
    found = list_errors(Reader(postgresql), ErrorFilter()).items
    assert sorted(row.message or "" for row in found) == [_long(1)[:8192], _long(2)[:8192]]
