"""The commands that answer a question: exit codes, JSON that is the answer itself, and what they say of nothing."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ganglion_query.answers.changes import Changes
from ganglion_query.answers.comparison import Comparison
from ganglion_query.answers.costs import Costs
from ganglion_query.answers.error_groups import ErrorGroups
from ganglion_query.answers.explanation import Explanation
from ganglion_query.answers.health import Health
from ganglion_query.answers.quality import Quality

from tests.fix_cli import Ganglion
from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

BEGIN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DAY = ("--since", "2026-11-20", "--until", "2026-11-21")
NOTHING = ("--since", "2026-11-01", "--until", "2026-11-02 12:00")
WHERE = "from 2026-11-01 00:00:00 to 2026-11-02 12:00:00"


@pytest.fixture
async def hour_of_requests(postgresql: str) -> None:
    """Forty requests, the second half with other chunks, of which one fails; each judged and paid for."""
    times = [BEGIN + timedelta(minutes=number) for number in range(40)]
    spans = [
        span(
            "POST /ask",
            number,
            at=at,
            ms=20 + number % 5 + 200 * (number > 20),
            error="no" if number == 30 else "",
            trace_id=TRACE_ID if number == 30 else f"{number:032x}",
            chunk_size=512 if number > 20 else 256,
        )
        for number, at in enumerate(times, 1)
    ]
    logs = [
        log(
            "ragas_score_computed",
            number,
            at=at,
            trace_id=TRACE_ID if number == 30 else f"{number:032x}",
            user_id="ada",
            request_id=f"r-{number}",
            numbers={"faithfulness": 0.9 - number % 3 / 100 - 0.4 * (number > 20), "cost_usd": 0.01},
        )
        for number, at in enumerate(times, 1)
    ]
    logs.append(log("lost", 30, at=times[29], severity=ERROR, trace_id=TRACE_ID, exception_type="StoreError"))
    await store(postgresql, Sent("rag", spans, logs), received_at=BEGIN + timedelta(hours=1))


@pytest.mark.usefixtures("hour_of_requests")
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("explain", TRACE_ID), Explanation),
        (("errors", "--why", *DAY), ErrorGroups),
        (("changes", "--at", "2026-11-20 15:20"), Changes),
        (("compare", "--by", "chunk.size", *DAY), Comparison),
        (("quality", *DAY), Quality),
        (("cost", "--by", "user", *DAY), Costs),
        (("health",), Health),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_json_is_the_answer_itself(ganglion: Ganglion, arguments: tuple[str, ...], answer: Any) -> None:
    result = ganglion(*arguments, "--json")
    assert result.stderr == ""
    assert list(json.loads(result.stdout)) == list(answer.__dataclass_fields__)


@pytest.mark.usefixtures("hour_of_requests")
@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("explain", "r-30"), f"All of it:  ganglion trace {TRACE_ID}"),
        (("explain", TRACE_ID), f"All of it:  ganglion trace {TRACE_ID}"),
        (("quality", *DAY), "What changed then:  ganglion changes --at '2026-11-20 15:20:00'"),
        (("cost", "--by", "trace", *DAY), "What it did:  ganglion trace "),
        (("compare", "--by", "chunk.size", *DAY), "The slowest with 512:  ganglion explain "),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_an_answer_leads_on(ganglion: Ganglion, arguments: tuple[str, ...], hint: str) -> None:
    result = ganglion(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert hint in result.stdout


@pytest.mark.usefixtures("hour_of_requests")
def test_changes_are_told_by_time_and_window(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("changes", "--at", "2026-11-20 15:20", "--window", "20m", "--json").stdout)
    assert (found["at"], found["requests_before"], found["requests_after"]) == ("2026-11-20T15:20:00+00:00", 20, 20)
    assert "latency" in {one["kind"] for one in found["changes"]}
    assert (
        len(json.loads(ganglion("changes", "--at", "2026-11-20 15:20", "--limit", "1", "--json").stdout)["changes"])
        == 1
    )


@pytest.mark.usefixtures("hour_of_requests")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("errors", "--why", *NOTHING), f"ganglion: no such errors {WHERE}\n"),
        (("quality", *NOTHING), f"ganglion: no such scores {WHERE}; a service tells them by ganglion.rag."),
        (("cost", *NOTHING), f"ganglion: no such costs {WHERE}\n"),
        (("compare", "--by", "nonsense", *DAY), "ganglion: no such requests with nonsense from 2026-11-20 00:00:00"),
        (
            ("changes", "--at", "2026-11-02"),
            "ganglion: no such requests from 2026-11-01 23:30:00 to 2026-11-02 00:30:00\n",
        ),
        (("explain", "f" * 32), f"ganglion: no span or log of trace or request {'f' * 32}; "),
        (("explain", "r-99"), "ganglion: no span or log of trace or request r-99; "),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_nothing_is_exit_3_with_where_was_looked(ganglion: Ganglion, arguments: tuple[str, ...], said: str) -> None:
    result = ganglion(*arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(said)


@pytest.mark.usefixtures("hour_of_requests")
def test_what_a_trace_cost_is_found_whenever_it_was(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("cost", "--trace", TRACE_ID, "--json").stdout)
    assert (found["usd"], found["period"]["since"]) == (0.01, (BEGIN + timedelta(minutes=29)).isoformat())
    result = ganglion("cost", "--trace", "f" * 32)
    assert (result.exit_code, result.stderr) == (3, f"ganglion: no such costs of trace {'f' * 32}\n")


@pytest.mark.usefixtures("hour_of_requests")
def test_a_comparison_without_the_attribute_names_those_there_are(ganglion: Ganglion) -> None:
    assert "attributes there are: " in ganglion("compare", "--by", "nonsense", *DAY).stderr
    assert "chunk.size" in ganglion("compare", "--by", "nonsense", *DAY).stderr


WAITS = """
import threading
from ganglion_query.commands.asking import waiting
with waiting("Looking"):
    for one in threading.enumerate():
        if isinstance(one, threading.Timer):
            one.join()
