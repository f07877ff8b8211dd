from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_query.answers.trace import (
    CriticalStep,
    Message,
    SpanEvent,
    Tokens,
    TraceAnswer,
    answered,
    read_span,
    read_trace,
)
from ganglion_query.costs import trace_cost, with_costs
from ganglion_query.langsmith import LangSmith
from ganglion_query.model import LogRow, NotFoundError, SpanRow, Spent, Trace
from ganglion_query.reader import Reader
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.rows import ID, START, log_row, span_row, trace_of
from tests.query.telemetry import TRACE_ID, Sent, attributes, log, span, store

NOW = datetime.now(UTC).replace(microsecond=0)
OPENAI = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"}


def _answer(*rows: SpanRow | LogRow) -> TraceAnswer:
    return answered(trace_of(*rows))


def test_spans_come_in_tree_order_with_their_place() -> None:
    answer = _answer(
        span_row("root", ms=100, kind="SERVER"),
        span_row("second", "root", at=50, ms=20),
        span_row("first", "root", at=10, ms=30, service_name="bank"),
        span_row("inner", "first", at=15, ms=5, service_name="bank"),
        span_row("lost", "gone", at=300, ms=1),
    )
    nodes = [(one.span_id, one.depth, one.children, one.orphaned, one.offset_ms) for one in answer.spans]
    assert nodes == [
        ("root", 0, 2, False, 0),
        ("first", 1, 1, False, 10),
        ("inner", 2, 0, False, 15),
        ("second", 1, 0, False, 50),
        ("lost", 0, 0, True, 300),
    ]
    assert [(one.self_time_ms, one.critical_ms) for one in answer.spans] == [
        (50, 50),
        (25, 25),
        (5, 5),
        (20, 20),
        (1, 1),
    ]
    assert (answer.start_time, answer.duration_ms, answer.root_name) == (START, 301, "root")
    assert answer.services == ["bank", "shop"]
    assert answer.critical_path[:3] == [
        CriticalStep("root", "root", "shop", 0, 10),
        CriticalStep("first", "first", "bank", 10, 5),
        CriticalStep("inner", "inner", "bank", 15, 5),
    ]


def test_a_span_tells_its_layer_model_tokens_and_events() -> None:
    told = {**OPENAI, "rag.layer": "generation", "gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 4}
    event = {"name": "first token", "timestamp": "2026-11-20T12:00:00.005000123Z", "attributes": {"n": 1}}
    answer = _answer(
        span_row("a", attributes=told, events=[event, {"name": "odd", "timestamp": "?"}]), span_row("b", "a")
    )
    node, plain = answer.spans
    assert (node.layer, node.model, node.tokens) == ("generation", "gpt-4o", Tokens(30, 4, 34))
    assert (plain.layer, plain.model, plain.tokens, plain.has_messages) == (None, None, None, False)
    assert node.events == [
        SpanEvent("first token", START + timedelta(milliseconds=5), {"n": 1}),
        SpanEvent("odd", START, {}),
    ]


def test_tokens_of_an_agent_repeat_those_of_its_calls() -> None:
    tokens = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}
    agent = {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 2}
    rows = [span_row("agent", attributes=agent), span_row("chain", "agent")]
    rows += [span_row(name, "chain", attributes=tokens) for name in ("one", "two")]
    answer = _answer(*rows)
    assert answer.tokens == Tokens(20, 2, 22)
    assert answer.spans[0].tokens == Tokens(20, 2, 22)


def test_who_and_what_it_was_for_is_told_by_spans_then_logs() -> None:
    answer = _answer(
        span_row("a", user_id="u-1"),
        span_row("b", "a", at=1, user_id="u-2", tenant_id="t", status="ERROR"),
        log_row("x", request_id="r-1", user_id="u-3", at=2),
    )
    assert (answer.user_id, answer.tenant_id, answer.session_id, answer.request_id) == ("u-1", "t", None, "r-1")
    assert answer.failed_spans == 1


def test_logs_alone_are_a_trace_too() -> None:
    answer = _answer(log_row("a", at=5), log_row("b", at=25))
    assert (answer.start_time, answer.duration_ms) == (START + timedelta(milliseconds=5), 20)
    assert (answer.spans, answer.critical_path, answer.root_name, answer.services) == ([], [], None, ["shop"])


def _told(usd: float, span_id: str | None = None, message: str = "generation_complete", **fields: Any) -> LogRow:
    return log_row(message, span_id, cost_usd=usd, **fields)


def test_a_span_costs_what_its_logs_say_if_it_says_nothing() -> None:
    spans = [span_row("root"), span_row("generate", "root"), span_row("embed", "root")]
    logs = [
        _told(0.25, "generate"),
        _told(0.5, "embed", "embedding_complete"),
        _told(0.5, "embed", "embedding_complete"),
    ]
    assert trace_cost(spans, logs) == Spent(1.25, is_computed=False)


def test_what_a_span_says_itself_wins_over_its_logs() -> None:
    spans = with_costs([span_row("chat", attributes={"gen_ai.usage.cost": 0.5})])
    assert trace_cost(spans, [_told(0.75, "chat")]) == Spent(0.5, is_computed=False)


