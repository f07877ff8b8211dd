import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from ganglion_collector.background import read_status
from ganglion_collector.home import Home as CollectorHome
from ganglion_query.answers.health import Health, Part, ServiceHealth, health
from ganglion_query.reader import Reader

from tests.fix_collector import MakeCollector, simple
from tests.fix_postgresql import PostgreSQLProxy
from tests.query.rag_traffic import asked, keep

RUNNING: Mapping[str, Any] = {
    "healthy": True,
    "reason": "",
    "processes": [{"name": "receiver", "pid": 7, "state": "running", "restarts": 0, "reason": ""}],
    "addresses": {},
    "disabled": {"exporter:langsmith": "no key"},
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
        ("exporter langsmith", "healthy"),
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


def test_a_new_service_with_many_errors_is_not_well(postgresql: str) -> None:
    keep(postgresql, *asked(60, _ago(14), _ago(1), error=lambda random: "E: x" if random.random() < 0.2 else ""))
    found = _service(postgresql)
    assert found.state == "degraded"
    assert found.reason.endswith(" % of 60 requests fail, new: nothing in the day before")


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


PAGE = """\
# TYPE ganglion_journal_size_bytes gauge
ganglion_journal_size_bytes {size}
# TYPE ganglion_journal_quota_bytes gauge
ganglion_journal_quota_bytes 1000.0
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{{exporter="postgresql",data_type="logs"}} {waiting}
# TYPE ganglion_dead_letters gauge
ganglion_dead_letters {letters}
# TYPE ganglion_component_healthy gauge
ganglion_component_healthy{{component="receiver:otlp"}} 1.0
ganglion_component_healthy{{component="exporter:langsmith"}} 0.0
ganglion_component_healthy{{component="exporter:prometheus"}} {healthy}
"""


@contextmanager
def _metrics(page: str) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_waits_and_what_was_set_aside_is_told() -> None:
    def states(page: str) -> dict[str, str]:
        with _metrics(page) as address:
            found = health(Reader("host=127.0.0.1 port=1"), {**RUNNING, "addresses": {"metrics": address}})
        return {part.name: part.state for part in found.parts if part.name not in {"collector", "database"}}

    well = {"process receiver": "healthy", "exporter langsmith": "healthy", "journal": "healthy"}
    assert states(PAGE.format(size=10, waiting=5, letters=0, healthy=1)) == {
        **well,
        "exporter logs/postgresql": "healthy",
    }
    assert states(PAGE.format(size=850, waiting=400, letters=3, healthy=0)) == {
        **well,
        "journal": "degraded",
        "exporter logs/postgresql": "degraded",
        "dead letters": "degraded",
        "exporter prometheus": "degraded",
    }
    assert states(PAGE.format(size=990, waiting=5, letters=0, healthy=1))["journal"] == "failing"
    assert "journal" not in states("no metrics {")


def test_a_running_collector_is_healthy(collector: MakeCollector) -> None:
    running = collector(simple("{debug: }", "logs: [debug]")).start()
    found = health(Reader("host=127.0.0.1 port=1"), read_status(CollectorHome(running.home)))
    told = {part.name: part for part in found.parts}
    assert told["collector"].state == "healthy"
    assert told["journal"].state == "healthy"
    assert told["journal"].detail.endswith("GiB")
    assert told["exporter logs/debug"].detail == "0 bytes wait in the journal"
