import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ganglion_query.message_forms import Message, read_message, read_whole, spread
from ganglion_query.messages import conversation_of, has_messages
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.query.rows import log_row, span_row

RECORDINGS = Path(__file__).parent.parent / "exporters" / "llm_recordings"
QUESTION = [("system", "Be brief."), ("user", "What is the weather in Köln? ☂")]
CALL = ("assistant", '{"tool_calls": [{"name": "weather", "arguments": {"city": "Köln"}}]}')
CHATS: list[tuple[list[Any], list[Any]]] = [
    (QUESTION, [CALL]),
    ([*QUESTION, CALL, ("tool", "rain, 9 °C")], [("assistant", "It rains in Köln.")]),
    ([("user", "Count.")], [("assistant", "One two three.")]),
    ([("user", "overload")], []),
]


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case None:
            return None
        case kind:
            return getattr(value, kind)


def _recorded(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each span's name and attributes, as the exporter to PostgreSQL keeps them."""
    request = ParseDict(json.loads((RECORDINGS / f"{name}.json").read_text()), ExportTraceServiceRequest())
    spans = [span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]
    return [(span.name, {one.key: _value(one.value) for one in span.attributes}) for span in spans]


def _said(attributes: Mapping[str, Any], **fields: Any) -> tuple[list[Any], list[Any]]:
    found = conversation_of(span_row("a", attributes=attributes, **fields))
    return [(one.role, one.content) for one in found.prompt], [(one.role, one.content) for one in found.completion]


@pytest.mark.parametrize(
    ("recording", "name"),
    [
        ("openai_calls-opentelemetry", "chat gpt-4o-mini"),
        ("openai_calls-openinference", "ChatCompletion"),
        ("openai_calls-openllmetry", "openai.chat"),
        ("anthropic_calls-openinference", "messages.create"),
        ("anthropic_calls-openllmetry", "anthropic.chat"),
    ],
)
def test_recorded_chats_read_the_same_in_every_convention(recording: str, name: str) -> None:
    chats = [attributes for one, attributes in _recorded(recording) if one == name]
    assert [_said(chat) for chat in chats] == CHATS
    assert all(has_messages(span_row("a", attributes=chat)) for chat in chats)


def test_recorded_spans_without_messages_have_none() -> None:
    calls = [attributes for name, attributes in _recorded("openai_calls-openinference") if name == "conversation"]
    assert [_said(call) for call in calls] == [([], [])]
    assert not has_messages(span_row("a", attributes=calls[0]))


def test_recorded_chains_show_what_went_in_and_out() -> None:
    chains = dict(_recorded("langchain_runs-openinference"))
    assert _said(chains["rag"]) == ([("user", "why?")], [("assistant", "It rains.")])
    assert _said(chains["StrOutputParser"])[0] == [("assistant", "It rains."), CALL]
    assert _said(chains["completion"]) == ([("user", "complete this")], [("assistant", "plain text")])
    assert _said(chains["streamed"])[1] == [("assistant", "one two three")]


def test_system_instructions_come_first() -> None:
    parts = json.dumps([{"type": "text", "content": "Be kind."}])
    attributes = {"gen_ai.system_instructions": parts, "gen_ai.input.messages": '[{"role": "user", "parts": []}]'}
    assert _said(attributes)[0] == [("system", "Be kind.")]
    assert _said({"gen_ai.system_instructions": "Be kind.", "gen_ai.prompt.0.content": "Hi"})[0] == [
        ("system", "Be kind."),
        ("user", "Hi"),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "b", "gen_ai.prompt.0.content": "a"}
        | {"gen_ai.prompt.0.role": "system", "gen_ai.completion.0.content": "c"},
        {"gen_ai.prompt": '[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]'}
        | {"gen_ai.completion": "c"},
        {"gen_ai.prompt": '{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}'}
        | {"gen_ai.completion": '{"role": "assistant", "content": "c"}'},
        {"input.value": '{"system": "a", "messages": [{"role": "user", "content": [{"type": "text", "text": "b"}]}]}'}
        | {"output.value": '{"content": [{"type": "text", "text": "c"}], "role": "assistant", "type": "message"}'},
        {"traceloop.entity.input": '{"inputs": {"messages": [{"type": "system", "content": "a"}, "b"]}, "tags": []}'}
        | {"traceloop.entity.output": '{"outputs": {"generations": [[{"text": "c", "generation_info": null}]]}}'},
        {"events": '[{"role": "system", "content": "a"}, {"role": "user", "content": "b"},'
         ' {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "c"}}]'},
    ],
    ids=["spread", "list", "langsmith", "anthropic", "traceloop", "logfire"],
)  # fmt: skip
def test_older_forms_read_the_same(attributes: dict[str, Any]) -> None:
    assert _said(attributes) == ([("system", "a"), ("user", "b")], [("assistant", "c")])


