"""The collector's own metrics and logs, across processes."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ganglion_collector import log, telemetry
from ganglion_collector.board import OK, Board
from ganglion_collector.metrics_page import MetricsPage, ReaderPosition, forget_gauges
from prometheus_client.parser import text_string_to_metric_families

_COUNT = """\
import os, signal, sys
from ganglion_collector import telemetry
from ganglion_collector.otlp import Signal
telemetry.prepare_exporter(Signal.LOGS, "postgresql")
telemetry.count_accepted(Signal.LOGS, "otlp", "grpc", 5)
telemetry.count_sent(Signal.LOGS, "postgresql", 3)
telemetry.set_in_flight(Signal.LOGS, "postgresql", 2)
telemetry.set_journal(1000, 4000, 10, 30)
telemetry.observe_commit(2, 100, 0.001)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _count_and_die(folder: Path, process: str) -> None:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), telemetry.PROCESS_VARIABLE: process}
    code = subprocess.run([sys.executable, "-c", _COUNT], env=environ, check=False).returncode
    assert code == -signal.SIGKILL


@pytest.fixture
def board() -> Board:
    board = Board()
    board.update("supervisor", "running", pid=os.getpid())
    board.component("receiver:otlp", OK)
    return board


@pytest.fixture
def page(tmp_path: Path, board: Board) -> MetricsPage:
    return MetricsPage(
        tmp_path, board, lambda: 7, lambda: [ReaderPosition("logs/postgresql", "postgresql", "logs", 20)]
    )


def _samples(page: MetricsPage) -> dict[str, float]:
    lines = [line for line in page.render().decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_counters_of_killed_processes_survive_and_add_up(tmp_path: Path, page: MetricsPage) -> None:
    _count_and_die(tmp_path, "a")
    _count_and_die(tmp_path, "a")
    _count_and_die(tmp_path, "b")
    samples = _samples(page)
    assert samples['otelcol_receiver_accepted_log_records{receiver="otlp",transport="grpc"}'] == 15
    assert samples['otelcol_exporter_sent_log_records{data_type="logs",exporter="postgresql"}'] == 9
    assert samples["ganglion_journal_commit_duration_seconds_count"] == 3


def test_gauges_of_a_dead_process_vanish(tmp_path: Path, page: MetricsPage) -> None:
    _count_and_die(tmp_path, "a")
    name = 'otelcol_exporter_in_flight_requests{data_type="logs",exporter="postgresql"}'
    assert _samples(page)[name] == 2
    forget_gauges(tmp_path, "a")
    assert name not in _samples(page)


def test_page_is_valid_and_has_the_collectors_names(tmp_path: Path, page: MetricsPage) -> None:
    _count_and_die(tmp_path, "a")
    families = {family.name: family for family in text_string_to_metric_families(page.render().decode())}
    assert families["otelcol_receiver_accepted_log_records"].type == "counter"
    assert families["otelcol_exporter_sent_log_records"].type == "counter"
    assert families["otelcol_process_uptime"].type == "counter"
    assert families["otelcol_process_memory_rss"].samples[0].value > 1_000_000
    samples = _samples(page)
    assert 'otelcol_exporter_send_failed_log_records{data_type="logs",exporter="postgresql"}' in samples
    assert 'otelcol_exporter_enqueue_failed_log_records{data_type="logs",exporter="postgresql"}' in samples
    assert not [name for name in samples if name.startswith("otelcol_") and "_total" in name]
    assert samples["ganglion_dead_letters"] == 7
    assert samples['ganglion_component_healthy{component="receiver:otlp"}'] == 1


def test_queue_is_what_the_reader_has_not_taken_yet(tmp_path: Path, page: MetricsPage) -> None:
    _count_and_die(tmp_path, "a")
    samples = _samples(page)
    assert samples['ganglion_reader_lag_requests{reader="logs/postgresql"}'] == 10
    assert samples['otelcol_exporter_queue_size{data_type="logs",exporter="postgresql"}'] == 500
    assert samples['otelcol_exporter_queue_capacity{data_type="logs",exporter="postgresql"}'] == 4000


def test_page_without_any_counter_is_there_too(page: MetricsPage) -> None:
    assert _samples(page)['ganglion_process_restarts_total{process="supervisor"}'] == 0


@pytest.mark.usefixtures("logging_as_before")
def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json", "receiver")
    logging.getLogger("uvicorn.error").warning("first\nsecond", extra={"reason": "why", "path": Path("x")})
    logging.getLogger("ganglion_collector.worker").debug("not said")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "uvicorn.error",
        "message": "first\nsecond",
        "process": "receiver",
        "reason": "why",
        "path": "x",
    }


@pytest.mark.usefixtures("logging_as_before")
def test_logs_for_people_are_readable(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("error", "console", "receiver")
    logging.getLogger("x").error("cannot", extra={"reason": "why"})
    assert capsys.readouterr().err.rstrip().endswith("ERROR    receiver  cannot  reason=why")


def test_where_an_error_came_from_is_told_without_its_message() -> None:
    try:
        raise ValueError("secret payload")
    except ValueError as error:
        told = log.stack(error)
    assert "test_telemetry.py" in told
    assert told.endswith("ValueError")
    assert "secret payload" not in told.replace('raise ValueError("secret payload")', "")


def test_every_metric_is_documented(tmp_path: Path, page: MetricsPage) -> None:
    _count_and_die(tmp_path, "a")
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    families = {family.name for family in text_string_to_metric_families(page.render().decode())}
    documented = {name.removesuffix("_total") for name in families}
    for items in ("spans", "metric_points", "log_records"):
        documented = {name.replace(items, "{spans,metric_points,log_records}") for name in documented}
    assert not [name for name in documented if f"`{name}`" not in text]
