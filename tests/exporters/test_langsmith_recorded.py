"""Runs of models' calls under the instrumentations of others, against what the programs asked and the models answered.

The spans are recordings of our own programs; `llm_programs/record.py` makes them anew.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.exporters.llm_oracle import RECORDINGS, deliver, runs_of
from tests.exporters.llm_programs.conversation import (
    ANSWER,
    ANTHROPIC_ANSWERS,
    ANTHROPIC_CACHE_WRITTEN,
    ANTHROPIC_MODEL,
    CACHED_TOKENS,
    CITY,
    EMBEDDING_MODEL,
    INPUT_TOKENS,
    OPENAI_ANSWERS,
    OPENAI_MODEL,
    OUTPUT_TOKENS,
    QUESTION,
    RAIN,
    REASONING_TOKENS,
    REFUSAL,
    STREAMED,
    SYSTEM,
    TEXTS,
)
from tests.langsmith_kept import KeptRun
from tests.langsmith_server import LangSmithServer, Rules

OPENAI = ["openai_calls-openinference", "openai_calls-openllmetry", "openai_calls-opentelemetry"]
ANTHROPIC = ["anthropic_calls-openinference", "anthropic_calls-openllmetry"]
LANGCHAIN = "langchain_runs-openinference"

Message: TypeAlias = tuple[str, str, list[Any]]

ASKED: list[Message] = [("system", SYSTEM, []), ("user", QUESTION, [])]
CALLED: Message = ("assistant", "", [("weather", CITY)])
ANSWERED: Message = ("assistant", ANSWER, [])

# What an instrumentation does not tell, or tells otherwise.
TOLD_OTHERWISE: dict[str, dict[str, Any]] = {
    "openai_calls-opentelemetry": {"input_token_details": None, "output_token_details": None},
}
STREAM_TOLD_OTHERWISE: dict[str, dict[str, Any]] = {
    **TOLD_OTHERWISE,
    "openai_calls-openllmetry": {"output_token_details": None},
    # It adds the count of the first event to that of the last.
    "anthropic_calls-openllmetry": {
        "output_tokens": OUTPUT_TOKENS + 1,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS + 1,
    },
}


class Recorded:
    """The runs of one recording, kept by a LangSmith."""

    def __init__(self, name: str, server: LangSmithServer) -> None:
        self.name = name
        self.server = server

    def calls(self, root: str) -> list[KeptRun]:
        """Return the calls right below a root, but not the spans that Anthropic's SDK makes itself."""
        (tree,) = [tree for tree in self.server.trees() if tree.run.name == root]
        return [child.run for child in tree.children if child.run.name != "anthropic.messages.create"]

    def usage(self, root: str) -> dict[str, Any]:
        """Return the usage that all calls of this root tell."""
        told = {json.dumps(run.usage, sort_keys=True) for run in self.calls(root)}
        (usage,) = told
        found: dict[str, Any] = json.loads(usage)
        return found


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    spans = Parse((RECORDINGS / f"{request.param}.json").read_text(encoding="utf-8"), ExportTraceServiceRequest())
    with LangSmithServer(Rules(window=None)) as server:
        deliver(runs_of([spans]), server)
        yield Recorded(request.param, server)


all_calls = pytest.mark.parametrize("recorded", [*OPENAI, *ANTHROPIC], indirect=True)
openai_calls = pytest.mark.parametrize("recorded", OPENAI, indirect=True)
langchain_runs = pytest.mark.parametrize("recorded", [LANGCHAIN], indirect=True)


def messages(payload: dict[str, Any]) -> list[Message]:
    return [_message(message) for message in payload["messages"]]


def _message(message: dict[str, Any]) -> Message:
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return message["role"], text, [(call["name"], json.loads(call["arguments"])) for call in calls]


@all_calls
def test_conversation_has_its_messages(recorded: Recorded) -> None:
    first, second = recorded.calls("conversation")
    assert {first.run_type, second.run_type} == {"llm"}
    assert messages(first.inputs) == ASKED
    assert messages(first.outputs) == [CALLED]
    assert messages(second.inputs) == [*ASKED, CALLED, ("tool", RAIN, [])]
    assert messages(second.outputs) == [ANSWERED]


@all_calls
def test_answer_of_a_tool_names_its_call(recorded: Recorded) -> None:
    _, second = recorded.calls("conversation")
    call, answer = second.inputs["messages"][2:]
    assert answer["tool_call_id"] == call["tool_calls"][0]["id"]


@all_calls
def test_stream_is_put_together(recorded: Recorded) -> None:
    (call,) = recorded.calls("stream")
    assert messages(call.inputs) == [("user", "Count.", [])]
    assert messages(call.outputs) == [("assistant", "".join(STREAMED), [])]


