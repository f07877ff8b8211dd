import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_collector.prices import load_prices
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_query.costs import dollars, total, with_costs
from ganglion_query.model import SpanRow, Spent, Trace
from ganglion_query.reader import Reader
from ganglion_query.render import print_trace
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from rich.console import Console

from tests.exporters.langsmith_cases import span_of
from tests.query.telemetry import TRACE_ID, Sent, attributes, span, store

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GPT_4O = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"}


def _span(id_: str, parent: str | None = None, cost: Spent | None = None, **attributes: Any) -> SpanRow:
    names = set(SpanRow.__dataclass_fields__) - {"span_id", "parent_span_id", "start_time", "attributes", "cost"}
    values: dict[str, Any] = {**dict.fromkeys(names), "name": id_, "events": [], "links": [], "resource": {}}
    values |= {"end_time": START + timedelta(milliseconds=10), "duration_ms": 10.0}
    return SpanRow(span_id=id_, parent_span_id=parent, start_time=START, attributes=attributes, cost=cost, **values)


def _cost(attributes: dict[str, Any]) -> Spent | None:
    (span,) = with_costs([_span("a", **attributes)], load_prices())
    return span.cost


@pytest.mark.parametrize(
    "attributes",
    [
        {**GPT_4O, "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100},
        {**GPT_4O, "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 100.0},
        {"gen_ai.provider.name": "azure.ai.openai", "gen_ai.request.model": "our-deployment"}
        | {"gen_ai.response.model": "gpt-4o-2024-08-06"}
        | {"gen_ai.usage.input_tokens": "1000", "gen_ai.usage.output_tokens": "100"},
        {"llm.system": "openai", "llm.model_name": "gpt-4o"}
        | {"llm.token_count.prompt": 1000, "llm.token_count.completion": 100},
        {"gen_ai.system": "langchain", "langsmith.metadata.ls_provider": "openai"}
        | {"langsmith.metadata.ls_model_name": "gpt-4o"}
        | {"langsmith.metadata.usage_metadata": json.dumps({"input_tokens": 1000, "output_tokens": 100})},
    ],
    ids=["gen_ai", "old gen_ai", "deployment", "openinference", "langsmith"],
)
def test_tokens_of_every_convention_are_priced(attributes: dict[str, Any]) -> None:
    found = _cost(attributes)
    assert found is not None
    assert (found.usd, found.is_computed) == (0.0035, True)
    assert found.table_date


@pytest.mark.parametrize(
    "models",
    [
        {"gen_ai.request.model": "our-deployment", "gen_ai.response.model": "gpt-4o-2024-08-06"},
        {"langsmith.metadata.ls_model_name": "our-deployment", "gen_ai.request.model": "gpt-4o"},
        {"gen_ai.system": "langchain", "gen_ai.request.model": "our-deployment"}
        | {"metadata": '{"ls_provider": "openai", "ls_model_name": "gpt-4o"}'},
        {"traceloop.association.properties.ls_model_name": "gpt-4o", "gen_ai.request.model": "our-deployment"},
        {"gen_ai.system": "langchain", "llm.system": "openai", "gen_ai.request.model": "gpt-4o"},
    ],
)
def test_a_trace_shows_the_cost_that_langsmith_is_told(models: dict[str, Any]) -> None:
    call = {**GPT_4O, "openinference.span.kind": "LLM", "gen_ai.usage.input_tokens": 1000, **models}
    settings = ConversionSettings(prices=load_prices())
    told = convert(span_of(call), Resource(), InstrumentationScope(), settings).metadata["usage_metadata"]
    shown = _cost(call)
    assert shown is not None
    assert (shown.usd, told["total_cost"]) == (0.0025, 0.0025)


@pytest.mark.parametrize(
    "details",
    [
        {"gen_ai.usage.cache_read.input_tokens": 400},
        {"llm.token_count.prompt_details.cache_read": 400},
        {"langsmith.usage_metadata": {"input_token_details": {"cache_read": 400}}},
    ],
)
def test_cached_tokens_are_cheaper(details: dict[str, Any]) -> None:
    found = _cost({**GPT_4O, "gen_ai.usage.input_tokens": 1000, **details})
    assert found is not None
    assert found.usd == pytest.approx(600 * 2.5e-6 + 400 * 1.25e-6)


def test_what_a_span_says_itself_is_not_computed() -> None:
    tokens = {**GPT_4O, "gen_ai.usage.input_tokens": 1000}
    assert _cost({**tokens, "gen_ai.usage.cost": 0.5}) == Spent(0.5, is_computed=False)
    assert _cost({**tokens, "cost_usd": 0}) == Spent(0, is_computed=False)
    whole = json.dumps({"total_cost": 0.25})
    assert _cost({**tokens, "langsmith.metadata.usage_metadata": whole}) == Spent(0.25, is_computed=False)


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.usage.input_tokens": 10},
        {"gen_ai.usage.input_tokens": 10, "gen_ai.system": "openai", "gen_ai.request.model": "gpt-of-tomorrow"},
        {**GPT_4O, "gen_ai.usage.input_tokens": None},
        {**GPT_4O, "gen_ai.usage.input_tokens": [1], "gen_ai.usage.output_tokens": {"a": 1}},
        {**GPT_4O, "gen_ai.usage.input_tokens": True},
        {**GPT_4O, "gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": "many"},
        {**GPT_4O, "gen_ai.usage.input_tokens": float("inf"), "cost_usd": float("nan")},
        {**GPT_4O, "gen_ai.usage.input_tokens": 10**300},
        {**GPT_4O, "langsmith.usage_metadata": "[" * 100_000},
        {**GPT_4O, "langsmith.usage_metadata": '{"input_token_details": 7, "total_cost": "much"}'},
        {"gen_ai.system": 1, "gen_ai.request.model": ["gpt-4o"], "gen_ai.usage.input_tokens": 10},
    ],
)
def test_nothing_is_told_where_nothing_is_known(attributes: dict[str, Any]) -> None:
    assert _cost(attributes) is None


