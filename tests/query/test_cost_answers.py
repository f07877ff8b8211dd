from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from ganglion_query.answers import calls
from ganglion_query.answers.costs import By, CostGroup, Costs, costs
from ganglion_query.answers.period import Period
from ganglion_query.answers.trace import read_trace
from ganglion_query.costs import calls_of
from ganglion_query.model import SpanRow
from ganglion_query.reader import Reader, Session
from ganglion_query.reader import costs as cost_rows
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.rag_traffic import Asked, asked, keep, minutes_ago, trace_id
from tests.query.telemetry import Sent, attributes, log, span

HOUR = Period(minutes_ago(60), minutes_ago(0))
_NUMBERS = range(1, 30)
GPT_4O: dict[str, Any] = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"}


def _costs(dsn: str, by: By, **wanted: Any) -> Costs:
    return costs(Reader(dsn), by, HOUR, **wanted)


def _dollars(found: Costs) -> dict[str | None, float]:
    return {group.name: round(group.usd, 9) for group in found.groups}


def _span(name: str, id_: int, parent: int = 0, number: int = 1, **more: Any) -> Span:
    made = span(name, id_, parent, at=minutes_ago(30), trace_id=trace_id(number))
    made.attributes.extend(attributes(more.pop("of", {})))
    made.attributes.extend(attributes({key.replace("_", "."): value for key, value in more.items()}))
    return made


def test_costs_are_added_up_by_whatever_is_asked(postgresql: str) -> None:
    keep(
        postgresql,
        *asked(10, minutes_ago(50), minutes_ago(40), cost=0.001),
        *asked(5, minutes_ago(30), minutes_ago(20), seed=2, user="bob", tenant="beta", model="large", cost=0.01),
    )
    by_user = _costs(postgresql, "user")
    assert (round(by_user.usd, 9), by_user.tokens, by_user.is_computed) == (0.06, 15 * 120, False)
    assert [(group.name, group.calls, group.requests, group.tokens) for group in by_user.groups] == [
        ("bob", 5, 5, 600),
        ("ada", 10, 10, 1200),
    ]
    assert _dollars(by_user) == {"bob": 0.05, "ada": 0.01}
    assert _dollars(_costs(postgresql, "tenant")) == {"beta": 0.05, "acme": 0.01}
    assert _dollars(_costs(postgresql, "model")) == {"large": 0.05, "extractive-1": 0.01}
    assert _dollars(_costs(postgresql, "layer")) == {"generation": 0.06}
    assert _dollars(_costs(postgresql, "service")) == {"rag-service": 0.06}
    by_trace = _costs(postgresql, "trace", limit=3)
    assert (len(by_trace.groups), by_trace.others) == (3, 12)
    assert by_trace.groups[0].usd == pytest.approx(0.01)


def test_an_agent_repeats_its_calls_and_costs_nothing_more(postgresql: str) -> None:
    tokens = {"gen_ai.usage.input_tokens": 1000}
    spans = [
        _span("ask", 1, of={"user.id": "ada"}),
        _span("agent", 2, 1, of={**GPT_4O, "gen_ai.usage.cost": 9.0, "gen_ai.usage.input_tokens": 3000}),
        _span("generation", 3, 2, of={"rag.layer": "generation"}),
        _span("chat", 4, 3, of={**GPT_4O, **tokens}),
        _span("chat", 5, 3, of={**GPT_4O, **tokens, "gen_ai.usage.cost": 0.5}),
    ]
    told = log("question_answered", 1, at=minutes_ago(30), trace_id=trace_id(1), numbers={"cost_usd": 0.5025})
    keep(postgresql, more=[Sent("shop", spans, [told])])
    found = _costs(postgresql, "layer")
    (group,) = found.groups
    assert (group.name, round(group.usd, 9), group.calls, group.tokens) == ("generation", 0.5025, 2, 2000)
    assert found.is_computed
    assert _dollars(_costs(postgresql, "user")) == {"ada": 0.5025}
    cost = read_trace(Reader(postgresql), trace_id(1)).cost
    assert cost is not None
    assert found.usd == pytest.approx(cost.usd)


