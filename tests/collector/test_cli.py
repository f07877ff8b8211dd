"""The commands that operate the collector, by exact output and exit code; up and down with everything real."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from ganglion_collector.dead_letters import DeadLetter, DeadLetters
from ganglion_collector.home import Home
from ganglion_collector.otlp import Signal
from ganglion_collector.postmaster import server_processes
from ganglion_query.commands import app
from typer.testing import CliRunner

from tests.query.telemetry import ERROR, TRACE_ID, log

NOW = datetime.now(UTC)

_CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {debug: }
service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}
"""
_PORTS = (
    "GANGLION_OTLP_GRPC_ENDPOINT",
    "GANGLION_OTLP_HTTP_ENDPOINT",
    "GANGLION_HEALTH_ENDPOINT",
    "GANGLION_QUERY_ENDPOINT",
    "GANGLION_PROMETHEUS_EXPORTER_ENDPOINT",
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "c.yaml").write_text(_CONFIG)
    return CliRunner()


def test_valid_configuration_is_told_by_its_pipelines(run: CliRunner) -> None:
    result = run.invoke(app, ["validate", "--config", "c.yaml"])
    assert (result.exit_code, result.stdout) == (0, "valid: logs (otlp to debug)\n")


def test_every_error_of_a_configuration_is_one_line(run: CliRunner) -> None:
    result = run.invoke(app, ["validate", "--config", "c.yaml", "--set", "exporters.debug.nope=1", "--set", "x=1"])
    assert (result.exit_code, result.stdout) == (1, "")
    told = [line for line in result.stderr.splitlines() if not line.startswith("note:")]
    assert [line.partition(":")[0] for line in told] == ["ganglion"] * 2
    assert any("exporters::debug::nope" in line for line in told)


@pytest.mark.usefixtures("logging_as_before")
def test_run_refuses_a_wrong_configuration_and_starts_nothing(run: CliRunner, tmp_path: Path) -> None:
    result = run.invoke(app, ["run", "--config", "none.yaml"])
    assert result.exit_code == 1
    assert not (tmp_path / ".ganglion" / "journal").exists()


def test_components_are_listed(run: CliRunner) -> None:
    result = run.invoke(app, ["components"])
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "exporter otlp_http logs, metrics, traces (also otlphttp)" in lines
    rows = json.loads(run.invoke(app, ["components", "--json"]).stdout)
    assert {"kind": "receiver", "type": "otlp"}.items() <= next(
        row for row in rows if row["kind"] == "receiver"
    ).items()


