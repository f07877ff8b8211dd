"""From a span to a draft: the tables of the conventions case by case, and spans that nobody would send."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from ganglion_collector.model_calls import MODELS, PROVIDERS, USAGE
from ganglion_collector.prices import load_prices
from ganglion_exporters._langsmith._conventions import (
    GENERIC,
    KINDS,
    METADATA,
    PARAMETERS,
    Group,
    place,
)
from ganglion_exporters._langsmith._payloads import INPUTS, OUTPUTS
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.model import Draft
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.exporters.batches import key_values
from tests.exporters.langsmith_cases import (
    SPAN_ID,
    START,
    TRACE_ID,
    Case,
    genai,
    langsmith,
    openinference,
    others,
    resource_of,
    scope,
    span_of,
    span_of_case,
)

SETTINGS = ConversionSettings()
MODULES = (langsmith, genai, openinference, others)


def draft_of(attributes: dict[str, Any], with_settings: ConversionSettings = SETTINGS, **fields: Any) -> Draft:
    return convert(span_of(attributes, **fields), Resource(), InstrumentationScope(), with_settings)


def found(draft: Draft, path: str) -> Any:
    field, _, key = path.partition(":")
    value = getattr(draft, field)
    return value.get(key) if key else value


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{module.__name__.rpartition('.')[2]}: {case.name}")
        for module in MODULES
        for case in module.CASES
    ],
)
def test_a_row_of_a_convention(case: Case) -> None:
    draft = convert(span_of_case(case), resource_of(case.resource), scope(), SETTINGS)
    assert {path: found(draft, path) for path in case.expected} == dict(case.expected)


def test_every_attribute_of_the_tables_has_a_case() -> None:
    sources = {name for name, *_ in (*INPUTS, *OUTPUTS)} | {name for name, *_ in KINDS}
    tables = {*GENERIC, *METADATA, *MODELS, *PARAMETERS, *PROVIDERS, *USAGE, *sources}
    seen = {name for module in MODULES for case in module.CASES for name in case.attributes}
    spread = {
        name for name in tables if name.endswith(".{n}") and any(one.startswith(f"{name[:-3]}0.") for one in seen)
    }
    assert tables - spread - seen == set()


def test_the_sources_are_in_the_order_of_the_collector_proxy() -> None:
    sources = [
        ("gen_ai.prompt.0.content", "1"),
        ("llm.input_messages.0.message.content", "2"),
        ("input.value", "3"),
        ("traceloop.entity.input", "4"),
        ("gen_ai.prompt", "5"),
        ("prompt", "6"),
        ("events", '[{"event.name": "gen_ai.user.message", "content": "7"}]'),
    ]
    seen: list[str] = []
    while sources:
        seen.append(json.dumps(draft_of(dict(reversed(sources))).inputs)[-6:])
        sources.pop(0)
    assert [next(character for character in text if character.isdigit()) for text in seen] == list("1234567")


def test_an_empty_source_gives_way_to_the_next() -> None:
    draft = draft_of({"gen_ai.input.messages": "[]", "input.value": "", "gen_ai.prompt": '{"q": 1}'})
    assert draft.inputs == {"q": 1}


def test_ids_kind_scope_links_and_state_are_metadata() -> None:
    link = Span.Link(trace_id=TRACE_ID, span_id=SPAN_ID, attributes=key_values({"why": "retry"}))
    span = span_of({}, kind=Span.SPAN_KIND_CLIENT, links=[link], trace_state="a=b", dropped_attributes_count=3)
    metadata = convert(span, Resource(), scope("langsmith", "0.14"), SETTINGS).metadata
    assert metadata == {
        "OTEL_TRACE_ID": TRACE_ID.hex(),
        "OTEL_SPAN_ID": SPAN_ID.hex(),
        "otel.span.kind": "client",
        "otel.scope.name": "langsmith",
        "otel.scope.version": "0.14",
        "otel.trace_state": "a=b",
        "otel.links": [{"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex(), "attributes": {"why": "retry"}}],
        "otel.dropped_attributes_count": 3,
    }


def test_links_beyond_a_bound_are_left_out() -> None:
    draft = draft_of({}, links=[Span.Link(trace_id=TRACE_ID, span_id=SPAN_ID)] * 300)
    assert draft.metadata["otel.links"] == [{"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex()}] * 100


def test_ids_and_times_are_the_spans_own() -> None:
    draft = draft_of({}, parent_span_id=b"\1" * 8, end_time_unix_nano=START - 1)
    assert (draft.trace_id, draft.span_id, draft.parent_span_id) == (TRACE_ID, SPAN_ID, b"\1" * 8)
    assert (draft.start, draft.end, draft.is_root) == (START, START, False)


def test_a_parent_of_zeros_is_none() -> None:
    draft = draft_of({}, parent_span_id=bytes(8))
    assert (draft.parent_span_id, draft.is_root) == (b"", True)


def test_a_span_without_a_start_starts_where_it_ends() -> None:
    draft = draft_of({}, start_time_unix_nano=0)
    assert draft.start == draft.end == START + 1_000_000


def test_the_resource_can_be_left_out() -> None:
    resource = resource_of({"service.name": "s", "langsmith.project": "p"})
    draft = convert(span_of({}), resource, scope(), replace(SETTINGS, keep_resource=False))
    assert ("service.name" in draft.metadata, draft.project) == (False, "p")


def test_the_settings_name_the_project_of_spans_that_name_none() -> None:
    assert draft_of({}, replace(SETTINGS, project="mine")).project == "mine"
    assert draft_of({"langsmith.trace.session_name": "own"}, replace(SETTINGS, project="mine")).project == "own"


PRICED = replace(SETTINGS, prices=load_prices())
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000_000,
    "gen_ai.usage.output_tokens": 1000,
}


def test_tokens_without_a_cost_get_one_by_the_price_table() -> None:
    draft = draft_of(CALL, PRICED)
    usage = draft.metadata["usage_metadata"]
    assert usage["input_cost"] > usage["output_cost"] > 0
    assert usage["total_cost"] == pytest.approx(usage["input_cost"] + usage["output_cost"])
    assert draft.outputs["usage_metadata"] == usage
    assert date.fromisoformat(draft.metadata["ganglion.prices"]) > date(2024, 1, 1)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"gen_ai.usage.cost": 0.5}, id="a cost that is known"),
        pytest.param({"gen_ai.request.model": "nobody's"}, id="a model that is not"),
        pytest.param({"gen_ai.operation.name": "invoke_agent"}, id="a chain, whose calls have theirs"),
    ],
)
def test_no_cost_is_computed_for(more: dict[str, Any]) -> None:
    draft = draft_of({**CALL, **more}, PRICED)
    assert "ganglion.prices" not in draft.metadata
    assert draft.metadata["usage_metadata"].get("input_cost") is None


TABLE = {
    "date": "2026-01-02",
    "providers": {
        "mine": {
            "models": {
                "m": {
                    "input": 1,
                    "output": 10,
                    "cache_read": 0.5,
                    "cache_creation": 2,
                    "cache_creation_1h": 4,
                    "reasoning": 20,
                    "audio_input": 8,
                    "audio_output": 80,
                }
            }
        }
    },
}


@pytest.mark.parametrize(
    ("details", "dollars"),
    [
        pytest.param({}, (100, 1000), id="plain"),
        pytest.param({"input_token_details": {"cache_read": 50}}, (75, 1000), id="read from a cache"),
        pytest.param({"input_token_details": {"cache_creation": 50}}, (150, 1000), id="written to a cache"),
        pytest.param({"input_token_details": {"ephemeral_5m_input_tokens": 50}}, (150, 1000), id="for five minutes"),
        pytest.param({"input_token_details": {"ephemeral_1h_input_tokens": 50}}, (250, 1000), id="for an hour"),
        pytest.param({"input_token_details": {"audio": 50}}, (450, 1000), id="heard"),
        pytest.param({"output_token_details": {"reasoning": 50}}, (100, 1500), id="reasoning"),
        pytest.param({"output_token_details": {"audio": 50}}, (100, 4500), id="spoken"),
        pytest.param({"output_token_details": {"audio": True}, "input_token_details": 7}, (100, 1000), id="no counts"),
    ],
)
def test_each_kind_of_token_has_a_price(details: dict[str, Any], dollars: tuple[float, float], tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(json.dumps(TABLE), encoding="utf-8")
    own = replace(SETTINGS, prices=load_prices(tmp_path / "prices.json"))
    counts = {"input_tokens": 100, "output_tokens": 100, **details}
    draft = draft_of(
        {
            "langsmith.span.kind": "llm",
            "gen_ai.system": "mine",
            "gen_ai.request.model": "m",
            "langsmith.usage_metadata": json.dumps(counts),
        },
        own,
    )
    usage = draft.metadata["usage_metadata"]
    assert (usage["input_cost"] * 1e6, usage["output_cost"] * 1e6) == pytest.approx(dollars)
    assert draft.metadata["ganglion.prices"] == "2026-01-02"


def test_no_cost_is_computed_without_prices() -> None:
    assert "total_cost" not in draft_of(CALL).metadata["usage_metadata"]


def test_metadata_too_large_is_cut_and_the_run_says_so() -> None:
    small = replace(SETTINGS, max_metadata_bytes=1000)
    draft = draft_of({"gen_ai.prompt": '{"q": "' + "x" * 50_000 + '"}', "note": "y" * 5000, "plan": "free"}, small)
    assert len(draft.inputs["q"]) == 50_000
    assert draft.metadata["note"].startswith("yyy")
    assert draft.metadata["plan"] == "free"
    assert draft.metadata["ganglion.cut_metadata"] is True
    assert draft.metadata["OTEL_SPAN_ID"] == SPAN_ID.hex()
    assert len(orjson.dumps(draft.metadata)) < 1200


def test_many_small_values_are_cut_too() -> None:
    small = replace(SETTINGS, max_metadata_bytes=1000)
    draft = draft_of({f"key {number}": number for number in range(1000)}, small)
    assert len(orjson.dumps(draft.metadata)) < 1200
    assert draft.metadata["ganglion.cut_metadata"] is True


def test_a_name_too_long_is_cut() -> None:
    assert len(draft_of({}, name="n" * 5000).name) < 1100


def test_events_beyond_a_bound_are_counted() -> None:
    events = [Span.Event(name="tick", time_unix_nano=START)] * 1500
    draft = draft_of({}, events=events)
    assert (len(draft.events), draft.metadata["ganglion.left_out_events"]) == (1000, 500)


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        pytest.param("[" * 300 + "]" * 300, {"input": "[" * 300 + "]" * 300}, id="deeper than can be sent"),
        pytest.param("[" * 100_000, {"input": "[" * 100_000}, id="deep and unfinished"),
        pytest.param('{"a": NaN, "b": 1e999}', {"a": "NaN", "b": "Infinity"}, id="NaN"),
        pytest.param('{"a": "\\ud800"}', {"a": "\N{REPLACEMENT CHARACTER}"}, id="lone surrogate"),
        pytest.param('{"\\udfff": NaN}', {"\N{REPLACEMENT CHARACTER}": "NaN"}, id="lone surrogate in a key"),
        pytest.param('{"a": NaN, "b": ' + "9" * 30 + "}", {"a": "NaN", "b": "9" * 30}, id="integer beyond 64 bits"),
        pytest.param('{"a": 9223372036854775808}', {"a": "9223372036854775808"}, id="integer beyond 63 bits"),
        pytest.param('{"a": 9223372036854775807}', {"a": 2**63 - 1}, id="largest integer"),
        pytest.param('{"a": ' + "9" * 5000 + ', "b": NaN}', None, id="integer beyond all"),
        pytest.param('{"a": 1', {"input": '{"a": 1'}, id="cut off"),
        pytest.param(' {"a": 1}\n', {"a": 1}, id="blanks"),
        pytest.param("7", {"input": "7"}, id="a number is a text"),
    ],
)
def test_a_hostile_text(text: str, inputs: dict[str, Any] | None) -> None:
    assert draft_of({"gen_ai.prompt": text}).inputs == ({"input": text} if inputs is None else inputs)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"gen_ai.prompt.0.content": "a", "gen_ai.prompt.0.content.x": "b"}, id="leaf and branch"),
        pytest.param({"gen_ai.prompt.0.content.x": "b", "gen_ai.prompt.0.content": "a"}, id="branch and leaf"),
        pytest.param({"gen_ai.prompt.0." + "x." * 200 + "y": "a"}, id="deep name"),
        pytest.param({"gen_ai.prompt." + "9" * 5000 + ".role": "a"}, id="endless index"),
        pytest.param({"gen_ai.prompt.999999999.role": "a"}, id="far index"),
        pytest.param({"gen_ai.prompt.0": "a", "gen_ai.prompt.": "b", "langsmith.metadata.": "c"}, id="names cut short"),
        pytest.param({"": 1, "k" * 100_000: 2}, id="no name, long name"),
        pytest.param(
            {"langsmith.is_root": [1], "langsmith.span.kind": {"a": 1}, "gen_ai.system": [None]}, id="wrong types"
        ),
        pytest.param({"gen_ai.usage.input_token_details": "{" * 4000, "metadata": "(" * 50}, id="no Python"),
        pytest.param({"metadata": "{'a': " + "0x" + "f" * 3900 + "}"}, id="endless Python"),
    ],
)
def test_hostile_attributes_do_no_harm(attributes: dict[str, Any]) -> None:
    draft = draft_of(attributes)
    orjson.dumps([draft.inputs, draft.outputs, draft.metadata])


NAMES = sorted(
    {name for module in MODULES for case in module.CASES for name in case.attributes}
    | {name for module in MODULES for case in module.CASES for event in case.events for name in event[1]}
)
EVENT_NAMES = sorted({event[0] for module in MODULES for case in module.CASES for event in case.events})
KEYS = st.sampled_from(["role", "content", "parts", "type", "id", "message", "tool_calls", "x"])
TEXTS = st.text(max_size=5) | st.sampled_from(
    [
        "{}",
        "[]",
        "[{}]",
        "1",
        '{"a": NaN}',
        "{'a': 1}",
        '{"role": [1]}',
        '[{"parts": [{"type": {}}, 1]}]',
        '[{"message": 1}]',
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=5), st.binary(max_size=5) | VALUES | VALUES.map(json.dumps), max_size=5
)
EVENTS = st.lists(st.tuples(st.sampled_from(EVENT_NAMES) | st.text(max_size=5), ATTRIBUTES), max_size=2)


@settings(max_examples=100)
@given(
    attributes=ATTRIBUTES,
    events=EVENTS,
    times=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    code=st.sampled_from(Status.StatusCode.values()),
)
def test_any_span_becomes_a_draft_that_can_be_sent(
    attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]], times: tuple[int, int], code: Any
) -> None:
    span = span_of(
        attributes,
        start_time_unix_nano=times[0],
        end_time_unix_nano=times[1],
        events=[Span.Event(name=name, time_unix_nano=times[1], attributes=key_values(more)) for name, more in events],
        status=Status(code=code),
    )
    draft = convert(span, resource_of(attributes), scope(), PRICED)
    orjson.dumps([draft.inputs, draft.outputs, draft.metadata, draft.events, draft.tags, draft.invocation_params])
    assert draft.name
    assert draft.start <= draft.end
    assert all(isinstance(text, str) for text in (draft.name, draft.project, draft.error or "", *draft.tags))
    assert draft == convert(span, resource_of(attributes), scope(), PRICED)


def test_the_runs_of_traceable_functions_are_as_their_service_wrote_them() -> None:
    """Spans of langsmith 0.14.17 as they were sent, without the ids that Ganglion's instrumentation adds."""
    spans = json.loads((Path(langsmith.__file__).parent / "traceable.json").read_text(encoding="utf-8"))
    drafts = {span["name"]: _traceable(span) for span in spans}
    assert {name: draft.run_type for name, draft in drafts.items()} == {
        "native-otel-child": "chain",
        "pipeline": "chain",
        "lookup": "tool",
        "retr": "retriever",
        "chat-model": "llm",
        "fail": "chain",
    }
    assert [name for name, draft in drafts.items() if not draft.is_llm] == ["native-otel-child"]
    assert drafts["lookup"].inputs == {"q": "x"}
    assert drafts["lookup"].outputs == {"hits": [{"title": "päper", "n": 1}]}
    assert drafts["fail"].error == "ValueError('boom')\n\n" + TRACEBACK
    for name in ("pipeline", "lookup", "retr", "chat-model", "fail"):
        assert (drafts[name].project, drafts[name].tags) == ("demo-project", ["t1", "t2"])
        assert drafts[name].metadata["nested"] == {"a": 1}
        assert not [key for key in drafts[name].metadata if key.startswith("LANGSMITH")]


