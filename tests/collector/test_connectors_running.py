"""Connectors and components with a state in real processes, whatever is killed."""

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.collector.notebook import logs_payload
from tests.collector.tally import tally_environ
from tests.fix_collector import HEADER, TELEMETRY, MakeCollector, RunningCollector, eventually


def _text(
    pipelines: str, *, connectors: str = "{tally: {interval: 100ms}}", journal: str = "{}", more: str = ""
) -> str:
    return (
        f"{HEADER}  journal: {journal}\n"
        f"connectors: {connectors}\n"
        f"exporters: {{ledger: , {more}}}\n"
        f"processors: {{every_other: }}\n"
        f"service:\n  extensions: [health_check, journal]\n  pipelines:\n{pipelines}{TELEMETRY}"
    )


BOTH = """\
    logs: {receivers: [otlp], exporters: [tally, ledger]}
    logs/derived: {receivers: [tally], exporters: [ledger]}
"""


def _counts(running: RunningCollector) -> tuple[int, int]:
    """Return what came to the ledger itself, and what tallies told it; (-1, -1) while it cannot be asked."""
    host, _, port = running.address("ledger").rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
        direct, tallied = connection.makefile().read().split()
        return int(direct), int(tallied)
    return -1, -1


class Load:
    """Posts requests of ten logs until it is stopped; each is sent again, unchanged, until it is acknowledged."""

    def __init__(self, running: RunningCollector) -> None:
        self._running = running
        self._stop = threading.Event()
        self.acknowledged = 0

    def post(self, number: int) -> None:
        payload = logs_payload(*(f"log {number}.{item}" for item in range(10)))
        while True:
            with suppress(OSError):
                if self._running.post("/v1/logs", payload) == 200:
                    self.acknowledged += 10
                    return
            time.sleep(0.02)

    def run(self) -> None:
        number = 0
        while not self._stop.is_set():
            self.post(number)
            number += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


_VICTIMS = ("worker:tally", "worker:ledger", "receiver", "worker:tally", "worker:ledger", "worker:tally")


def _kill(running: RunningCollector, name: str) -> None:
    eventually(lambda: running.process(name)["state"] == "running", 30)
    killed = running.kill(name)
    # Else the next kill of the same name may hit what is dead already.
    eventually(lambda: running.process(name)["pid"] != killed)


@pytest.mark.timeout(120)
def test_derived_counts_equal_what_was_acknowledged_whatever_is_killed(
    collector: MakeCollector, tmp_path: Path
) -> None:
    running = collector(_text(BOTH), environ=tally_environ(tmp_path)).start()
    chance, load = random.Random(3), Load(running)
    with load.going_on():
        for name in _VICTIMS:
            time.sleep(chance.uniform(0.05, 0.5))  # the moment is what is tried
            _kill(running, name)
    eventually(lambda: _counts(running) == (load.acknowledged, load.acknowledged), 30)
    assert load.acknowledged > 200
    assert sum(found["restarts"] for found in running.status()["processes"]) == len(_VICTIMS)


def test_counts_go_on_after_an_orderly_restart(collector: MakeCollector, tmp_path: Path) -> None:
    running = collector(_text(BOTH), environ=tally_environ(tmp_path)).start()
    for _ in range(2):
        assert running.post("/v1/logs", logs_payload(f"a {time.time_ns()}", "b")) == 200
    eventually(lambda: _counts(running) == (4, 4))
    assert running.stop() == 0
    running.start()
    assert running.post("/v1/logs", logs_payload("c")) == 200
    eventually(lambda: _counts(running) == (5, 5))


def test_connector_sums_up_for_longer_while_its_stream_is_half_full(collector: MakeCollector, tmp_path: Path) -> None:
    notebook = tmp_path / "notebook"
    down = Path(f"{notebook}.down")
    down.touch()
    pipelines = """\
    logs: {receivers: [otlp], exporters: [tally]}
    logs/derived: {receivers: [tally], exporters: [ledger, notebook]}
"""
    text = _text(
        pipelines,
        connectors="{tally: {interval: 50ms, padding: 400000}}",
        journal="{derived_quota_mib: 1}",
        more=f"notebook: {{path: {notebook}, retry_on_failure: {{initial_interval: 50ms, max_interval: 50ms}}}}",
    )
    running = collector(text, environ=tally_environ(tmp_path)).start()

    sent = 0
    while "half full" not in running.logs():
        assert running.post("/v1/logs", logs_payload(f"a {sent}")) == 200
        sent += 1
        _wait_until_consumed(running, sent)
    for number in range(10):
        assert running.post("/v1/logs", logs_payload(f"b {number}")) == 200
    _wait_until_consumed(running, sent + 10)
    assert 400_000 < running.metrics()['ganglion_derived_stream_size_bytes{connector="tally"}'] <= 1 << 20
    components: dict[str, dict[str, str]] = json.loads(running.get("health")[1])["components"]
    assert components["connector:tally"]["reason"] == ""
    running.kill("worker:tally")
    down.unlink()
    eventually(lambda: _counts(running) == (0, sent + 10), 30)
    eventually(lambda: sum(int(line.split()[1]) for line in notebook.read_text().splitlines()) == sent + 10)