def test_a_span_that_repeats_the_cost_of_those_below_it_is_not_counted_twice() -> None:
    said, computed = Spent(1, is_computed=False), Spent(0.25, is_computed=True, table_date="2030-01-01")
    spans = [
        _span("root"),
        _span("agent", "root", Spent(9, is_computed=False)),
        _span("chain", "agent"),
        _span("chat", "chain", said),
        _span("again", "chain", computed),
        _span("alone", "root", said),
        _span("lost", "gone", said),
    ]
    assert total(spans) == Spent(3.25, is_computed=True)
    assert total([_span("root"), _span("chat", "root", said)]) == said
    assert total([_span("root")]) is None


def test_the_total_of_any_shape_is_quick() -> None:
    spent = Spent(1, is_computed=False)
    chain = [_span(str(number), str(number - 1), spent) for number in range(20_000)]
    assert total(chain) == spent
    circle = [_span("a", "b", spent), _span("b", "a", spent), _span("c", "c", spent)]
    assert total(circle) is None


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.000042, "$0.000042"),
        (0.0035, "$0.0035"),
        (0.12, "$0.12"),
        (1.5, "$1.50"),
        (12345.678, "$12,345.68"),
        (0, "$0.00"),
    ],
)
def test_amounts_have_the_digits_that_matter(usd: float, shown: str) -> None:
    assert dollars(Spent(usd, is_computed=False)) == shown
    assert dollars(Spent(usd, is_computed=True)) == f"≈ {shown}"


def test_a_trace_shows_the_cost_of_each_call_and_of_all() -> None:
    tokens: dict[str, Any] = {**GPT_4O, "gen_ai.usage.input_tokens": 1000}
    spans = with_costs(
        [_span("ask"), _span("chat", "ask", None, **tokens), _span("paid", "ask", None, cost_usd=0.5)], load_prices()
    )
    file = io.StringIO()
    console = Console(file=file, width=120, no_color=True, markup=False, highlight=False)
    print_trace(console, Trace(TRACE_ID, spans, (), truncated=False, cost=total(spans)))
    lines = file.getvalue().splitlines()
    assert lines[0] == f"trace {TRACE_ID}  3 spans  0 logs  10.0 ms  ≈ $0.50  1,000 tokens"
    assert any(line.strip(" │").startswith("≈ $0.0025  gen_ai.system=openai") for line in lines)
    assert any(line.strip(" │") == "$0.50" for line in lines)


async def test_the_reader_tells_costs(postgresql: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    chat = span("chat", 1, at=now)
    chat.attributes.extend(attributes({**GPT_4O, "gen_ai.usage.input_tokens": 1000}))
    await store(postgresql, Sent("shop", [chat, span("pay", 2, 1, at=now)]))
    trace = Reader(postgresql).trace(TRACE_ID)
    assert trace.cost is not None
    assert [one.cost and one.cost.usd for one in trace.spans] == [0.0025, None]
    assert trace.cost.usd == 0.0025
