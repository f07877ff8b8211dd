"""Prometheus and Alertmanager beside the collector: the real programs, or none, killed, or in the way of others."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ganglion_collector.home import Home
from ganglion_collector.monitoring_servers import PROMETHEUS, end_servers

from tests.fix_collector import MakeCollector, RunningCollector, eventually, simple
from tests.programs import prometheus_program

PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
ADDRESSES = {"GANGLION_PROMETHEUS_ADDRESS": "127.0.0.1:0", "GANGLION_ALERTMANAGER_ADDRESS": "127.0.0.1:0"}
Ganglion = Callable[..., str]
TEXT = simple('{prometheus: {endpoint: "127.0.0.1:0"}}', "metrics: [prometheus]")


@pytest.fixture
def installed() -> None:
    for name in PROGRAMS:
        prometheus_program(name)


@pytest.fixture
def monitored(installed: None, collector: MakeCollector) -> RunningCollector:  # noqa: ARG001 (it may fail)
    return collector(TEXT, environ=ADDRESSES, monitoring=True)


def ask(running: RunningCollector, server: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{running.address(server)}{path}", timeout=5) as answer:
        return json.load(answer)


def scraped(running: RunningCollector) -> dict[str, tuple[str, str]]:
    """Return address and health of what Prometheus scrapes, by its job."""
    active = ask(running, "prometheus-server", "/api/v1/targets?state=active")["data"]["activeTargets"]
    return {one["labels"]["job"]: (one["discoveredLabels"]["__address__"], one["health"]) for one in active}


def test_they_run_with_the_collector_know_its_addresses_and_end_with_it(monitored: RunningCollector) -> None:
    monitored.start()
    jobs = {
        "ganglion": "metrics",
        "ganglion_exporter": "prometheus",
        "prometheus": "prometheus-server",
        "alertmanager": "alertmanager",
    }
    expected = {job: (monitored.address(name), "up") for job, name in jobs.items()}
    eventually(lambda: scraped(monitored) == expected, timeout=40)

    told = ask(monitored, "prometheus-server", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert told == [{"url": f"http://{monitored.address('alertmanager')}/api/v2/alerts"}]
    rules = ask(monitored, "prometheus-server", "/api/v1/rules")["data"]["groups"]
    assert {Path(group["file"]).name for group in rules} == {"ganglion.yml", "rag.yml", "services.yml"}
    flags = ask(monitored, "prometheus-server", "/api/v1/status/flags")["data"]
    assert flags["enable-feature"] == "exemplar-storage,native-histograms"
    assert flags["storage.tsdb.retention.time"] == "15d"
    assert [one["name"] for one in ask(monitored, "alertmanager", "/api/v2/receivers")] == ["critical", "warning"]

    servers = servers_of(monitored)
    assert monitored.stop() == 0
    assert not psutil.wait_procs(servers, timeout=1)[1]


def servers_of(running: RunningCollector) -> list[psutil.Process]:
    names = ("prometheus-server", "alertmanager")
    return [psutil.Process(int(running.process(name)["pid"])) for name in names]


@pytest.mark.parametrize("name", ["prometheus-server", "alertmanager"])
def test_one_that_is_killed_starts_again_and_the_collector_stays_healthy(
    monitored: RunningCollector, name: str
) -> None:
    monitored.start()
    address = monitored.address(name)
    killed = monitored.kill(name)
    eventually(lambda: monitored.process(name)["state"] == "restarting" or monitored.process(name)["restarts"] == 1)
    assert monitored.status()["healthy"]
    eventually(lambda: monitored.process(name)["state"] == "running" and monitored.process(name)["pid"] != killed, 30)
    assert monitored.address(name) == address


def test_they_do_not_outlive_a_killed_supervisor_and_start_again(monitored: RunningCollector) -> None:
    monitored.start()
    servers = servers_of(monitored)
    monitored.signal(signal.SIGKILL)
    monitored.wait()
    assert not psutil.wait_procs(servers, timeout=10)[1]
    monitored.start()
    assert monitored.process("prometheus-server")["state"] == "running"


def test_where_they_are_not_installed_the_collector_says_so_and_goes_on(
    collector: MakeCollector, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    one = collector(TEXT, environ={**ADDRESSES, "PATH": str(tmp_path / "bin")}, monitoring=True)
    one.launch()
    reasons = [one.wait_event("without", "healthy") for _ in range(2)]
    assert [event.get("reason") for event in reasons] == [
        "not installed; on Debian: apt-get install prometheus-alertmanager",
        "not installed; on Debian: apt-get install prometheus",
    ]
    assert "prometheus-server" not in one.wait_event("healthy")["addresses"]
    assert (one.process("prometheus-server")["state"], one.status()["healthy"]) == ("stopped", True)
    assert one.process("prometheus-server")["reason"].startswith("not installed; ")


def test_another_program_of_that_name_is_not_taken_for_it(collector: MakeCollector, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "prometheus").write_text("#!/bin/sh\necho something else\n")
    (tmp_path / "bin" / "prometheus").chmod(0o755)
    one = collector(TEXT, environ={**ADDRESSES, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, monitoring=True)
    one.start()
    reason = f"{tmp_path}/bin/prometheus is not Prometheus, to judge by its --version"
    assert one.process("prometheus-server")["reason"] == reason


@pytest.mark.usefixtures("installed")
def test_a_taken_port_is_told_with_the_variable_and_the_collector_goes_on(collector: MakeCollector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        one = collector(TEXT, environ={**ADDRESSES, "GANGLION_ALERTMANAGER_ADDRESS": address}, monitoring=True)
        one.start()
        assert one.process("alertmanager")["reason"] == (
            f"cannot listen on {address}: Address already in use; "
            "stop what has it (another Alertmanager?), or set GANGLION_ALERTMANAGER_ADDRESS"
        )
        assert one.status()["healthy"]
        assert ask(one, "prometheus-server", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"] == []
        written = yaml.safe_load((one.home / "run" / "prometheus-server" / "prometheus.yml").read_text())
        assert "alertmanager" not in {job["job_name"] for job in written["scrape_configs"]}


@pytest.mark.usefixtures("installed")
def test_a_wrong_configuration_of_a_user_is_told_and_the_collector_goes_on(
    collector: MakeCollector, tmp_path: Path
) -> None:
    (tmp_path / "wrong.yml").write_text("nope: 1\n")
    names = ("GANGLION_PROMETHEUS_CONFIG", "GANGLION_ALERTMANAGER_CONFIG")
    one = collector(TEXT, environ=ADDRESSES | dict.fromkeys(names, str(tmp_path / "wrong.yml")), monitoring=True)
    one.start()
    for name in ("prometheus-server", "alertmanager"):
        assert "field nope not found" in one.process(name)["reason"]
        assert one.process(name)["state"] == "stopped"
    assert one.status()["healthy"]


@pytest.mark.usefixtures("installed")
def test_a_configuration_of_a_user_wins(collector: MakeCollector, tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text("global: {external_labels: {own: mine}}\n")
    (tmp_path / "own-alerts.yml").write_text("route: {receiver: mine}\nreceivers: [{name: mine}]\n")
    own = {
        "GANGLION_PROMETHEUS_CONFIG": str(tmp_path / "own.yml"),
        "GANGLION_ALERTMANAGER_CONFIG": str(tmp_path / "own-alerts.yml"),
    }
    one = collector(TEXT, environ=ADDRESSES | own, monitoring=True).start()
    assert "own: mine" in ask(one, "prometheus-server", "/api/v1/status/config")["data"]["yaml"]
    assert [receiver["name"] for receiver in ask(one, "alertmanager", "/api/v2/receivers")] == ["mine"]


def test_a_new_configuration_of_the_collector_is_scraped(monitored: RunningCollector) -> None:
    monitored.start()
    targets_file = monitored.home / "run" / "prometheus-server" / "ganglion_exporter.json"
    assert json.loads(targets_file.read_text()) == [{"targets": [monitored.address("prometheus")]}]
    other = simple('{prometheus/other: {endpoint: "127.0.0.1:0"}}', "metrics: [prometheus/other]")
    monitored.config.write_text(other)
    monitored.signal(signal.SIGHUP)
    eventually(lambda: "prometheus/other" in monitored.status()["addresses"], 30)
    eventually(lambda: json.loads(targets_file.read_text()) == [{"targets": [monitored.address("prometheus/other")]}])


def test_a_server_that_was_left_is_ended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "prometheus").mkdir()
    argv = [sys.executable, "-c", "print(flush=True); input()", f"{PROMETHEUS.data_option}={tmp_path / 'prometheus'}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        assert left.stdout.readline()
        end_servers(home)
        assert not psutil.pid_exists(left.pid)
    end_servers(home)


def test_a_wrong_address_is_told_in_one_line(collector: MakeCollector) -> None:
    one = collector(TEXT, environ={"GANGLION_PROMETHEUS_ADDRESS": "nowhere"}, monitoring=True)
    one.launch()
    assert one.wait_event("failed")["reason"].startswith("GANGLION_PROMETHEUS_ADDRESS is 'nowhere': ")
    assert one.wait() == 1


@pytest.fixture
def ganglion(tmp_path: Path) -> Iterator[Ganglion]:
    """Run the command line in a home of its own, without a database; what it started ends with the test."""
    (tmp_path / "c.yaml").write_text(TEXT)
    fixed = {"GANGLION_HOME": str(tmp_path / "home"), "GANGLION_DATABASE_URL": "postgresql://127.0.0.1:1/none"}

    def run(*arguments: str, **environ: str) -> str:
        argv = [sys.executable, "-m", "ganglion_query.cli", *arguments]
        done = subprocess.run(
            argv, env={**os.environ, **fixed, **ADDRESSES, **environ}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    run("down")


@pytest.mark.usefixtures("installed")
def test_up_and_status_show_them_and_down_ends_them(ganglion: Ganglion, tmp_path: Path) -> None:
    up = ganglion("up", "--config", str(tmp_path / "c.yaml"))
    status = json.loads(ganglion("status", "--json"))
    address = status["addresses"]["prometheus-server"]
    assert f"\nprometheus-server {address}\n" in up
    assert f"\nMetrics and alerts:    http://{address}\n" in up
    assert f"Alerts are on http://{status['addresses']['alertmanager']} alone and sent to nobody" in up
    assert ganglion("up").startswith(f"Already running in {tmp_path / 'home'}: healthy")
    pids = {one["name"]: one["pid"] for one in status["processes"]}
    servers = [psutil.Process(pids[name]) for name in ("prometheus-server", "alertmanager")]
    assert ganglion("down").startswith("Stopped")
    assert not any(server.is_running() for server in servers)


def test_up_goes_on_without_them(ganglion: Ganglion, tmp_path: Path) -> None:
    config_option = ("--config", str(tmp_path / "c.yaml"))
    told = ganglion("up", *config_option, PATH=str(tmp_path))
    assert "\n  without prometheus-server: not installed; on Debian: apt-get install prometheus\n" in told
    assert "Metrics and alerts" not in told
    ganglion("down")
    assert "alertmanager" not in ganglion("up", *config_option, "--no-monitoring") + ganglion("status")
