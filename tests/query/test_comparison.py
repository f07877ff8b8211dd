from datetime import timedelta
from random import Random
from typing import Any

import pytest
from ganglion_query.answers.comparison import Comparison, compare
from ganglion_query.answers.contrast import contrast
from ganglion_query.answers.estimates import Estimate, ValueGroup, mean_of
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader

from tests.query.rag_traffic import Asked, asked, keep, minutes_ago, trace_id
from tests.query.telemetry import Sent, span

HOUR = Period(minutes_ago(60), minutes_ago(0))
DASH = "\N{EN DASH}"


def _by(dsn: str, attribute: str, **wanted: Any) -> Comparison:
    return compare(Reader(dsn), attribute, HOUR, **wanted)


def _values(found: Comparison) -> list[tuple[str, int]]:
    return [(group.value, group.requests) for group in found.groups]


def _with_chunks(size: int, count: int, seed: int, **values: Any) -> list[Asked]:
    return asked(count, minutes_ago(50), minutes_ago(10), seed=seed, told={"chunk_size": size}, **values)


def test_larger_chunks_are_slower(postgresql: str) -> None:
    small = _with_chunks(512, 120, 1, ms=lambda random: random.gauss(400, 20))
    large = _with_chunks(1024, 120, 2, ms=lambda random: random.gauss(800, 40), cost=0.002)
    keep(postgresql, *large, *small)
    found = _by(postgresql, "chunk_size")
    assert _values(found) == [("512", 120), ("1024", 120)]
    first, second = found.groups
    assert first.p95_ms is not None
    assert first.p95_ms.low is not None
    assert second.p50_ms is not None
    assert 760 < (second.p50_ms.low or 0) < second.p50_ms.value < (second.p50_ms.high or 0) < 840
    assert second.cost_usd == Estimate(pytest.approx(0.002), pytest.approx(0.002), pytest.approx(0.002), 120)  # type: ignore[arg-type]
    assert second.trace_id == trace_id(max(large, key=lambda one: one.ms).number)
    assert found.verdict.startswith("chunk_size 1024 is slower than 512: p95 8")
    assert "; chunk_size 1024 costs more than 512: cost of a request $0.002 " in found.verdict


def test_the_interval_of_a_mean_ends_where_its_values_do() -> None:
    scores = mean_of([0.5, 1.0, 1.0], (0.0, 1.0))
    assert scores is not None
    assert scores.low == pytest.approx(0.116, abs=0.001)
    assert scores.value == pytest.approx(2.5 / 3)
    assert scores.high == 1.0
    assert mean_of([0.5], (0.0, 1.0)) == Estimate(0.5, None, None, 1)
    assert mean_of([], (0.0, 1.0)) is None


def test_chance_is_no_difference(postgresql: str) -> None:
    keep(postgresql, *_with_chunks(512, 60, 1), *_with_chunks(1024, 60, 2))
    assert _by(postgresql, "chunk_size").verdict == "no difference by chunk_size that these 120 requests could show"


def test_quality_and_errors_are_compared(postgresql: str) -> None:
    def score(mean: float) -> Any:
        return lambda random: {"faithfulness": random.gauss(mean, 0.05)}

    good = asked(60, minutes_ago(50), minutes_ago(10), settings={"chunk_size": 512}, scores=score(0.9))
    poor = asked(60, minutes_ago(50), minutes_ago(10), seed=2, settings={"chunk_size": 64}, scores=score(0.6))
    failing = asked(60, minutes_ago(50), minutes_ago(10), seed=3, settings={"chunk_size": 8}, error="E: x")
    keep(postgresql, *good, *poor, *failing)
    found = _by(postgresql, "chunk_size")
    assert _values(found) == [("8", 60), ("64", 60), ("512", 60)]
    assert found.groups[0].error_rate.value == 1
    assert found.groups[0].p50_ms is None
    assert found.groups[1].scores["faithfulness"].value == pytest.approx(0.6, abs=0.03)
    told = "chunk_size 8 fails more often than 64: errors 100 % (94 %{dash}100 %) against 0 % (0 %{dash}6.0 %)"
    assert told.format(dash=DASH) in found.verdict
    assert "chunk_size 512 is better than 64: faithfulness 0." in found.verdict


VALUES = {
    "chunk_size": [("512", 3), ("1024", 2)],
    "metrics.chunk_size": [("512", 3)],
    "context.chunk_size": [("1024", 2)],
    "attributes.chunk_size": [],
    "top_k": [("5", 3)],
    "attributes.top_k": [("5", 3)],
    "resource.service.version": [("1.0.0", 3), ("2.0.0", 2)],
    "version": [("1.0.0", 3), ("2.0.0", 2)],
    "user": [("ada", 3), ("bob", 2)],
    "tenant.id": [("acme", 5)],
    "model": [("extractive-1", 5)],
    "rag.layer": [("data + generation + retrieval", 5)],
    "no.such": [],
    "attributes.": [],
}


