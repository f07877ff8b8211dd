"""The runs that the exporter makes of a program's spans, against what langsmith itself uploads of the same run of it.

Programs run once: langsmith uploads as it always does, and Ganglion's spans of the same runs come as OTLP.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exporters.llm_oracle import export, run_program
from tests.langsmith_kept import KeptRun
from tests.langsmith_server import LangSmithServer

PROGRAMS = ["traceable_runs", "langchain_runs"]

SAME = ("id", "trace_id", "parent_run_id", "dotted_order", "name", "run_type", "start_time", "end_time", "session_name")

# What only the direct upload has, and why.
ONLY_DIRECT = {
    "runtime": "what the SDK says of itself; a span has it as its resource",
    "batch_size": "LangChain's extra; langsmith puts none of it on spans",
    "options": "LangChain's extra",
    "color": "LangChain's extra",
    "tool_call_id": "LangChain's extra; on the span it is gen_ai.tool.call.id",
    "tool_call_count": "LangChain's extra; the calls are in the outputs",
    "defers_inputs": "LangChain's extra",
    "invocation_params": "langsmith puts on spans those that OpenTelemetry has a name for",
}
# Metadata that only our runs have, by its beginning, and why.
ONLY_OURS = {
    "OTEL_": "the ids by which Ganglion's other stores know the span",
    "otel.": "what a span has and a run has not: scope, kind",
    "service.": "the resource",
    "telemetry.": "the resource",
    "host.": "the resource",
    "os.": "the resource",
    "process.": "the resource",
    "gen_ai.operation.name": "the span's own word for what the run type says",
    "gen_ai.serialized.": "of the run's `serialized`, which LangSmith keeps no more",
    "gen_ai.tool.call.id": "see tool_call_id",
    "ganglion.prices": "costs were computed",
    "ls_model_type": "told by the run type",
    "revision_id": "langsmith adds it to most runs itself",
}


@pytest.fixture(scope="module", params=PROGRAMS)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LangSmithServer, LangSmithServer]]:
    """What langsmith uploaded, and what the exporter did."""
    with LangSmithServer() as direct, LangSmithServer() as ours:
        run_program(request.param, direct)
        asyncio.run(export([one.request for one in direct.otlp], ours, tmp_path_factory.mktemp("exporter")))
        yield direct, ours


def pairs(both: tuple[LangSmithServer, LangSmithServer]) -> list[tuple[KeptRun, KeptRun]]:
    direct, ours = ({run.id: run for run in server.runs} for server in both)
    assert len(direct) > 15
    assert not direct.keys() - ours.keys()
    return [(direct[run_id], ours[run_id]) for run_id in direct]


def test_every_run_is_there_and_beside_them_only_the_sdks_own_requests(
    both: tuple[LangSmithServer, LangSmithServer],
) -> None:
    direct, ours = both
    uploaded = {run.id for run in direct.runs}
    more = [run for run in ours.runs if run.id not in uploaded]
    assert len(ours.runs) == len(uploaded) + len(more)
    # The service's HTTP client is instrumented, and langsmith's uploads are requests.
    assert {str(run.metadata.get("user_agent.original")).partition("/")[0] for run in more} <= {"langsmith-py"}


def test_traces_are_the_same_trees(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    direct, ours = both
    for tree in direct.trees():
        assert ours.tree(tree.run.trace_id).outline() == tree.outline()


def test_ids_times_names_types_and_projects_are_the_same(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    for direct, ours in pairs(both):
        assert {name: ours.fields.get(name) for name in SAME} == {name: direct.fields.get(name) for name in SAME}


def test_inputs_outputs_tags_and_usage_are_the_same(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    for direct, ours in pairs(both):
        assert (direct.name, ours.inputs) == (direct.name, direct.inputs)
        assert (direct.name, told(ours, ours.outputs)) == (direct.name, direct.outputs)
        assert (direct.name, ours.tags, told(ours, ours.usage)) == (direct.name, direct.tags, direct.usage)


def told(run: KeptRun, payload: Any) -> Any:
    """Leave out the costs that were computed, which langsmith leaves to LangSmith."""
    if "ganglion.prices" not in run.metadata or not isinstance(payload, dict):
        return payload
    return {name: told(run, value) for name, value in payload.items() if not re.search("_cost(_details)?$", name)}


def _events(run: KeptRun) -> list[dict[str, Any]]:
    """Leave out what repeats the run's start, end and error, and what an event says beside its name: not on spans."""
    told = [{"name": event["name"], "time": event["time"]} for event in run.events]
    return [event for event in told if event["name"] not in {"start", "end", "error"}]


def test_events_are_the_same(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    for direct, ours in pairs(both):
        assert (direct.name, _events(ours)) == (direct.name, _events(direct))


def test_errors_have_the_same_message_and_stack(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    """langsmith begins with the exception's repr, LangSmith's form for OTLP with its message."""
    failed = 0
    for direct, ours in pairs(both):
        assert (direct.name, ours.error is None) == (direct.name, direct.error is None)
        if direct.error and ours.error:
            failed += 1
            assert _essence(ours.error) == _essence(direct.error)
    assert failed


def _essence(error: str) -> tuple[str, str]:
    message, _, stack = error.partition("Traceback")
    message = message.replace("Stacktrace:", "").strip()
    in_repr = re.fullmatch(r"\w+\('(.*)'\)", message)
    return (in_repr[1] if in_repr else message), stack.strip()


def test_metadata_is_the_same_but_for_what_is_told_why(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    for direct, ours in pairs(both):
        wanted = {
            name: value
            for name, value in direct.metadata.items()
            if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))  # the service's variables, which are noise
        }
        more = ours.metadata.keys() - wanted.keys()
        assert not [name for name in more if not name.startswith(tuple(ONLY_OURS))]
        assert {name: told(ours, ours.metadata.get(name)) for name in wanted} == wanted


def test_nothing_else_is_lost_but_what_is_told_why(both: tuple[LangSmithServer, LangSmithServer]) -> None:
    for direct, ours in pairs(both):
        assert direct.extra.keys() - {"metadata"} - ours.extra.keys() <= ONLY_DIRECT.keys()
        # `serialized` is kept by LangSmith for few runs, and shown for none.
        assert direct.fields.keys() - ours.fields.keys() <= {"serialized", "events", "tags"}


def test_service_that_uploads_nothing_itself_has_the_same_runs(tmp_path: Path) -> None:
    with LangSmithServer() as sent, LangSmithServer() as ours:
        run_program("traceable_runs", sent, LANGSMITH_TRACING_MODE="otel", LANGSMITH_API_KEY="")
        assert {request.path for request in sent.requests} == {"/otel/v1/traces"}
        asyncio.run(export([one.request for one in sent.otlp], ours, tmp_path))
        answer, block, by_hand = (tree.outline() for tree in ours.trees())
    calls = ["search", "prompt", "chat", "embed", "weather", "parse", "stream", "astream"]
    assert answer == {"answer": [*calls, {"parallel": ["doubled", "doubled"]}, "fail", "nothing"]}
    assert (block, by_hand) == ("block", {"by hand": ["child by hand"]})


def test_runs_that_the_service_uploads_too_are_there_once_and_as_it_sent_them(tmp_path: Path) -> None:
    with LangSmithServer() as server:
        run_program("traceable_runs", server)
        uploaded = {run.id: run for run in server.runs}
        asyncio.run(export([one.request for one in server.otlp], server, tmp_path, known=True))
        assert {run.id: run for run in server.runs} == uploaded
