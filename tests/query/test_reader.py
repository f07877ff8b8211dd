import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from ganglion_query.model import LogFilter, parse_trace_id
from ganglion_query.reader import Reader, ReaderError

from tests.fix_postgresql import PostgreSQLProxy
from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

NOW = datetime.now(UTC)
OTHER_ID = "0" * 31 + "1"


def _ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


async def test_trace_has_its_spans_and_logs_in_time_order(postgresql: str) -> None:
    await store(
        postgresql,
        Sent("shop", [span("GET /", 1, at=_ago(seconds=9)), span("charge", 2, 1, at=_ago(seconds=8))]),
        Sent(
            "bank",
            [span("other", 3, at=_ago(seconds=9), trace_id=OTHER_ID)],
            [log("paid", 2, at=_ago(seconds=7), amount=3)],
        ),
    )
    trace = Reader(postgresql).trace(TRACE_ID.upper())
    assert [(one.name, one.span_id, one.parent_span_id, one.duration_ms) for one in trace.spans] == [
        ("GET /", "0000000000000001", None, 10.0),
        ("charge", "0000000000000002", "0000000000000001", 10.0),
    ]
    assert [(one.message, one.logger, one.trace_id, one.metrics, one.service_name) for one in trace.logs] == [
        ("paid", "bank.app", TRACE_ID, {"amount": 3}, "bank")
    ]
    assert trace.spans[0].resource == {"service.name": "shop", "service.version": "1.2.0"}
    assert not trace.truncated


async def test_trace_longer_than_the_limit_says_so(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span(str(number), number, at=_ago(seconds=9)) for number in range(1, 4)]))
    trace = Reader(postgresql).trace(TRACE_ID, limit=2)
    assert (len(trace.spans), trace.truncated) == (2, True)


async def test_unknown_trace_is_empty_and_the_newest_one_is_known(postgresql: str) -> None:
    await store(
        postgresql, Sent(spans=[span("a", 1, at=_ago(seconds=9)), span("b", 2, at=_ago(hours=2), trace_id=OTHER_ID)])
    )
    reader = Reader(postgresql)
    assert not reader.trace("f" * 32).spans
    newest = reader.newest_trace()
    assert newest is not None
    assert newest[0] == TRACE_ID


@pytest.mark.parametrize("text", ["", "abc", "0" * 32, "g" * 32, TRACE_ID + "0", "4bf92f35-77b34da6a3ce929d0e0e4736"])
def test_wrong_trace_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a trace id: 32 hexadecimal digits"):
        parse_trace_id(text)


def test_hyphenated_trace_id_is_the_same() -> None:
    assert parse_trace_id(" 4BF92F35-77b3-4da6-a3ce-929d0e0e4736 ") == TRACE_ID


async def test_errors_are_serious_logs_and_failed_spans_without_one(postgresql: str) -> None:
    told = span("told", 1, at=_ago(minutes=3), error="by its log", user_id="u-1")
    silent = span("silent", 2, at=_ago(minutes=2), error="no log", user_id="u-1")
    fine = span("fine", 3, at=_ago(minutes=2), user_id="u-1")
    logs = [
        log("boom", 1, at=_ago(minutes=3), severity=ERROR, user_id="u-1", exception_type="E", exception_message="m"),
        log("worse", 3, at=_ago(minutes=1), severity=21, user_id="u-2"),
        log("well", 3, at=_ago(minutes=1), user_id="u-1"),
    ]
    await store(postgresql, Sent(spans=[told, silent, fine], logs=logs))
    reader = Reader(postgresql)
    everything = [(row.kind, row.level, row.message, row.error) for row in reader.errors()]
    assert everything == [
        ("log", "CRITICAL", "worse", None),
        ("span", None, "no log", None),
        ("log", "ERROR", "boom", "E: m"),
    ]
    assert [row.message for row in reader.errors(user="u-1")] == ["no log", "boom"]
    assert [row.message for row in reader.errors(since=_ago(minutes=2.5), until=_ago(minutes=1.5))] == ["no log"]
    assert [row.message for row in reader.errors(limit=1)] == ["worse"]