def test_an_attribute_is_found_wherever_it_is_said(postgresql: str) -> None:
    of_metrics = [Asked(number, minutes_ago(9), told={"chunk_size": 512}, settings={"top_k": 5}) for number in range(3)]
    text: dict[str, Any] = {"chunk_size": "1024"}
    of_context = [Asked(number, minutes_ago(9), told=text, user="bob", version="2.0.0") for number in (3, 4)]
    keep(postgresql, *of_metrics, *of_context)
    assert {attribute: _values(_by(postgresql, attribute)) for attribute in VALUES} == VALUES


def test_numbers_are_equal_however_they_are_written_and_in_their_order(postgresql: str) -> None:
    written: list[Any] = [10, "10.0", 9.5, "9.5", 100.0]
    keep(postgresql, *(Asked(number, minutes_ago(9), told={"k": value}) for number, value in enumerate(written)))
    assert _values(_by(postgresql, "k")) == [("9.5", 2), ("10", 2), ("100", 1)]


def test_uploads_are_not_compared_with_questions(postgresql: str) -> None:
    questions = _with_chunks(512, 30, 1)
    uploads = _with_chunks(1024, 20, 2, operation="POST /documents", ms=9000)
    keep(postgresql, *questions, *uploads, Asked(5, minutes_ago(9)))
    found = _by(postgresql, "chunk_size")
    assert _values(found) == [("512", 30)]
    assert (found.operation, found.service, found.elsewhere, found.without) == ("POST /ask", "rag-service", 20, 1)
    assert found.verdict == (
        "chunk_size is 512 in all of 30 requests to POST /ask: there is nothing to compare it with"
    )
    assert _values(_by(postgresql, "chunk_size", operation="POST /documents")) == [("1024", 20)]
    assert _values(_by(postgresql, "chunk_size", service="other")) == []
    assert dict(_values(_by(postgresql, "operation"))) == {"POST /ask": 31, "POST /documents": 20}


def test_a_request_is_its_root_whenever_the_rest_began(postgresql: str) -> None:
    early = [span("GET /", 1, at=minutes_ago(61), ms=120_000), span("late", 2, 1, at=minutes_ago(59), k="v")]
    alone = [span("orphan", 3, 99, at=minutes_ago(30), trace_id=trace_id(1), k="v")]
    keep(postgresql, more=[Sent("shop", [*early, *alone])])
    found = _by(postgresql, "k")
    assert (_values(found), found.operation) == ([("v", 1)], "orphan")


def test_values_beyond_the_limit_are_counted(postgresql: str) -> None:
    keep(postgresql, *(Asked(number, minutes_ago(9), told={"k": f"v{number}"}) for number in range(5)))
    found = _by(postgresql, "k", limit=2)
    assert (len(found.groups), found.others) == (2, 3)


def test_an_attribute_has_a_name() -> None:
    with pytest.raises(ValueError, match="name the attribute"):
        compare(Reader("dbname=nowhere"), " ", HOUR)


def test_a_setting_that_was_changed_shows_when(postgresql: str) -> None:
    changed = minutes_ago(30)
    before = [Asked(number, changed - timedelta(minutes=number + 1), told={"k": 1}) for number in range(3)]
    after = [Asked(number + 10, changed + timedelta(minutes=number), told={"k": 2}) for number in range(3)]
    keep(postgresql, *before, *after)
    old, new = _by(postgresql, "k").groups
    assert (old.last_seen < new.first_seen) is True
    assert new.first_seen == changed.isoformat()


def _group(value: str, p50: float, spread: float) -> ValueGroup:
    estimate = Estimate(p50, p50 - spread, p50 + spread, 100)
    rate = Estimate(0, 0, 0.04, 100)
    return ValueGroup(value, 100, estimate, None, rate, None, {}, "", "", None)


def test_the_groups_farthest_apart_are_told() -> None:
    groups = [_group("a", 100, 10), _group("b", 300, 10), _group("c", 200, 10)]
    told = "k b is slower than a: p50 300 ms (290 ms{dash}310 ms) against 100 ms (90.0 ms{dash}110 ms)"
    assert contrast("k", groups) == told.format(dash=DASH)
    assert contrast("k", [_group("a", 100, 60), _group("b", 200, 60)]).startswith("no difference by k")
    assert contrast("k", []) == "no request has k"


def test_compared_with_itself_nothing_differs(postgresql: str) -> None:
    random = Random(1)
    requests = asked(300, minutes_ago(50), minutes_ago(10), told=lambda _: {"coin": random.choice(["heads", "tails"])})
    keep(postgresql, *requests)
    assert _by(postgresql, "coin").verdict == "no difference by coin that these 300 requests could show"