def test_dsn_is_the_one_given(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_DATABASE_URL", "postgresql://a@b/c")
    assert run.invoke(app, ["dsn"]).stdout == "postgresql://a@b/c\n"


def test_status_and_down_where_nothing_runs(run: CliRunner, tmp_path: Path) -> None:
    result = run.invoke(app, ["status"])
    assert (result.exit_code, result.stdout) == (1, "not healthy: not running\n")
    result = run.invoke(app, ["status", "--json"])
    assert json.loads(result.stdout) == {"healthy": False, "reason": "not running", "processes": [], "addresses": {}}
    result = run.invoke(app, ["down"])
    assert (result.exit_code, result.stdout) == (0, f"Nothing runs in {tmp_path / '.ganglion'}.\n")


def test_state_of_a_killed_supervisor_is_not_believed(run: CliRunner, tmp_path: Path) -> None:
    home = Home(tmp_path / ".ganglion")
    home.make()
    home.lock.touch()
    home.status.write_text(json.dumps({"pid": os.getpid(), "healthy": True, "processes": [], "addresses": {}}))
    assert run.invoke(app, ["status"]).stdout == "not healthy: not running\n"


@pytest.fixture
def letters(run: CliRunner, tmp_path: Path) -> DeadLetters:
    assert run
    return DeadLetters(tmp_path / ".ganglion" / "dead-letters.sqlite")


def _letter(item: int, reader: str = "logs/debug") -> DeadLetter:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    record = log(f"bad {item}", at=NOW, severity=ERROR, trace_id=TRACE_ID)
    request.resource_logs.add().scope_logs.add().log_records.append(record)
    return DeadLetter(
        journal=UUID(int=1),
        reader=reader,
        signal=Signal.LOGS,
        sequence=7,
        item=item,
        receiver="otlp",
        context={},
        received_at=1_700_000_000_000_000_000,
        reason="no\x1b[2J such column",
        payload=request.SerializeToString(),
        failed_at=1_700_000_001_000_000_000 + item,
    )


def test_dead_letters_are_listed_and_shown(run: CliRunner, letters: DeadLetters) -> None:
    letter = _letter(3)
    letters.put(letter)
    result = run.invoke(app, ["dead-letters", "list", "--config", "c.yaml"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{letter.id}  20")
    assert result.stdout.endswith("  logs/debug  1 log records  no\\x1b[2J such column\n")
    rows = json.loads(run.invoke(app, ["dead-letters", "list", "--config", "c.yaml", "--json"]).stdout)
    assert [(row["id"], row["item"], row["reason"]) for row in rows] == [(letter.id, 3, "no\x1b[2J such column")]
    shown = run.invoke(app, ["dead-letters", "show", letter.id, "--config", "c.yaml"]).stdout
    assert 'string_value: "bad 3"' in shown
    assert "position     7:3\n" in shown
    letters.close()


def test_replayed_letters_go_through_their_exporter_and_others_stay(run: CliRunner, letters: DeadLetters) -> None:
    good, lost = _letter(1), _letter(2, "logs/gone")
    letters.put(good)
    letters.put(lost)
    result = run.invoke(app, ["dead-letters", "replay", "--all", "--config", "c.yaml"])
    assert result.exit_code == 1
    assert f"{good.id}  delivered\n" in result.stdout
    assert f"{lost.id}  the configuration has no logs/gone; name one that has it by --config\n" in result.stdout
    assert result.stderr.endswith("ganglion: 1 of 2 were not delivered\n")
    assert [letter.id for letter in letters.list()] == [lost.id]
    again = run.invoke(app, ["dead-letters", "replay", good.id, "--config", "c.yaml"])
    assert (again.exit_code, again.stdout) == (1, f"{good.id}  there is no such letter\n")
    assert again.stderr.endswith("ganglion: 1 of 1 were not delivered\n")
    letters.close()


def test_letters_that_are_not_there_are_exit_3_and_a_choice_is_asked_for(run: CliRunner, letters: DeadLetters) -> None:
    config = ["--config", "c.yaml"]
    assert run.invoke(app, ["dead-letters", "list", *config]).exit_code == 3
    assert letters.count() == 0
    assert run.invoke(app, ["dead-letters", "list", *config]).exit_code == 3
    assert run.invoke(app, ["dead-letters", "show", "x", *config]).exit_code == 3
    assert run.invoke(app, ["dead-letters", "replay", "--all", *config]).exit_code == 3
    assert run.invoke(app, ["dead-letters", "replay", *config]).exit_code == 2
    letters.close()


@dataclass
class Installed:
    """`ganglion` as its user runs it: a process, a home, free ports."""

    environ: Mapping[str, str]
    home: Home

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ganglion_query.cli", *arguments]
        return subprocess.run(
            argv, env=self.environ, cwd=self.home.path.parent, capture_output=True, text=True, check=False
        )

    def port(self, name: str) -> str:
        return self.environ[name].rpartition(":")[2]


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture
def ganglion(tmp_path: Path) -> Iterator[Installed]:
    *ports, metrics = _free_ports(len(_PORTS) + 1)
    environ = dict(os.environ)
    environ |= {name: f"127.0.0.1:{port}" for name, port in zip(_PORTS, ports, strict=True)}
    environ |= {"GANGLION_HOME": str(tmp_path / "home"), "GANGLION_METRICS_PORT": str(metrics), "COLUMNS": "100"}
    environ["GANGLION_PROMETHEUS"] = "off"
    installed = Installed(environ, Home(tmp_path / "home"))
    yield installed
    installed("down")


@pytest.mark.timeout(150)
def test_up_brings_everything_and_down_ends_it_even_after_a_kill(ganglion: Installed) -> None:
    up = ganglion("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "Healthy. This self-test went in by OTLP and was read back from PostgreSQL:" in up.stdout
    assert "\n  without langsmith: no api_key: set LANGSMITH_API_KEY" in up.stdout
    status = json.loads(ganglion("status", "--json").stdout)
    assert status["healthy"] is True
    assert status["addresses"]["otlp/http"] == ganglion.environ["GANGLION_OTLP_HTTP_ENDPOINT"]
    again = ganglion("up")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"Already running in {ganglion.home.path}: healthy")
    readable = [path for path in ganglion.home.path.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert not readable
    trace_id = next(line.split()[1] for line in up.stdout.splitlines() if line.startswith("trace "))
    assert ganglion("trace", trace_id).stdout.startswith(f"trace {trace_id}  1 span  1 log")

    supervisor = psutil.Process(status["pid"])
    supervisor.send_signal(signal.SIGKILL)
    psutil.wait_procs([supervisor], timeout=10)
    assert ganglion("status").returncode == 1
    assert ganglion("up").returncode == 0
    assert ganglion("trace", trace_id).returncode == 0

    down = ganglion("down")
    assert (down.returncode, down.stdout) == (0, f"Stopped; the data stays in {ganglion.home.path}.\n")
    assert not server_processes(ganglion.home.path / "postgresql")
    assert not ganglion.home.is_running()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("setting", [name for name in _PORTS if "HTTP" not in name])
def test_port_taken_names_the_setting_and_leaves_nothing_running(ganglion: Installed, setting: str) -> None:
    with socket.create_server(("127.0.0.1", int(ganglion.port(setting)))):
        up = ganglion("up")
    assert up.returncode == 1
    last = up.stderr.splitlines()[-1]
    assert last.startswith(f"ganglion: cannot listen on 127.0.0.1:{ganglion.port(setting)}: Address already in use")
    assert last.endswith(f"stop what has it, or set {setting}")
    assert not server_processes(ganglion.home.path / "postgresql")


def test_up_with_a_wrong_configuration_starts_nothing(ganglion: Installed) -> None:
    up = ganglion("up", "--set", "exporters.debug.nope=1")
    assert up.returncode == 1
    assert up.stderr.startswith("ganglion: exporters::debug::nope")
    assert not (ganglion.home.path / "postgresql").exists()


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ganglion_query.commands import app\n"
        "print([name for name in ('grpc', 'psycopg', 'pydantic', 'rich', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