def test_what_logs_alone_tell_counts_where_they_say(postgresql: str) -> None:
    spent: dict[str, float] = {"cost_usd": 0.25}
    logs = [
        log("cost_incurred", at=minutes_ago(5), numbers=spent, user_id="ada", model="ranker"),
        log("cost_incurred", 9, at=minutes_ago(5), numbers=spent, user_id="bob", trace_id=trace_id(3)),
    ]
    keep(postgresql, more=[Sent("shop", logs=logs, logger="rag.retrieval")])
    assert _dollars(_costs(postgresql, "layer")) == {"retrieval": 0.5}
    assert _dollars(_costs(postgresql, "user")) == {"ada": 0.25, "bob": 0.25}
    assert _dollars(_costs(postgresql, "model")) == {"ranker": 0.25, None: 0.25}


def test_a_model_without_a_price_has_tokens(postgresql: str) -> None:
    unknown = {"gen_ai.request.model": "of-tomorrow", "gen_ai.usage.input_tokens": 700}
    keep(postgresql, more=[Sent("shop", [_span("chat", 1, of=unknown)])])
    (group,) = _costs(postgresql, "model").groups
    assert group == CostGroup("of-tomorrow", 0, is_computed=False, calls=1, requests=1, tokens=700,
                              last_seen=minutes_ago(30), unpriced=1)  # fmt: skip


def test_one_trace_and_the_period_bound_what_counts(postgresql: str) -> None:
    keep(
        postgresql,
        Asked(1, minutes_ago(30), cost=1),
        Asked(2, minutes_ago(30), cost=2),
        Asked(3, minutes_ago(90), cost=4),
    )
    assert _costs(postgresql, "trace").usd == 3
    assert _costs(postgresql, "layer", trace_id=trace_id(2).upper()).usd == 2
    assert _costs(postgresql, "layer", trace_id=trace_id(9)).groups == []
    with pytest.raises(ValueError, match="is not a trace id"):
        _costs(postgresql, "layer", trace_id="x")


def test_the_whole_agrees_with_the_traces(postgresql: str) -> None:
    keep(postgresql, *asked(12, minutes_ago(50), minutes_ago(10), cost=lambda random: random.random()))
    reader = Reader(postgresql)
    for group in _costs(postgresql, "trace").groups:
        assert group.name is not None
        cost = read_trace(reader, group.name).cost
        assert cost is not None
        assert cost.usd == pytest.approx(group.usd)


def _any_span(random: Random, id_: int, number: int) -> Span:
    says: dict[str, Any] = {"user.id": random.choice("abc")} if random.random() < 0.3 else {}
    says |= {"tenant.id": random.choice("st")} if random.random() < 0.3 else {}
    says |= {"rag.layer": random.choice(["data", "generation"])} if random.random() < 0.3 else {}
    says |= {**GPT_4O, "gen_ai.usage.input_tokens": random.randrange(9000)} if random.random() < 0.4 else {}
    says |= {"gen_ai.usage.cost": random.random(), "gen_ai.prompt": "why? " * 2000} if random.random() < 0.3 else {}
    # A parent may be one that is not here, and some stand in a circle.
    made = _span("work", id_, random.randrange(12), number, of=says)
    made.start_time_unix_nano += random.randrange(10**9)
    return made


def _any_log(random: Random, number: int) -> LogRecord:
    numbers = {"cost_usd": random.random()}
    parent: dict[str, Any] = {"parent_span_id": f"{random.randrange(1, 12):016x}"} if random.random() < 0.3 else {}
    message = random.choice(["generation_complete", "question_answered"])
    span_id = random.randrange(14)
    return log(message, span_id, at=minutes_ago(30), trace_id=trace_id(number), numbers=numbers, **parent)


