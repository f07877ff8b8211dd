from datetime import timedelta
from typing import Any

import pytest
from ganglion_query.answers import quality as module
from ganglion_query.answers.period import Period
from ganglion_query.answers.quality import Quality, quality
from ganglion_query.reader import Reader

from tests.query.rag_traffic import Asked, asked, keep, minutes_ago, trace_id
from tests.query.telemetry import Sent, log

DAY = Period(minutes_ago(24 * 60), minutes_ago(0))


def _quality(dsn: str, **wanted: Any) -> Quality:
    return quality(Reader(dsn), DAY, **wanted)


def _scored(count: int, since: float, until: float, mean: float, seed: int = 1, **values: Any) -> list[Asked]:
    def score(random: Any) -> dict[str, float]:
        return {"faithfulness": min(1.0, random.gauss(mean, 0.06)), "answer_relevancy": random.gauss(0.7, 0.1)}

    return asked(count, minutes_ago(since), minutes_ago(until), seed=seed, ms=100, scores=score, **values)


def test_the_moment_that_quality_dropped_is_exact(postgresql: str) -> None:
    worse = _scored(40, 130, 10, 0.62, 2)
    keep(postgresql, *_scored(200, 1300, 130, 0.91), *worse)
    found = _quality(postgresql)
    trends = {trend.metric: trend for trend in found.trends}
    drop = trends["faithfulness"].drop
    assert drop is not None
    assert drop.at == worse[0].at + timedelta(milliseconds=100)
    assert (drop.trace_id, drop.until) == (trace_id(worse[0].number), None)
    assert drop.before == pytest.approx(0.91, abs=0.02)
    assert drop.after == pytest.approx(0.62, abs=0.03)
    assert trends["answer_relevancy"].drop is None
    assert found.verdict == (
        f"faithfulness fell from {drop.before:.2f} to {drop.after:.2f} "
        f"at {drop.at:%Y-%m-%d %H:%M:%S} UTC (z = {drop.z:.1f})"
    )


def test_a_drop_that_passed_says_until_when(postgresql: str) -> None:
    bad, better = _scored(30, 800, 700, 0.5, 2), _scored(100, 700, 10, 0.9, 3)
    keep(postgresql, *_scored(100, 1300, 800, 0.9), *bad, *better)
    (drop,) = [trend.drop for trend in _quality(postgresql).trends if trend.drop]
    assert (drop.at, drop.until) == tuple(one[0].at + timedelta(milliseconds=100) for one in (bad, better))


def test_scores_that_stay_have_no_drop(postgresql: str) -> None:
    keep(postgresql, *_scored(150, 1300, 10, 0.9))
    found = _quality(postgresql)
    assert [trend.drop for trend in found.trends] == [None, None]
    assert found.verdict.startswith("no score fell; on average of 150 answers: answer_relevancy 0.7")


def test_scores_too_many_to_be_read_singly_fall_at_the_same_moment(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(postgresql, *_scored(200, 1300, 130, 0.91), *_scored(100, 130, 10, 0.62, 2))
    exact = _quality(postgresql)
    monkeypatch.setattr(module, "_MOST_SINGLE", 50)
    found = _quality(postgresql)
    (drop,) = [trend.drop for trend in found.trends if trend.drop]
    (expected,) = [trend.drop for trend in exact.trends if trend.drop]
    assert (drop.at, drop.trace_id) == (expected.at, expected.trace_id)
    assert drop.z == pytest.approx(expected.z)


def test_the_worst_answers_are_named(postgresql: str) -> None:
    keep(postgresql, *_scored(30, 1300, 10, 0.9), Asked(7, minutes_ago(60), user="bob", scores={"faithfulness": 0.1}))
    worst = _quality(postgresql).worst[0]
    assert (worst.trace_id, worst.user_id, worst.metric, worst.score) == (trace_id(7), "bob", "faithfulness", 0.1)


def test_points_are_the_means_of_steps(postgresql: str) -> None:
    scores: list[Asked] = [Asked(1, minutes_ago(100), scores={"m": 0.2}), Asked(2, minutes_ago(99), scores={"m": 0.4})]
    keep(postgresql, *scores, Asked(3, minutes_ago(10), scores={"m": 0.9}))
    found = _quality(postgresql)
    assert sum(point.count for point in found.points) == 3
    assert [(point.metric, point.mean) for point in found.points][-1] == ("m", 0.9)
    assert all((point.time - DAY.since).total_seconds() % found.step_seconds == 0 for point in found.points)


def test_scores_are_those_of_a_service_and_of_the_period(postgresql: str) -> None:
    keep(
        postgresql,
        Asked(1, minutes_ago(30), scores={"m": 0.5}),
        Asked(2, minutes_ago(30), service="other", scores={"m": 0.9}),
        Asked(3, minutes_ago(2000), scores={"m": 0.1}),
    )
    assert [(trend.count, trend.mean) for trend in _quality(postgresql, service="other").trends] == [(1, 0.9)]
    assert [trend.count for trend in _quality(postgresql).trends] == [2]


def test_no_scores_are_an_answer(postgresql: str) -> None:
    text: dict[str, Any] = {"faithfulness": "high"}
    keep(postgresql, more=[Sent("shop", logs=[log("ragas_score_computed", at=minutes_ago(5), **text)])])
    assert _quality(postgresql).verdict == "no scores: nothing told ragas_score_computed in this time"