def test_a_traceable_models_usage_stays_whole() -> None:
    spans = json.loads((Path(langsmith.__file__).parent / "traceable.json").read_text(encoding="utf-8"))
    (draft,) = [_traceable(span) for span in spans if span["name"] == "chat-model"]
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 2},
        "total_cost": 0.00012,
    }
    assert draft.outputs == {"messages": [{"role": "assistant", "content": "Hi"}], "usage_metadata": usage}
    assert draft.metadata["usage_metadata"] == usage
    assert (draft.metadata["ls_provider"], draft.metadata["ls_model_name"]) == ("openai", "gpt-4o-mini")


TRACEBACK = (
    'Traceback (most recent call last):\n  File "app/sample.py", line 34, in fail\n'
    '    raise ValueError("boom")\nValueError: boom\n'
)


def _traceable(span: dict[str, Any]) -> Draft:
    events = [Span.Event(name=event["name"], attributes=key_values(event["attributes"])) for event in span["events"]]
    code = Status.StatusCode.Value(f"STATUS_CODE_{span['status']}")
    return draft_of(span["attributes"], PRICED, name=span["name"], events=events, status=Status(code=code))


def test_the_documentation_names_attributes_that_are_read() -> None:
    text = (Path(__file__).parents[2] / "docs" / "langsmith.md").read_text(encoding="utf-8")
    table = text.partition("## How spans become runs")[2].partition("Messages come out as")[0]
    named = {name for name in re.findall(r"`([^`]+)`", table) if re.match(r"(langsmith|gen_ai|llm|traceloop)\.", name)}
    others = {name for name in named if name.endswith("*")} | {"langsmith.project", "llm.content.completion.chunk"}
    unread = {name for name in named - others if place(name.replace("{n}", "0.x")).group is Group.METADATA}
    assert len(named) > 40
    assert unread - set(METADATA) == set()


