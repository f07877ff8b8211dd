"""Log records of a span as events of its run, bounded."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from ganglion_collector.component import Batch, Position, Record, Signal, Source
from ganglion_exporters._langsmith.log_events import MOST_EVENTS, with_logs
from ganglion_exporters._langsmith.model import Draft
from ganglion_exporters._langsmith.spooled import log_rows
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from tests.exporters.batches import any_value, key_values

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


QUESTION = {"role": "user", "parts": [{"type": "text", "content": "What?"}]}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "That."}], "finish_reason": "stop"}
SYSTEM = [{"type": "text", "content": "Be brief."}]


def event(name: str, attributes: dict[str, Any], body: Any = None, *, old: bool = False) -> bytes:
    values = {**attributes, "event.name": name} if old else attributes
    record = LogRecord(time_unix_nano=NOW, event_name="" if old else name, attributes=key_values(values))
    if body is not None:
        record.body.CopyFrom(any_value(body))
    return record.SerializeToString()


def details(*, as_text: bool) -> bytes:
    values = {
        "gen_ai.system_instructions": SYSTEM,
        "gen_ai.input.messages": [QUESTION],
        "gen_ai.output.messages": [ANSWER],
    }
    return event(
        "gen_ai.client.inference.operation.details",
        {name: json.dumps(value) if as_text else value for name, value in values.items()},
    )


@pytest.mark.parametrize("as_text", [False, True], ids=["values", "JSON"])
def test_messages_that_come_in_a_log_record_are_inputs_and_outputs(as_text: bool) -> None:
    usage = {"input_tokens": 1}
    made = with_logs(replace(draft(), outputs={"usage_metadata": usage}), {SPAN: (details(as_text=as_text), log("x"))})

    assert [(one["role"], one["content"]) for one in made.inputs["messages"]] == [
        ("system", "Be brief."),
        ("user", "What?"),
    ]
    assert [(one["role"], one["content"]) for one in made.outputs["messages"]] == [("assistant", "That.")]
    assert made.outputs["usage_metadata"] == usage
    assert [one["name"] for one in made.events] == ["log"]
    assert made.is_llm


@pytest.mark.parametrize("old", [False, True], ids=["name", "attribute"])
def test_messages_that_come_in_a_log_record_each_are_inputs_and_outputs(old: bool) -> None:
    system = {"gen_ai.system": "openai"}
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    logs = [
        event("gen_ai.user.message", system, {"content": "What?"}, old=old),
        event("gen_ai.assistant.message", system, {"tool_calls": calls}, old=old),
        event("gen_ai.tool.message", system, {"content": "seen", "id": "c1"}, old=old),
        event(
            "gen_ai.choice",
            system,
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "That."}},
            old=old,
        ),
    ]
    made = with_logs(draft(), {SPAN: tuple(logs)})

    asked, called, seen = made.inputs["messages"]
    assert asked == {"role": "user", "content": "What?"}
    assert (called["role"], called["tool_calls"]) == ("assistant", calls)
    assert seen == {"role": "tool", "content": "seen", "tool_call_id": "c1"}
    assert made.outputs == {
        "choices": [{"message": {"role": "assistant", "content": "That."}, "finish_reason": "stop"}]
    }
    assert made.events == []


def test_what_the_span_says_itself_goes_before_its_logs() -> None:
    span = replace(draft(), inputs={"input": "own"}, outputs={"output": "own"})

    made = with_logs(span, {SPAN: (details(as_text=False),)})
    assert (made.inputs, made.outputs) == ({"input": "own"}, {"output": "own"})


def test_messages_may_be_larger_than_other_logs() -> None:
    def kept(name: str, size: int) -> int:
        one = LogRecord(trace_id=bytes(15) + b"\1", span_id=SPAN, event_name=name)
        one.body.string_value = "x" * size
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[one])])])
        record = Record(1, Signal.LOGS, "otlp", NOW, 1, request.SerializeToString())
        batch = Batch(Signal.LOGS, (record,), Source(UUID(int=1), "reader"), Position(1, 0), Position(2, 0))
        return len(list(log_rows(batch)))

    assert kept("gen_ai.user.message", 1_000_000) == 1
    assert kept("paid", 1_000_000) == 0
    assert kept("gen_ai.user.message", 8_000_000) == 0