def _wait_until_consumed(running: RunningCollector, items: int) -> None:
    name = 'otelcol_connector_consumed_items{connector="tally",data_type="logs",outcome="success"}'
    eventually(lambda: running.metrics().get(name, 0) == items)


def test_state_is_forgotten_with_a_damaged_file_and_nothing_is_counted_twice(
    collector: MakeCollector, tmp_path: Path
) -> None:
    running = collector(_text(BOTH), environ=tally_environ(tmp_path)).start()
    assert running.post("/v1/logs", logs_payload("a", "b")) == 200
    eventually(lambda: _counts(running) == (2, 2))
    assert running.stop() == 0
    # Two processes that close a file in the same moment leave its log, out of which SQLite would mend it.
    for log in (running.home / "state").glob("*-wal"):
        log.unlink()
    for file in (running.home / "state").glob("*.sqlite"):
        file.write_bytes(b"damaged" * 1000)
    running.start()
    assert running.post("/v1/logs", logs_payload("c")) == 200
    eventually(lambda: _counts(running) == (1, 1))
    assert [running.logs().count(f"{what}: file is not a database") for what in ("state", "positions of readers")] == [
        2,
        1,
    ]


def test_processor_with_a_state_is_exact_across_kills_and_counts_what_it_leaves_out(
    collector: MakeCollector, tmp_path: Path
) -> None:
    till = tmp_path / "till"
    pipelines = "    logs: {receivers: [otlp], processors: [every_other], exporters: [till]}\n"
    running = collector(_text(pipelines, more=f"till: {{path: {till}}}"), environ=tally_environ(tmp_path)).start()
    for number in range(15):
        assert running.post("/v1/logs", logs_payload(f"log {number}")) == 200
        if number % 5 == 4:
            _kill(running, "worker:logs/till")
    eventually(lambda: till.read_text() == "8 0")
    dropped = 'ganglion_component_dropped_items_total{component="every_other",data_type="logs",reason="odd"}'
    assert running.metrics()[dropped] >= 7


def test_what_connectors_take_and_make_is_counted(collector: MakeCollector, tmp_path: Path) -> None:
    running = collector(_text(BOTH), environ=tally_environ(tmp_path)).start()
    assert running.post("/v1/logs", logs_payload("a", "b", "bad")) == 200
    eventually(lambda: _counts(running) == (3, 2))
    # Its reader may have what is saved before the connector counts that.
    produced = 'otelcol_connector_produced_items{connector="tally",data_type="logs"}'
    eventually(lambda: produced in running.metrics())
    found = running.metrics()
    assert found[produced] == 1
    assert found['otelcol_connector_consumed_items{connector="tally",data_type="logs",outcome="success"}'] == 2
    assert found["ganglion_dead_letters"] == 1
    assert 'ganglion_reader_lag_requests{reader="logs/tally"}' in found
    assert 'ganglion_reader_lag_requests{reader="logs/derived/ledger"}' in found


def test_connector_that_left_the_configuration_is_told_and_goes_on_when_it_is_back(
    collector: MakeCollector, tmp_path: Path
) -> None:
    running = collector(_text(BOTH), environ=tally_environ(tmp_path)).start()
    assert running.post("/v1/logs", logs_payload("a", "b")) == 200
    eventually(lambda: _counts(running) == (2, 2))
    running.config.write_text(_text("    logs: {receivers: [otlp], exporters: [ledger]}\n"))
    running.signal(signal.SIGHUP)
    eventually(lambda: "left the configuration; its state and output are kept" in running.logs(), 30)
    running.config.write_text(_text(BOTH))
    running.signal(signal.SIGHUP)
    # Of one status: the servers have other ports now, which it tells once all is healthy.
    eventually(lambda: _is_healthy_with(running.status(), "worker:tally"), 30)
    assert running.post("/v1/logs", logs_payload("c")) == 200
    eventually(lambda: _counts(running) == (3, 3))


def _is_healthy_with(status: dict[str, Any], process: str) -> bool:
    return bool(status["healthy"]) and process in [found["name"] for found in status["processes"]]
