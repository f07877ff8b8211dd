"""A service that knows nothing of us → OTLP gRPC and HTTP → journal → PostgreSQL → the command line."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from examples import plain_demo as demo
from examples import running
from tests.fix_collector import eventually

DEMO = [sys.executable, str(Path(__file__).parents[1] / "examples" / "demo.py")]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Yield the environment of a collector that `ganglion up` started on free ports."""
    folder = tmp_path_factory.mktemp("end-to-end")
    found = {key: value for key, value in os.environ.items() if not key.startswith(("GANGLION_", "OTEL_"))}
    found |= {
        "GANGLION_HOME": str(folder / "home"),
        "GANGLION_OTLP_GRPC_ENDPOINT": "127.0.0.1:0",
        "GANGLION_OTLP_HTTP_ENDPOINT": "127.0.0.1:0",
        "GANGLION_HEALTH_ENDPOINT": "127.0.0.1:0",
        "GANGLION_QUERY_ENDPOINT": "127.0.0.1:0",
        "GANGLION_METRICS_PORT": "0",
        "GANGLION_PROMETHEUS_EXPORTER_ENDPOINT": "127.0.0.1:0",
        "GANGLION_PROMETHEUS": "off",
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    try:
        up = running.ganglion("up", environ=found)
        assert up.returncode == 0, up.stdout + up.stderr
        yield found
    finally:
        down = running.ganglion("down", environ=found)
    assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(scope="module", params=["grpc", "http/protobuf"])
def used(environ: Mapping[str, str], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the failing request's trace, after the service has been used over one protocol."""
    protocol: running.Protocol = request.param
    variables = demo.otel_variables(running.collector_addresses(environ), protocol)
    with running.running_service(demo.PROGRAM, variables) as service:
        trace_id = demo.send_requests(service.url, lambda _line: None)
    return running.wait_for_trace(trace_id, spans=6, logs=2, environ=environ)


def spans_named(trace: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [span for span in trace["spans"] if span["name"] == name]


def test_the_failed_request_is_read_as_a_tree(used: dict[str, Any]) -> None:
    (request,) = spans_named(used, "GET /report")
    steps = spans_named(used, "search.rank") + spans_named(used, "search.statistics")
    assert len(steps) >= 4
    assert {step["parent_span_id"] for step in steps} == {request["span_id"]}
    assert {span["trace_id"] for span in used["spans"]} == {used["trace_id"]}
    assert request["service_name"] == "document-search"


def test_the_failure_is_on_the_step_that_failed(used: dict[str, Any]) -> None:
    failed = [span for span in spans_named(used, "search.statistics") if span["status"] == "ERROR"]
    assert [span["attributes"]["document.title"] for span in failed] == ["Captain's log"]
    (event,) = failed[0]["events"]
    assert event["attributes"]["exception.type"] == "ZeroDivisionError"


def test_its_logs_are_in_place(used: dict[str, Any]) -> None:
    started, failed = sorted(used["logs"], key=lambda log: str(log["timestamp"]))
    assert (started["message"], started["level"]) == ("report_started", "INFO")
    assert (failed["message"], failed["level"]) == ("report_failed", "ERROR")
    assert {log["user_id"] for log in used["logs"]} == {demo.USER}
    assert {log["span_id"] for log in used["logs"]} == {spans_named(used, "GET /report")[0]["span_id"]}
    assert "division by zero" in failed["error"]
    assert "in statistics" in failed["stack_trace"]
    assert failed["version"] == "1.0.0"
    assert failed["environment"] == "demo"


def test_a_person_can_read_it(used: dict[str, Any], environ: Mapping[str, str]) -> None:
    shown = running.ganglion("trace", used["trace_id"], environ=environ).stdout
    for text in ("GET /report", "search.statistics", "report_failed", "ZeroDivisionError: division by zero"):
        assert text in shown


def test_the_hyphenated_id_is_the_same_trace(used: dict[str, Any], environ: Mapping[str, str]) -> None:
    digits = used["trace_id"].upper()
    hyphenated = "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])
    assert running.wait_for_trace(hyphenated, spans=6, logs=2, environ=environ) == used


def test_errors_of_the_user_name_the_trace(used: dict[str, Any], environ: Mapping[str, str]) -> None:
    listed = running.ganglion("errors", "--user", demo.USER, "--since", "1h", environ=environ)
    assert listed.returncode == 0
    assert used["trace_id"] in listed.stdout


def test_metrics_of_the_service_arrive_too(used: dict[str, Any], environ: Mapping[str, str]) -> None:
    assert used
    address = running.collector_addresses(environ)["metrics"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    accepted = re.findall(r"^otelcol_receiver_accepted_metric_points\{.*\} (\S+)$", page, re.MULTILINE)
    assert sum(map(float, accepted)) > 0


def test_metrics_of_the_service_and_of_its_spans_are_there_for_prometheus(
    used: dict[str, Any], environ: Mapping[str, str]
) -> None:
    assert used
    address = running.collector_addresses(environ)["prometheus"]

    def samples() -> list[str]:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return [line for line in answer.read().decode().splitlines() if 'job="document-search"' in line]

    names = ("http_server_", "traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket")
    # The shipped configuration sends what it made of spans every 15 s.
    eventually(lambda: all(any(line.startswith(name) for line in samples()) for name in names), timeout=30)


def test_the_demo_shows_a_trace(environ: Mapping[str, str]) -> None:
    shown = subprocess.run(
        [*DEMO, "--plain"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    (trace_id,) = re.findall(r"^trace id: ([0-9a-f]{32})$", shown.stdout, re.MULTILINE)
    assert f"trace {trace_id}" in shown.stdout
    assert "ZeroDivisionError" in shown.stdout


def test_the_demo_of_the_rag_service_shows_a_trace_of_all_layers(environ: Mapping[str, str]) -> None:
    shown = subprocess.run(DEMO, env=environ, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    (printed, stored) = re.findall(r"^It printed (\d+) logs; in PostgreSQL are (\d+)", shown.stdout, re.MULTILINE)[0]
    assert printed == stored
    assert re.search(r"^trace id: [0-9a-f]{32}$", shown.stdout, re.MULTILINE)
    for span in ("POST /ask", "memory.retrieve", "retrieval.search", "generation.generate", "evaluation.evaluate"):
        assert span in shown.stdout


def test_the_demo_says_that_nothing_is_running(environ: Mapping[str, str], tmp_path: Path) -> None:
    elsewhere = {**environ, "GANGLION_HOME": str(tmp_path)}
    shown = subprocess.run(
        [*DEMO, "--plain"],
        env=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert "make up" in shown.stderr
    assert shown.stdout == ""