def _traces(random: Random) -> list[Span]:
    return [_any_span(random, id_, number) for number in _NUMBERS for id_ in range(1, random.randrange(2, 10))]


def _user(span: SpanRow, spans: Sequence[SpanRow]) -> str | None:
    """Return the user that a span or the nearest above it says, else the first span that does; step by step."""
    by_id = {one.span_id: one for one in spans}
    one: SpanRow | None = span
    for _ in spans:
        if one is None or one.user_id:
            break
        one = by_id.get(one.parent_span_id or "")
    if one and one.user_id:
        return one.user_id
    return next((other.user_id for other in sorted(spans, key=lambda other: other.start_time) if other.user_id), None)


@pytest.mark.parametrize("seed", range(3))
def test_traces_of_any_shape_cost_what_each_one_does(postgresql: str, seed: int) -> None:
    random = Random(seed)
    logs = [_any_log(random, number) for number in _NUMBERS for _ in range(random.randrange(4))]
    keep(postgresql, more=[Sent("shop", _traces(random), logs)])
    reader = Reader(postgresql)
    answers = {trace_id(number): read_trace(reader, trace_id(number)) for number in _NUMBERS}
    each = {name: answer.cost.usd for name, answer in answers.items() if answer.cost}
    found = _costs(postgresql, "trace")
    assert {group.name: group.usd for group in found.groups if group.usd} == pytest.approx(each)
    assert found.usd == pytest.approx(sum(each.values()))


def test_a_call_is_whose_the_nearest_span_above_it_says(postgresql: str) -> None:
    keep(postgresql, more=[Sent("shop", _traces(Random(4)))])
    reader = Reader(postgresql)
    expected: Counter[str | None] = Counter()
    for spans in (reader.trace(trace_id(number)).spans for number in _NUMBERS):
        counted = calls_of(spans, (span.span_id for span in spans if span.cost))
        expected.update(_user(span, spans) for span in spans if span.span_id in counted)
    assert {group.name: group.calls for group in _costs(postgresql, "user").groups} == expected


def test_a_period_of_many_calls_is_read_in_parts_that_count_each_once(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(postgresql, *asked(60, minutes_ago(55), minutes_ago(5), cost=0.001, user=lambda random: random.choice("ab")))
    whole = _costs(postgresql, "user")
    monkeypatch.setattr(calls, "_AT_ONCE", 8)
    assert _costs(postgresql, "user") == whole
    assert (sum(group.calls for group in whole.groups), whole.truncated) == (60, False)


def test_a_period_of_decades_is_read_in_few_parts(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(postgresql, *asked(3, minutes_ago(50), minutes_ago(40), cost=0.001))
    read: list[object] = []
    usages = cost_rows.usages

    def counted(session: Session, wanted: cost_rows.Wanted, *names: Iterable[str]) -> list[cost_rows.UsageRow]:
        read.append(wanted)
        return usages(session, wanted, *names)

    monkeypatch.setattr(cost_rows, "usages", counted)
    since = datetime(1, 1, 2, tzinfo=UTC)
    found = costs(Reader(postgresql), "user", Period(since, HOUR.until))
    assert (sum(group.calls for group in found.groups), len(read) < 30) == (3, True), len(read)


def test_more_calls_at_once_than_can_be_read_are_told(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(postgresql, *asked(12, minutes_ago(30), minutes_ago(29.9), cost=0.001))
    monkeypatch.setattr(calls, "_AT_ONCE", 8)
    found = _costs(postgresql, "user")
    assert (found.truncated, 0 < sum(group.calls for group in found.groups) < 12) == (True, True)


def test_no_more_calls_are_added_up_than_there_may_be(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(postgresql, *asked(12, minutes_ago(55), minutes_ago(5), cost=0.001))
    monkeypatch.setattr("ganglion_query.answers.costs._MOST_ROWS", 5)
    found = _costs(postgresql, "trace", limit=100)
    assert (found.truncated, len(found.groups)) == (True, 5)
    assert min(group.last_seen for group in found.groups) > minutes_ago(30)
