"""Log records of a span as events of its run, bounded."""

from datetime import UTC, datetime

import pytest
from ganglion_exporters._langsmith.log_events import MOST_EVENTS, with_logs
from ganglion_exporters._langsmith.model import Draft
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

NOW = 1_763_650_800_123_456_789
SPAN = bytes(7) + b"\1"


def draft() -> Draft:
    return Draft(bytes(16), SPAN, b"", "span", "chain", NOW, NOW)


def log(message: str, number: int = 0) -> bytes:
    body = AnyValue(string_value=message)
    return LogRecord(time_unix_nano=NOW + number, body=body, severity_text="INFO").SerializeToString()


def moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ".123461+00:00"


def test_logs_of_a_span_become_events_in_the_order_of_time() -> None:
    span = draft()
    span.events = [{"name": "new_token", "time": moment(NOW)}]

    events = with_logs(span, {SPAN: (log("second", 9000), log("first", 1000)), bytes(8): (log("other"),)}).events

    assert [event.get("kwargs", {}).get("message") for event in events] == ["first", None, "second"]
    assert events[0]["name"] == "log"
    assert len(span.events) == 1


def test_a_log_says_its_severity_message_and_attributes() -> None:
    attributes = [KeyValue(key="user.id", value=AnyValue(int_value=7))]
    record = LogRecord(observed_time_unix_nano=NOW, severity_number=17, attributes=attributes, event_name="paid")  # type: ignore[arg-type]

    (event,) = with_logs(draft(), {SPAN: (record.SerializeToString(),)}).events
    assert event == {
        "name": "paid",
        "time": "2025-11-20T15:00:00.123456+00:00",
        "kwargs": {"severity": "17", "attributes": {"user.id": 7}},
    }


@pytest.mark.parametrize("message", ["short", "long " * 10_000], ids=["many", "large"])
def test_logs_of_a_span_are_bounded_and_what_is_left_out_is_said(message: str) -> None:
    made = with_logs(draft(), {SPAN: tuple(log(message, number) for number in range(500))})

    assert 0 < len(made.events) <= MOST_EVENTS
    assert len(made.events) + made.metadata["ganglion.left_out_logs"] == 500
    assert len(str(made.events)) < 400_000


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x10\x63", id="unknown severity"),
        pytest.param(b"\x09" + b"\xff" * 8, id="the last time of all"),
        pytest.param(log("\0"), id="null character"),
    ],
)
def test_any_log_makes_an_event(payload: bytes) -> None:
    assert len(with_logs(draft(), {SPAN: (payload,)}).events) == 1


def test_a_log_of_a_span_is_not_taken_for_its_first_token() -> None:
    payload = LogRecord(event_name="new_token").SerializeToString()

    assert with_logs(draft(), {SPAN: (payload,)}).events[0]["name"] == "log"


def test_a_span_without_logs_stays_as_it_is() -> None:
    span = draft()

    assert with_logs(span, {}) is span