@all_calls
@pytest.mark.parametrize("root", ["conversation", "stream"])
def test_usage_is_what_the_model_counted(recorded: Recorded, root: str) -> None:
    is_openai = recorded.name in OPENAI
    cached = {"cache_read": CACHED_TOKENS}
    wanted: dict[str, Any] = {
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "input_token_details": cached if is_openai else {**cached, "cache_creation": ANTHROPIC_CACHE_WRITTEN},
        "output_token_details": {"reasoning": REASONING_TOKENS} if is_openai else None,
    }
    wanted |= (TOLD_OTHERWISE if root == "conversation" else STREAM_TOLD_OTHERWISE).get(recorded.name, {})
    usage = recorded.usage(root)
    for details in ("input_token_details", "output_token_details"):
        counted = {name: count for name, count in usage.get(details, {}).items() if count}
        assert counted == (wanted.pop(details) or {})
    assert {name: usage[name] for name in wanted} == wanted


@all_calls
def test_model_and_its_parameters_are_told(recorded: Recorded) -> None:
    is_openai = recorded.name in OPENAI
    models = {OPENAI_MODEL, OPENAI_ANSWERS} if is_openai else {ANTHROPIC_MODEL, ANTHROPIC_ANSWERS}
    for run in recorded.calls("conversation"):
        assert run.metadata["ls_provider"] == ("openai" if is_openai else "anthropic")
        assert run.metadata["ls_model_name"] in models
        assert run.metadata["ls_model_type"] == "chat"
        assert run.metadata["ls_max_tokens"] == 100
        assert run.extra["invocation_params"]["model"] in models
        if recorded.name != "openai_calls-opentelemetry":  # which does not tell them
            assert "weather" in json.dumps(run.extra["invocation_params"]["tools"])


@all_calls
def test_failure_is_told_once(recorded: Recorded) -> None:
    (call,) = recorded.calls("failure")
    assert REFUSAL in (call.error or "")
    assert (call.error or "").count("Traceback") <= 1
    assert messages(call.inputs) == [("user", "overload", [])]
    assert not call.outputs
    assert [run.error for run in recorded.server.runs if run.name == "conversation"] == [None]


@openai_calls
def test_embedding_has_its_type_texts_and_usage(recorded: Recorded) -> None:
    (call,) = recorded.calls("embedding")
    assert (call.run_type, call.metadata["ls_model_name"]) == ("embedding", EMBEDDING_MODEL)
    assert call.usage["input_tokens"] == 6
    if recorded.name != "openai_calls-opentelemetry":  # which does not tell them
        assert all(text in json.dumps(call.inputs) for text in TEXTS)


@pytest.mark.parametrize("recorded", ANTHROPIC, indirect=True)
def test_spans_of_anthropics_own_sdk_are_calls_too(recorded: Recorded) -> None:
    own = [run for run in recorded.server.runs if run.name == "anthropic.messages.create"]
    assert [run.run_type for run in own] == ["llm"] * 4
    for run in own:
        assert run.metadata["ls_provider"] == "anthropic"
        assert run.error or run.usage["total_tokens"] == INPUT_TOKENS + OUTPUT_TOKENS


@langchain_runs
def test_chain_is_the_tree_that_it_ran_as(recorded: Recorded) -> None:
    outlines = [tree.outline() for tree in recorded.server.trees()]
    retrieval = {"RunnableParallel<context>": [{"RunnableSequence": ["RunnableLambda", "Shelf"]}]}
    assert outlines == [
        {
            "rag": [
                {"RunnableAssign<context>": [retrieval]},
                "ChatPromptTemplate",
                "GenericFakeChatModel",
                "StrOutputParser",
            ]
        },
        "weather",
        "weather",
        {"RunnableWithFallbacks": ["broken", "spare"]},
        "completion",
        {"streamed": ["ChatPromptTemplate", "GenericFakeChatModel"]},
        "double",
        "double",
        "awaited",
    ]


@langchain_runs
def test_steps_of_a_chain_have_their_types(recorded: Recorded) -> None:
    types = {run.name: run.run_type for run in recorded.server.runs}
    assert {"chain"} == {types["rag"], types["broken"], types["double"], types["streamed"]}
    assert (types["Shelf"], types["weather"], types["ChatPromptTemplate"]) == ("retriever", "tool", "prompt")
    assert {"llm"} == {types["GenericFakeChatModel"], types["completion"], types["awaited"]}


@langchain_runs
def test_steps_of_a_chain_have_their_inputs_and_outputs(recorded: Recorded) -> None:
    shelf, rag = recorded.server.run("Shelf"), recorded.server.run("rag")
    assert shelf.inputs == {"query": "why?"}
    (document,) = shelf.outputs["documents"]
    assert document["page_content"] == "about why?"
    assert document["metadata"] == {"source": "a.txt", "score": 0.5}
    assert (rag.inputs, rag.outputs) == ({"input": "why?"}, {"text": "It rains."})
    model = recorded.calls("rag")[2]
    assert messages(model.outputs) == [("assistant", "It rains.", [("weather", CITY)])]
    assert model.usage["input_token_details"] == {"cache_read": 3}
    assert "no luck" in (recorded.server.run("broken").error or "")


@langchain_runs
def test_thread_is_told_by_every_run_of_a_chain(recorded: Recorded) -> None:
    (tree,) = [tree for tree in recorded.server.trees() if tree.run.name == "rag"]
    assert {(run.metadata.get("session_id"), run.metadata.get("version")) for run in tree.walk()} == {("thread-7", 3)}
