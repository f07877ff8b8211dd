"""Rate, errors, latency, cost and quality of a period."""

from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.answers.overview import overview
from ganglion_query.answers.period import Period
from ganglion_query.answers.steps import step_of
from ganglion_query.reader import Reader

from tests.query.telemetry import Sent, log, span, store

SINCE = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
PERIOD = Period(SINCE, SINCE + timedelta(minutes=30))


def _at(**delta: float) -> datetime:
    return SINCE + timedelta(**delta)


async def _two_services(dsn: str) -> Reader:
    shop = [
        span("POST /ask", 1, at=_at(minutes=1), ms=100),
        span("generate", 2, 1, at=_at(minutes=1), ms=80, rag_layer="generation"),
        span("POST /pay", 3, at=_at(minutes=1), ms=300, error="no", trace_id="a" * 32),
        span("GET /docs", 5, 99, at=_at(minutes=20), ms=10, trace_id="b" * 32),
        span("too late", 6, at=_at(minutes=30), trace_id="c" * 32),
    ]
    logs = [
        log("generation_complete", 2, at=_at(minutes=1), model="small", numbers={"cost_usd": 0.25}),
        log("ragas_score_computed", 1, at=_at(minutes=1), numbers={"faithfulness": 0.5}),
        log("ragas_score_computed", 1, at=_at(minutes=1), numbers={"faithfulness": 1.0}),
    ]
    bank = [span("charge", 4, 3, at=_at(minutes=1), ms=200, trace_id="a" * 32)]
    await store(dsn, Sent("shop", shop, logs), Sent("bank", bank))
    return Reader(dsn)


async def test_requests_are_counted_at_their_roots_and_services_at_their_entries(postgresql: str) -> None:
    found = overview(await _two_services(postgresql), PERIOD)
    assert (found.requests, found.errors, found.p50_ms) == (3, 1, 100)
    assert found.error_rate == pytest.approx(1 / 3)
    # Every span of tests.query.telemetry is a server's.
    assert [(one.name, one.requests, one.errors, one.cost_usd) for one in found.services] == [
        ("shop", 4, 1, 0.25),
        ("bank", 1, 0, 0),
    ]
    assert [(one.name, one.requests, one.p50_ms, one.cost_usd) for one in found.layers] == [("generation", 1, 80, 0.25)]


async def test_points_have_no_gaps_and_add_up(postgresql: str) -> None:
    found = overview(await _two_services(postgresql), PERIOD)
    assert found.step_seconds == 30
    assert [point.time for point in found.points] == [_at(seconds=30 * number) for number in range(60)]
    assert [(n, point.requests, point.errors) for n, point in enumerate(found.points) if point.requests] == [
        (2, 2, 1),
        (40, 1, 0),
    ]
    assert [(n, point.cost_usd) for n, point in enumerate(found.points) if point.cost_usd] == [(2, 0.25)]
    assert found.cost_usd == 0.25
    assert [(one.time, one.metric, one.mean, one.count) for one in found.scores] == [
        (_at(minutes=1), "faithfulness", 0.75, 2)
    ]


async def test_of_one_service_and_one_layer(postgresql: str) -> None:
    reader = await _two_services(postgresql)
    bank, generation = overview(reader, PERIOD, service="bank"), overview(reader, PERIOD, layer="generation")
    assert (bank.requests, bank.p95_ms, bank.cost_usd, [one.name for one in bank.services]) == (1, 200, 0, ["bank"])
    assert (generation.requests, generation.p95_ms) == (1, 80)


async def test_of_a_time_without_anything(postgresql: str) -> None:
    reader = await _two_services(postgresql)
    found = overview(reader, Period(SINCE - timedelta(days=9), SINCE - timedelta(days=8)))
    assert (found.requests, found.error_rate, found.p50_ms, found.services, len(found.points)) == (0, 0, None, [], 48)


async def test_steps_begin_at_round_times_and_totals_are_those_of_the_period(postgresql: str) -> None:
    reader = await _two_services(postgresql)
    found = overview(reader, Period(_at(seconds=47), _at(minutes=29, seconds=59)))
    assert (found.requests, found.points[0].time, found.points[-1].time) == (3, _at(seconds=30), _at(seconds=1770))
    assert [(point.time, point.requests) for point in found.points if point.requests] == [
        (_at(minutes=1), 2),
        (_at(minutes=20), 1),
    ]


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(minutes=1), 1),
        (timedelta(hours=1), 60),
        (timedelta(days=1), 1800),
        (timedelta(days=4000), 7 * 86_400),
    ],
)
def test_the_step_is_a_usual_one(length: timedelta, step: int) -> None:
    assert step_of(Period(SINCE, SINCE + length)) == timedelta(seconds=step)
