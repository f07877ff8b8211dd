from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_query.answers.health import Health, Part, ServiceHealth, health
from ganglion_query.reader import Reader

from tests.fix_postgresql import PostgreSQLProxy
from tests.query.rag_traffic import asked, keep

RUNNING: Mapping[str, Any] = {
    "healthy": True,
    "reason": "",
    "processes": [{"name": "receiver", "pid": 7, "state": "running", "restarts": 0, "reason": ""}],
    "addresses": {},
    "disabled": {"langsmith": "no key"},
}


def _ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def _requests(dsn: str, lately: Mapping[str, Any] | None, *, count: int = 60, since: float = 200) -> None:
    usual = asked(200, _ago(since), _ago(16))
    keep(dsn, *usual, *(asked(count, _ago(14), _ago(0.2), seed=2, **lately) if lately is not None else []))


def _service(dsn: str) -> ServiceHealth:
    (found,) = health(Reader(dsn), None).services
    return found


def _part(found: Health, name: str) -> Part:
    return next(part for part in found.parts if part.name == name)


def test_all_is_well(postgresql: str) -> None:
    _requests(postgresql, {})
    found = health(Reader(postgresql), RUNNING)
    assert (found.state, found.verdict) == ("healthy", "healthy: 60 requests of 1 service in the last 15 minutes")
    assert [(part.name, part.state) for part in found.parts] == [
        ("collector", "healthy"),
        ("process receiver", "healthy"),
        ("langsmith", "healthy"),
        ("database", "healthy"),
        ("arrival of logs", "healthy"),
        ("arrival of spans", "healthy"),
    ]
    (service,) = found.services
    assert (service.state, service.reason, service.requests, service.usual_error_rate) == ("healthy", "as usual", 60, 0)


@pytest.mark.parametrize(
    ("lately", "state", "reason"),
    [
        (
            {"error": lambda random: "E: x" if random.random() < 0.2 else ""},
            "degraded",
            " of requests fail, usually 0 %",
        ),
        ({"error": "E: x"}, "failing", "100 % of 60 requests fail"),
        ({"ms": lambda random: random.lognormvariate(7, 0.2)}, "degraded", "p95 1."),
        (None, "degraded", "no requests for 15 minutes, "),
    ],
    ids=["errors", "all fail", "slow", "silent"],
)
def test_a_service_that_is_not_as_usual_is_told(
    postgresql: str, lately: Mapping[str, Any] | None, state: str, reason: str
) -> None:
    _requests(postgresql, lately)
    found = _service(postgresql)
    assert found.state == state
    assert reason in found.reason


def test_a_service_at_rest_and_a_new_one_are_healthy(postgresql: str) -> None:
    keep(postgresql, *asked(100, _ago(900), _ago(600)), *asked(3, _ago(9), _ago(1), seed=2, service="new"))
    services = {one.service: one for one in health(Reader(postgresql), None).services}
    assert (services["rag-service"].state, services["rag-service"].reason) == ("healthy", "no requests")
    assert (services["new"].state, services["new"].reason) == ("healthy", "new: nothing in the day before")


@pytest.mark.parametrize(
    ("status", "part"),
    [
        ({"healthy": False, "reason": "not running"}, Part("collector", "failing", "not running")),
        ({"healthy": False, "reason": "langsmith: 401"}, Part("collector", "degraded", "langsmith: 401")),
        (
            {**RUNNING, "processes": [{"name": "query", "state": "restarting", "restarts": 3, "reason": "killed"}]},
            Part("process query", "degraded", "restarting, 3 restarts, killed"),
        ),
    ],
    ids=["stopped", "component", "process"],
)
def test_the_collectors_parts_are_told(postgresql: str, status: Mapping[str, Any], part: Part) -> None:
    keep(postgresql, *asked(20, _ago(9), _ago(0.2)))
    found = health(Reader(postgresql), status)
    assert _part(found, part.name) == part
    assert found.state == part.state
    assert found.verdict == f"{part.state}: {part.name}: {part.detail}"


def test_telemetry_that_comes_late_or_not_is_told(postgresql: str) -> None:
    keep(postgresql, *asked(5, _ago(50), _ago(40)))
    found = health(Reader(postgresql), None)
    arrival = _part(found, "arrival of spans")
    assert arrival.state == "degraded"
    assert arrival.detail.startswith("the newest is 4")


def test_an_empty_database_is_unknown(postgresql: str) -> None:
    keep(postgresql, *asked(1, _ago(3000), _ago(2999)))
    found = health(Reader(postgresql), None)
    assert (found.state, _part(found, "arrival of logs").detail) == ("unknown", "none in the last day")


def test_a_database_that_cannot_be_asked_is_an_answer(postgresql_proxy: PostgreSQLProxy) -> None:
    postgresql_proxy.refuse()
    found = health(Reader(postgresql_proxy.dsn), RUNNING)
    assert found.state == "failing"
    assert found.verdict.startswith("failing: database: PostgreSQL: ")