"""
"""Takes until what takes long is said, where it is."""


def test_what_takes_long_is_said_on_a_terminal_alone() -> None:
    command = [sys.executable, "-c", WAITS]
    assert subprocess.run(command, stderr=subprocess.PIPE, check=True).stderr == b""
    master, terminal = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as shown:
        subprocess.run(command, stderr=terminal, check=True, env={**os.environ, "TERM": "xterm"})
        assert b"Looking" in shown.read(10_000)
    os.close(terminal)


def test_health_without_a_collector_says_so_and_fails(ganglion: Ganglion) -> None:
    result = ganglion("health")
    assert result.exit_code == 1
    assert result.stdout.startswith("✗ failing  collector: not running")
    assert "The collector:  ganglion status" in result.stdout


@pytest.mark.parametrize("url", ["", "postgresql://me:s3cret@127.0.0.1:1/x"], ids=["never started", "away"])
def test_health_without_a_database_says_so_and_fails(
    ganglion: Ganglion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setenv("GANGLION_DATABASE_URL", url)
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "home"))
    found = json.loads(ganglion("health", "--json").stdout)
    assert {"collector": "failing", "database": "failing"}.items() <= {
        part["name"]: part["state"] for part in found["parts"]
    }.items()
    result = ganglion("health")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "✗ failing" in result.stdout
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("changes",), "Missing option '--at'"),
        (("changes", "--at", "soon"), "Invalid value for '--at': 'soon' is not a time; write one such as 24h"),
        (("changes", "--at", "15:00", "--window", "0s"), "Invalid value for '--window': '0s' is not a length of time"),
        (("compare",), "Missing option '--by'"),
        (("changes", "--at", "2199-01-01"), "Invalid value for '--at': 2199-01-01 00:00:00 UTC is in the future"),
        (("changes", "--at", "15:00", "--window", "8d"), "Invalid value for '--window': at most 7 days"),
        (
            ("cost", "--by", "planet"),
            "Invalid value for '--by': 'planet' is not one of 'user', 'tenant', 'model', 'layer', 'service', 'trace'",
        ),
        (("cost", "--trace", "x"), "Invalid value for '--trace': 'x' is not a trace id"),
        (("quality", "--since", "1h", "--until", "2h"), "before --since begins"),
    ],
    ids=lambda one: "_".join(one) if isinstance(one, tuple) else "",
)
def test_wrong_usage_is_exit_2_with_the_reason(ganglion: Ganglion, arguments: tuple[str, ...], said: str) -> None:
    result = ganglion(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())
