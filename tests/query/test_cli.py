"""The commands that ask, by exact output and exit code."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ganglion import __version__
from ganglion_query.commands import app
from typer.testing import CliRunner

from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN = NOW - timedelta(minutes=10)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return CliRunner()


@pytest.fixture
async def shop(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request in the database that GANGLION_DATABASE_URL names."""
    spans = [
        span("GET /", 1, at=BEGIN, ms=100),
        span("pay", 2, 1, at=BEGIN + timedelta(milliseconds=50), ms=25, error="no funds"),
    ]
    logs = [
        log("asked", 1, at=BEGIN, user_id="u-1"),
        log("failed", 2, at=BEGIN + timedelta(milliseconds=60), severity=ERROR, user_id="u-1", exception_type="E"),
    ]
    await store(postgresql, Sent("shop", spans, logs))
    monkeypatch.setenv("GANGLION_DATABASE_URL", postgresql)


def _local(milliseconds: int) -> str:
    time = (BEGIN + timedelta(milliseconds=milliseconds)).astimezone()
    return f"{time:%Y-%m-%d %H:%M:%S}.{milliseconds:03d}"


def _time(milliseconds: int) -> str:
    return _local(milliseconds).partition(" ")[2]


@pytest.mark.usefixtures("shop")
def test_trace_is_printed_as_a_tree(run: CliRunner) -> None:
    result = run.invoke(
        app, ["trace", f"{TRACE_ID[:8]}-{TRACE_ID[8:12]}-{TRACE_ID[12:16]}-{TRACE_ID[16:20]}-{TRACE_ID[20:]}"]
    )
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        f"trace {TRACE_ID}  2 spans  2 logs  100 ms  1 failed span",
        f"{_local(0)} {BEGIN.astimezone():%Z}  shop  user=u-1",
        "",
        f"{'time':>49} {'self':>9} {'waited':>7}",
        f"{'GET /':<39} {'100 ms':>9} {'75.0 ms':>9} {'◆ 75 %':>7} {'█' * 32}",
        f"│  {_time(0)} INFO     shop.app  asked",
        f"└─ {'pay':<36} {'25.0 ms':>9} {'25.0 ms':>9} {'◆ 25 %':>7} {' ' * 16}{'█' * 8}",
        "      no funds",
        f"      {_time(60)} ERROR    shop.app  failed",
        "                   E",
        "",
        f"Why?  ganglion explain {TRACE_ID}",
    ]


@pytest.mark.usefixtures("shop")
def test_trace_as_json_has_everything(run: CliRunner) -> None:
    found = json.loads(run.invoke(app, ["trace", TRACE_ID, "--json"]).stdout)
    assert found["trace_id"] == TRACE_ID
    assert [(one["name"], one["status"], one["duration_ms"]) for one in found["spans"]] == [
        ("GET /", "UNSET", 100.0),
        ("pay", "ERROR", 25.0),
    ]
    assert found["logs"][0]["timestamp"] == BEGIN.isoformat()
    assert found["truncated"] is False


@pytest.mark.usefixtures("shop")
def test_unknown_trace_is_exit_3_with_the_newest_one(run: CliRunner) -> None:
    result = run.invoke(app, ["trace", "f" * 32])
    newest = (BEGIN + timedelta(milliseconds=50)).astimezone()
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"ganglion: no span or log of trace {'f' * 32}; the newest trace there is {TRACE_ID}, "
        f"of {newest:%Y-%m-%d %H:%M:%S}; `ganglion status` shows whether the collector works\n"
    )


@pytest.mark.usefixtures("shop")
def test_errors_are_listed_and_filtered(run: CliRunner) -> None:
    result = run.invoke(app, ["errors", "--user", "u-1", "--since", "2d"])
    assert (result.exit_code, [line.rstrip() for line in result.stdout.splitlines()]) == (
        0,
        [f"{_local(60)}  ERROR     shop  shop.app  GET /  user=u-1  trace={TRACE_ID}", "    failed: E"],
    )
    result = run.invoke(app, ["errors", "--user", "u-2", "--since", "2d", "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (3, {"items": [], "next": None})


@pytest.mark.usefixtures("shop")
def test_logs_are_listed_newest_first_with_the_limit_told(run: CliRunner) -> None:
    result = run.invoke(app, ["logs", "--service", "shop", "--limit", "1"])
    *lines, more = result.stdout.splitlines()
    assert (result.exit_code, lines) == (
        0,
        [f"{_local(60)}  ERROR     shop  shop.app  failed  trace={TRACE_ID}", "    E"],
    )
    assert more.startswith("The newest 1; more: --limit, --all, or --cursor ")
    result = run.invoke(app, ["logs", "--search", "asked", "--level", "warn"])
    assert result.exit_code == 3
    assert result.stderr.startswith("ganglion: no such logs from ")


def test_without_a_database_it_is_said_what_to_do(run: CliRunner, tmp_path: Path) -> None:
    result = run.invoke(app, ["errors"])
    home = tmp_path / ".ganglion"
    said = f"ganglion: the database of {home} was never started; run `ganglion up`, or set GANGLION_HOME"
    said += " or GANGLION_DATABASE_URL\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)
    assert not home.exists()


def test_database_that_does_not_answer_is_exit_1(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_DATABASE_URL", "postgresql://me:s3cret@127.0.0.1:1/x")
    result = run.invoke(app, ["trace", TRACE_ID])
    assert result.exit_code == 1
    assert result.stderr.startswith("ganglion: PostgreSQL: connection failed")
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trace", "xyz"], "Invalid value for 'ID': 'xyz' is not a trace id: 32 hexadecimal digits"),
        (["trace"], "Missing argument 'ID'"),
        (["explain", ""], "Invalid value for 'ID': it is empty"),
        (["logs", "--since", "soon"], "Invalid value for '--since': 'soon' is not a time; write one such as 24h"),
        (["logs", "--since", "1h", "--until", "2h"], "before --since begins"),
        (
            ["logs", "--level", "loud"],
            "Invalid value for '--level': 'loud' is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        ),
        (["logs", "--limit", "0"], "Invalid value for '--limit'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_exit_2_with_the_reason(run: CliRunner, arguments: list[str], said: str) -> None:
    result = run.invoke(app, arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_version(run: CliRunner) -> None:
    assert run.invoke(app, ["--version"]).stdout == f"ganglion {__version__}\n"