CAPTURED = json.loads((Path(langsmith.__file__).parent / "instrumentations.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("span", [pytest.param(span, id=f"{span['scope']} {span['version']}") for span in CAPTURED])
def test_instrumentations_of_both_schools_give_the_same_conversation(span: dict[str, Any]) -> None:
    """The same program under OpenInference and OpenLLMetry: a question, a tool's call and result, another call."""
    draft = draft_of(span["attributes"], PRICED, name=span["name"])
    messages = [message for message in draft.inputs["messages"] if message["role"] != "system"]
    (answer,) = draft.outputs["messages"]
    assert draft.run_type == "llm"
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert (messages[0]["content"], messages[2]["content"]) == ("Weather?", "none")
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]
    assert answer["role"] == "assistant"
    (call,) = answer["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "Paris"})
    assert draft.invocation_params["tools"]
    assert draft.metadata["ls_provider"] in {"openai", "anthropic"}
    assert draft.outputs["usage_metadata"] == {
        **draft.outputs["usage_metadata"],
        **TOKENS[draft.metadata["ls_provider"]],
    }
    assert draft.metadata["usage_metadata"]["total_cost"] > 0


TOKENS = {
    "openai": {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 2},
    },
    "anthropic": {
        "input_tokens": 131,
        "output_tokens": 7,
        "total_tokens": 138,
        "input_token_details": {"cache_read": 100, "cache_creation": 20},
    },
}