@pytest.mark.parametrize(
    "logs",
    [
        [_told(0.5, "generate"), _told(0.5, "root", "question_answered")],
        [_told(0.5, "generate"), _told(0.5, "generate", "question_answered")],
        [_told(0.5, "inner", parent_span_id="generate"), _told(0.5, "generate")],
        [_told(0.5), _told(0.5, None, "question_answered")],
    ],
    ids=["of the request", "in the same span", "of a span that is not here", "of no span"],
)
def test_one_call_is_counted_once(logs: list[LogRow]) -> None:
    assert trace_cost([span_row("root"), span_row("generate", "root")], logs) == Spent(0.5, is_computed=False)


def test_a_missing_request_span_is_not_added_to_the_calls_below_it() -> None:
    spans = [span_row("generate", "gone")]
    assert trace_cost(spans, [_told(0.5, "generate"), _told(0.5, "gone", "question_answered")]) == Spent(0.5, False)  # noqa: FBT003


def test_costs_that_cannot_be_are_no_costs() -> None:
    logs = [_told(value, "a") for value in (float("nan"), float("inf"), -1.0)]
    assert trace_cost([span_row("a")], logs) is None


async def test_a_trace_is_read_with_all_that_is_known(postgresql: str) -> None:
    spans = [
        span("GET /ask", 1, at=NOW, ms=100, user_id="u-1"),
        span("generate", 2, 1, at=NOW, ms=90, rag_layer="generation"),
    ]
    logs = [log("generation_complete", 2, at=NOW, numbers={"cost_usd": 0.25}), log("answered", 1, at=NOW)]
    await store(postgresql, Sent("rag", spans, logs))
    answer = read_trace(Reader(postgresql), TRACE_ID.upper())
    assert [(one.name, one.layer, one.cost) for one in answer.spans] == [
        ("GET /ask", None, None),
        ("generate", "generation", Spent(0.25, is_computed=False)),
    ]
    assert answer.cost == Spent(0.25, is_computed=False)
    assert {one.message for one in answer.logs} == {"generation_complete", "answered"}
    assert (answer.user_id, answer.start_time, answer.truncated) == ("u-1", NOW, False)
    assert (answer.langsmith_url, answer.langsmith_note) == (None, None)


async def test_a_limit_is_said(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span("GET /", number, at=NOW) for number in range(1, 5)]))
    answer = read_trace(Reader(postgresql), TRACE_ID, limit=3)
    assert (len(answer.spans), answer.truncated) == (3, True)


async def test_a_missing_link_is_explained(postgresql: str, tmp_path: object) -> None:
    await store(postgresql, Sent(spans=[span("GET /", 1, at=NOW)]))
    langsmith = LangSmith.of(
        {"LANGSMITH_API_KEY": "k", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9", "GANGLION_HOME": str(tmp_path)}
    )
    answer = read_trace(Reader(postgresql, langsmith=langsmith), TRACE_ID)
    assert answer.langsmith_url is None
    assert answer.langsmith_note is not None
    assert answer.langsmith_note.startswith("LangSmith cannot be reached")


def _chat() -> Span:
    chat = span("chat", 2, 1, at=NOW, ms=50)
    chat.attributes.extend(attributes({**OPENAI, "gen_ai.prompt": "why?", "gen_ai.completion": "because"}))
    return chat


async def test_one_span_is_read_whole(postgresql: str) -> None:
    spans = [span("GET /ask", 1, at=NOW, ms=100), _chat()]
    logs = [log("inside", 2, at=NOW), log("outside", 1, at=NOW)]
    await store(postgresql, Sent("rag", spans, logs))
    detail = read_span(Reader(postgresql), TRACE_ID, "0000000000000002 ".upper())
    assert (detail.span.name, detail.node.depth, detail.node.critical_ms, detail.node.has_messages) == (
        "chat",
        1,
        50,
        True,
    )
    assert detail.prompt == [Message("user", "why?")]
    assert detail.completion == [Message("assistant", "because")]
    assert [one.message for one in detail.logs] == ["inside"]
    assert detail.span.resource == {"service.name": "rag", "service.version": "1.2.0"}
    assert detail.node == read_trace(Reader(postgresql), TRACE_ID).spans[1]


async def test_a_span_of_a_very_long_trace_is_read_too(postgresql: str) -> None:
    spans = [span(f"span {number}", number, at=NOW + timedelta(seconds=number)) for number in range(1, 6)]
    await store(postgresql, Sent(spans=spans))
    assert read_span(Reader(postgresql), TRACE_ID, f"{5:016x}", limit=2).span.name == "span 5"


async def test_what_is_not_there_is_said(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span("GET /", 1, at=NOW)]))
    reader = Reader(postgresql)
    with pytest.raises(NotFoundError, match="no span or log of trace ffff"):
        read_trace(reader, "f" * 32)
    with pytest.raises(NotFoundError, match="no span 00ff in trace 4bf9"):
        read_span(reader, TRACE_ID, "00ff")
    with pytest.raises(ValueError, match="is not a trace id"):
        read_trace(reader, "abc")


def test_a_trace_of_many_spans_says_so() -> None:
    assert answered(Trace(ID, [span_row("a")], [], truncated=True)).truncated