def test_messages_in_events_of_the_span() -> None:
    events = [
        {"name": "gen_ai.system.message", "attributes": {"content": "a", "gen_ai.system": "openai"}},
        {"name": "gen_ai.user.message", "attributes": {"gen_ai.event.content": '{"content": "b"}'}},
        {"name": "exception", "attributes": {"exception.type": "E"}},
        {"name": "gen_ai.choice", "attributes": {"message.content": "c", "message.role": "assistant", "index": 0}},
    ]
    assert _said({}, events=events) == ([("system", "a"), ("user", "b")], [("assistant", "c")])
    assert has_messages(span_row("a", events=events))


def test_without_a_choice_the_last_word_of_the_assistant_is_the_answer() -> None:
    names = ("user", "assistant", "user", "assistant")
    events = [{"name": f"gen_ai.{name}.message", "attributes": {"content": name}} for name in names]
    prompt, completion = _said({}, events=events)
    assert [role for role, _ in prompt] == ["user", "assistant", "user"]
    assert completion == [("assistant", "assistant")]


def test_older_events_hold_the_whole() -> None:
    events = [
        {"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": "b"}},
        {"name": "gen_ai.content.completion", "attributes": {"gen_ai.completion": "c"}},
    ]
    assert _said({}, events=events) == ([("user", "b")], [("assistant", "c")])


def test_messages_in_logs_of_the_span() -> None:
    logs = [
        log_row('{"content": "b"}', "a", context={"otel.event_name": "gen_ai.user.message"}),
        log_row("something else", "a"),
        log_row("gen_ai.choice", "a", context={"message": {"role": "assistant", "content": "c"}}),
    ]
    found = conversation_of(span_row("a"), logs)
    assert [one.content for one in (*found.prompt, *found.completion)] == ["b", "c"]
    assert has_messages(span_row("a"), logs)


def test_what_was_thought_asked_and_answered_stands_apart() -> None:
    parts = [
        {"type": "reasoning", "content": "hm"},
        {"type": "text", "content": "one"},
        {"type": "text", "content": "two"},
        {"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Bonn"}},
        {"type": "tool_call_response", "id": "1", "response": {"rain": True}},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
    ]
    assert read_message({"role": "assistant", "parts": parts}, "user") == [
        Message("reasoning", "hm"),
        Message("assistant", "one\n\ntwo"),
        Message("assistant", '{"tool_calls": [{"name": "weather", "arguments": {"city": "Bonn"}}]}'),
        Message("tool", '{"rain": true}'),
        Message("assistant", '{"type": "uri", "modality": "image", "uri": "https://example.org/a.png"}'),
    ]


def test_json_that_a_person_wrote_stays_text() -> None:
    assert read_message({"role": "user", "content": '{"a": 1}'}, "user") == [Message("user", '{"a": 1}')]
    assert read_message({"role": "user", "content": "[1, 2]"}, "user") == [Message("user", "[1, 2]")]
    assert read_whole('{"question": "why?"}', "user") == [Message("user", '{"question": "why?"}')]


def test_spread_lists_come_in_the_order_of_their_indices() -> None:
    values = {f"gen_ai.prompt.{index}.content": index for index in (10, 2, 0)}
    assert spread(values, "gen_ai.prompt") == [{"content": 0}, {"content": 2}, {"content": 10}]
    assert spread({"gen_ai.prompt.0": 1, "gen_ai.prompt.0.role": 2, "gen_ai.promptx.0": 3}, "gen_ai.prompt") == [1]


_NAMES = st.sampled_from(
    [
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.prompt.0.content",
        "gen_ai.prompt.0",
        "events",
        "llm.input_messages.0.message",
        "llm.prompts.0.prompt",
        "input.value",
        "output.value",
    ]
)
_KEYS = st.sampled_from(
    [
        "role",
        "content",
        "contents",
        "parts",
        "type",
        "message",
        "data",
        "kwargs",
        "messages",
        "tool_calls",
        "id",
        "text",
        "function",
        "name",
        "inputs",
        "generation_info",
        "message_content",
    ]
)
_WORDS = st.sampled_from(["", "a", "{", "[1", "constructor", "ai", "text", "tool_call"])
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_NAMES, _TREES | _TREES.map(json.dumps), max_size=4))
def test_nothing_that_a_sender_writes_breaks_it(attributes: dict[str, Any]) -> None:
    found = conversation_of(span_row("a", attributes=attributes))
    for one in (*found.prompt, *found.completion):
        assert isinstance(one.role, str)
        assert isinstance(one.content, str)


@pytest.mark.parametrize("opening", ['{"messages": [', "[", '{"message": '])
@pytest.mark.parametrize("times", [90, 950, 5000])
def test_depth_does_not_break_it(opening: str, times: int) -> None:
    closing = "".join({"{": "}", "[": "]"}[bracket] for bracket in reversed(opening) if bracket in "{[")
    deep = opening * times + '{"role": "user", "content": "x"}' + closing * times
    for name in ("input.value", "gen_ai.input.messages"):
        _said({name: deep})