async def test_failed_span_tells_its_exception(postgresql: str) -> None:
    failed = span("a", 1, at=_ago(minutes=1), error="failed")
    event = failed.events.add(name="exception")
    for key, value in (("exception.type", "ValueError"), ("exception.message", "no")):
        event.attributes.add(key=key).value.string_value = value
    await store(postgresql, Sent(spans=[failed]))
    assert [row.error for row in Reader(postgresql).errors()] == ["ValueError: no"]


_FILTERS = [
    (LogFilter(), ["c", "b timeout while waiting", "a connection refused"]),
    (LogFilter(user="u-1"), ["b timeout while waiting"]),
    (LogFilter(tenant="t-1"), ["c"]),
    (LogFilter(service="bank"), ["a connection refused"]),
    (LogFilter(level="WARNING"), ["b timeout while waiting", "a connection refused"]),
    (LogFilter(level="CRITICAL"), []),
    (LogFilter(since=_ago(hours=2)), ["c", "b timeout while waiting"]),
    (LogFilter(until=_ago(hours=2)), ["a connection refused"]),
    (LogFilter(search="timeout OR refused"), ["b timeout while waiting", "a connection refused"]),
    (LogFilter(search='"connection refused"'), ["a connection refused"]),
    (LogFilter(search='"refused connection" \' ; -- %s {}'), []),
    (LogFilter(search="StackWord"), ["b timeout while waiting"]),
    (LogFilter(user="u-1", service="bank"), []),
]


async def test_logs_are_filtered_and_newest_first(postgresql: str) -> None:
    shop = [
        log("c", at=_ago(seconds=5), tenant_id="t-1"),
        log(
            "b timeout while waiting", at=_ago(hours=1), severity=13, user_id="u-1", exception_stacktrace="at stackword"
        ),
    ]
    await store(
        postgresql,
        Sent("shop", logs=shop),
        Sent("bank", logs=[log("a connection refused", at=_ago(hours=30), severity=ERROR)]),
    )
    reader = Reader(postgresql)
    for wanted, messages in _FILTERS:
        assert [row.message for row in reader.logs(wanted)] == messages, wanted


async def test_limit_keeps_the_newest_logs(postgresql: str) -> None:
    await store(postgresql, Sent(logs=[log(str(number), at=_ago(minutes=number)) for number in range(60)]))
    assert [row.message for row in Reader(postgresql).logs(LogFilter(), limit=20)] == [
        str(number) for number in range(20)
    ]


def test_empty_database_is_told_apart(postgresql: str) -> None:
    with pytest.raises(ReaderError, match="holds no telemetry of this version yet"):
        Reader(postgresql).trace(TRACE_ID)


def test_database_that_cannot_be_reached_is_told_without_the_password(postgresql_proxy: PostgreSQLProxy) -> None:
    postgresql_proxy.refuse()
    dsn = psycopg.conninfo.make_conninfo(postgresql_proxy.dsn, password="s3cret")
    with pytest.raises(ReaderError, match=r"^PostgreSQL: .*GANGLION_DATABASE_URL$") as caught:
        Reader(dsn).trace(TRACE_ID)
    assert "s3cret" not in str(caught.value)


async def test_question_that_takes_too_long_is_ended(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span("a", 1, at=_ago(seconds=9))]))
    with psycopg.connect(postgresql) as other:
        other.execute("LOCK TABLE spans IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ReaderError, match=r"took longer than 0\.1 s"):
            Reader(postgresql, timeout=0.1).trace(TRACE_ID)


def test_json_is_read_as_python_does(postgresql: str) -> None:
    texts = ["18446744073709551616", "-" + "9" * 400, "0.1", "9" * 400 + ".5", '{"a": ["é\\u20ac", null, 1.0, 1e3]}']
    with Reader(postgresql).session() as session:
        rows = session.dicts("SELECT t AS text, t::jsonb AS value FROM unnest(%(texts)s::text[]) t", {"texts": texts})
    assert {row["text"]: row["value"] for row in rows} == {text: json.loads(text) for text in texts}
