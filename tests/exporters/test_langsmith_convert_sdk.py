"""What the langsmith SDK uploads itself, and what its spans become here: the same runs."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import langsmith
import pytest
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.model import Draft
from langsmith import traceable
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from tests.fix_langsmith import LangSmithEnvironment, Trace
from tests.langsmith_kept import KeptRun
from tests.langsmith_server import LangSmithServer

USAGE = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_token_details": {"cache_read": 3},
    "output_token_details": {"reasoning": 2},
    "total_cost": 0.00012,
}


@pytest.fixture
def uploads(langsmith_environment: LangSmithEnvironment) -> Iterator[LangSmithServer]:
    with LangSmithServer() as server:
        langsmith_environment.set(TRACING_MODE="hybrid", ENDPOINT=server.url, API_KEY="key", PROJECT="answers")
        yield server


def program() -> None:
    """Run one of each kind; the failure is caught by the root."""

    @traceable(run_type="retriever")
    def search(query: str) -> list[dict[str, Any]]:
        return [{"page_content": f"about {query}", "type": "Document", "metadata": {"source": "a"}}]

    @traceable(run_type="tool")
    def lookup(q: str, n: int = 2) -> dict[str, Any]:
        return {"hits": [{"title": "päper", "n": n}], "q": q}

    @traceable(
        run_type="llm", metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o-mini", "ls_temperature": 0.2}
    )
    def model(messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {"messages": [{"role": "assistant", "content": f"{len(messages)}"}], "usage_metadata": USAGE}

    @traceable(run_type="embedding")
    def embed(texts: list[str]) -> list[list[float]]:
        return [[0.5, 1.0] for _ in texts]

    @traceable(run_type="prompt")
    def prompt(city: str) -> str:
        return f"Weather in {city}?"

    @traceable(run_type="llm", reduce_fn=lambda tokens: {"text": "".join(tokens)})
    def stream() -> Iterator[str]:
        yield from ("so", "me")

    @traceable
    def fail() -> None:
        raise ValueError("boom")

    @traceable(tags=["t1", "t2"], metadata={"session_id": "thread-123", "nested": {"a": [1, None]}, "flag": True})
    def answer(question: str) -> str:
        search(question)
        lookup("x")
        embed(["a"])
        with pytest.raises(ValueError, match="boom"):
            fail()
        assert list(stream()) == ["so", "me"]
        model([{"role": "user", "content": prompt("Paris")}])
        return "so"

    answer("why?")


def uploaded(server: LangSmithServer) -> dict[UUID, KeptRun]:
    langsmith.run_trees.get_cached_client().flush()
    return {run.id: run for run in server.runs}


def drafts_of(traced: Trace) -> dict[UUID, Draft]:
    request = encode_spans(traced.exporter.get_finished_spans())
    drafts = [
        convert(span, group.resource, spans.scope, ConversionSettings())
        for group in request.resource_spans
        for spans in group.scope_spans
        for span in spans.spans
    ]
    return {draft.given.run_id: draft for draft in drafts if draft.given is not None}


def test_spans_of_traceable_functions_become_what_the_sdk_uploads(uploads: LangSmithServer, traced: Trace) -> None:
    program()
    kept, drafts = uploaded(uploads), drafts_of(traced)
    assert sorted(run.name for run in kept.values()) == sorted(
        ["answer", "search", "lookup", "model", "embed", "prompt", "stream", "fail"]
    )
    assert kept.keys() == drafts.keys()
    for run_id, run in kept.items():
        draft = drafts[run_id]
        assert (draft.name, draft.run_type, draft.project) == (run.name, run.run_type, run.project)
        assert (draft.inputs, draft.outputs, draft.tags) == (run.inputs, run.outputs, run.tags)
        assert [event["name"] for event in draft.events] == [event["name"] for event in run.events]
        assert metadata_of(run).items() <= draft.metadata.items()
        assert abs(draft.start - run.start.timestamp() * 1e9) < 2000
        assert draft.given is not None
        assert (draft.given.trace_id, draft.given.parent_run_id) == (run.trace_id, run.parent_run_id)
        assert draft.given.dotted_order == run.dotted_order


def test_an_exception_is_told_with_its_message_and_where_it_was_raised(uploads: LangSmithServer, traced: Trace) -> None:
    program()
    kept, drafts = uploaded(uploads), drafts_of(traced)
    ((run_id, run),) = [(run_id, run) for run_id, run in kept.items() if run.error]
    _, _, stack = (run.error or "").partition("\n\n")
    assert stack.startswith("Traceback")
    assert drafts[run_id].error == f"boom\n\nStacktrace:\n{stack}"
    assert [draft.name for draft in drafts.values() if draft.error] == ["fail"]


def metadata_of(run: KeptRun) -> dict[str, Any]:
    """Return it without the variables of the service, which are not of the run."""
    return {key: value for key, value in run.metadata.items() if not key.startswith("LANGSMITH_")}
