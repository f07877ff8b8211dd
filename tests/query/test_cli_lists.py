"""The commands that list requests, logs and errors, and the one that follows logs."""

import asyncio
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from examples.running import BIN
from tests.fix_cli import Ganglion
from tests.query.telemetry import ERROR, Sent, log, span, store

BEGIN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DAY = ("--since", "2026-11-20", "--until", "2026-11-21")
FAST, SLOW, LOST = ("1" * 32, "2" * 32, "3" * 32)


def _at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


@pytest.fixture
async def three_requests(postgresql: str) -> None:
    """A quick one, a slow one, and one whose store was lost."""
    spans = [
        span("GET /", 1, at=_at(0), ms=12, trace_id=FAST, user_id="ada", chunk_size=160),
        span("POST /ask", 2, at=_at(1), ms=2400, trace_id=SLOW, user_id="ada", tenant_id="acme", session_id="s-1"),
        span("POST /ask", 3, at=_at(9), ms=5, trace_id=LOST, user_id="eve", error="503"),
    ]
    logs = [
        log("hello", 1, at=_at(0), trace_id=FAST, user_id="ada", x="1", request_id="r-1"),
        log(
            "slow_generation",
            2,
            at=_at(3),
            severity=13,
            trace_id=SLOW,
            numbers={"duration_ms": 2400, "chunk_size": 512},
        ),
        log("lost", 3, at=_at(9), severity=ERROR, trace_id=LOST, user_id="eve", exception_type="StoreError"),
    ]
    await store(postgresql, Sent("web", spans, logs), received_at=_at(10))


@pytest.mark.usefixtures("three_requests")
def test_slow_requests_come_the_slowest_first(ganglion: Ganglion) -> None:
    result = ganglion("slow", "--over", "10ms", *DAY)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "   2.40 s  2026-11-20 15:00:01.000  POST /ask  web  user=ada",
        f"           trace={SLOW}  1 span  1 log",
        "  12.0 ms  2026-11-20 15:00:00.000  GET /  web  user=ada",
        f"           trace={FAST}  1 span  1 log",
        "",
        f"Why was the first so slow?  ganglion explain {SLOW}",
    ]


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((), [LOST, SLOW, FAST]),
        (("--status", "error"), [LOST]),
        (("--user", "ada", "--under", "1s"), [FAST]),
        (("--tenant", "acme", "--session", "s-1"), [SLOW]),
        (("--operation", "GET /", "--service", "web"), [FAST]),
        (("--where", "chunk.size=160"), [FAST]),
    ],
)
def test_requests_are_found_by_what_is_known_of_them(
    ganglion: Ganglion, wanted: tuple[str, ...], found: list[str]
) -> None:
    page = json.loads(ganglion("search", *wanted, *DAY, "--json").stdout)
    assert [one["trace_id"] for one in page["items"]] == found


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize("command", ["search", "logs", "errors"])
def test_a_list_goes_on_at_its_cursor(ganglion: Ganglion, command: str) -> None:
    whole = json.loads(ganglion(command, *DAY, "--json").stdout)
    items: list[object] = []
    cursor: list[str] = []
    while True:
        page = json.loads(ganglion(command, *DAY, "--limit", "1", *cursor, "--json").stdout)
        items += page["items"]
        if page["next"] is None:
            break
        cursor = ["--cursor", page["next"]]
    assert (items, whole["next"]) == (whole["items"], None)


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("--where", "duration_ms>=500"), ["slow_generation"]),
        (("--where", "metrics.chunk_size=512", "--level", "warning"), ["slow_generation"]),
        (("--where", "context.x=1"), ["hello"]),
        (("--request", "r-1", "--logger", "web.app"), ["hello"]),
        (("--trace", f"{LOST[:8]}-3333-3333-3333-{LOST[:12]}"), ["lost"]),
        (("--search", "slow_generation or lost", "--user", "eve"), ["lost"]),
    ],
)
def test_logs_are_found_by_what_is_known_of_them(ganglion: Ganglion, wanted: tuple[str, ...], found: list[str]) -> None:
    page = json.loads(ganglion("logs", *wanted, *DAY, "--json").stdout)
    assert [one["message"] for one in page["items"]] == found


@pytest.mark.usefixtures("three_requests")
def test_logs_of_a_trace_are_found_whenever_it_was(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("logs", "--trace", SLOW, "--json").stdout)
    assert [one["message"] for one in found["items"]] == ["slow_generation"]
    result = ganglion("logs", "--trace", SLOW, "--since", "1h")
    assert (result.exit_code, result.stdout) == (3, "")
    assert ganglion("logs", "--trace", "f" * 32).exit_code == 3


@pytest.mark.usefixtures("three_requests")
def test_all_logs_are_one_json_object_a_line(ganglion: Ganglion) -> None:
    lines = ganglion("logs", "--all", *DAY, "--json").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["lost", "slow_generation", "hello"]
    numbers = "chunk_size=512  duration_ms=2400"
    assert ganglion("logs", "--all", *DAY).stdout.splitlines() == [
        f"2026-11-20 15:00:09.000  ERROR     web  web.app  lost  trace={LOST}",
        "    StoreError",
        f"2026-11-20 15:00:03.000  WARNING   web  web.app  slow_generation  {numbers}  trace={SLOW}",
        f"2026-11-20 15:00:00.000  INFO      web  web.app  hello  x=1  trace={FAST}",
    ]


@pytest.mark.usefixtures("three_requests")
def test_errors_by_cause_begin_with_the_verdict(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("errors", "--why", *DAY, "--json").stdout)
    lines = ganglion("errors", "--why", *DAY).stdout.splitlines()
    assert " ".join(lines[: lines.index("")]) == found["verdict"]
    assert f"One of them:       ganglion explain {LOST}" in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("slow", "--over", "fast"), "Invalid value for '--over': 'fast' is not a length of time; write one such as"),
        (
            ("logs", "--where", "a b"),
            "Invalid value for '--where': 'a b' is not a condition; write context.chunk_size=512",
        ),
        (("logs", "--where", "duration_ms=long"), "Invalid value for '--where': duration_ms is a number"),
        (("logs", "--trace", "xyz"), "Invalid value for '--trace': 'xyz' is not a trace id"),
        (
            ("errors", "--cursor", "xyz"),
            "Invalid value for '--cursor': the cursor is not one of this list; begin again without it",
        ),
        (
            ("errors", "--why", "--all"),
            "Invalid value for '--why': goes neither with --cursor nor with --all",
        ),
        (("search", "--status", "bad"), "Invalid value for '--status': 'bad' is not one of 'ok', 'error'"),
        (("logs", "--search", ""), "Invalid value for '--search': it is empty"),
        (("errors", "--user", " "), "Invalid value for '--user': it is empty"),
    ],
)
@pytest.mark.usefixtures("three_requests")
def test_wrong_usage_is_exit_2_with_the_reason(ganglion: Ganglion, arguments: tuple[str, ...], said: str) -> None:
    result = ganglion(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize("command", ["slow", "search", "logs", "errors"])
def test_nothing_is_exit_3_with_where_was_looked(ganglion: Ganglion, command: str) -> None:
    times = ("--since", "2026-11-01", "--until", "2026-11-02 12:00")
    result = ganglion(command, *times)
    what = {"slow": "requests", "search": "requests"}.get(command, command)
    said = f"ganglion: no such {what} from 2026-11-01 00:00:00 to 2026-11-02 12:00:00\n"
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", said)
    result = ganglion(command, *times, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (3, {"items": [], "next": None})


@contextmanager
def tailing(dsn: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Follow logs beside the test; from here on each that is stored is told."""
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [str(BIN / "ganglion"), "tail", *arguments],
        env={**os.environ, "GANGLION_DATABASE_URL": dsn, "TZ": "UTC"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        try:
            with os.fdopen(master, "rb", buffering=0) as told:
                assert told.readline() == b"Following logs; Ctrl-C ends it.\r\n"
                yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "JSON"])
def test_a_list_of_which_nobody_reads_the_end_is_no_failure(postgresql: str, options: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(BIN / "ganglion"), "logs", *DAY, *options]
    environ = {**os.environ, "GANGLION_DATABASE_URL": postgresql}
    ended = subprocess.run(command, env=environ, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_tail_tells_each_log_once_and_ends_quietly(postgresql: str) -> None:
    now = datetime.now(UTC)
    asyncio.run(store(postgresql, Sent("web", [], [log("before", at=now)])))
    with tailing(postgresql, "--json", "--service", "web", "--where", "x>=1") as tail:
        told = [log(f"log {number}", at=now, numbers={"x": number}) for number in range(3)]
        asyncio.run(store(postgresql, Sent("other", [], told), Sent("web", [], told)))
        assert tail.stdout is not None
        lines = [json.loads(tail.stdout.readline()) for _ in range(2)]
        assert sorted(line["message"] for line in lines) == ["log 1", "log 2"]
        assert {line["service_name"] for line in lines} == {"web"}
        tail.send_signal(signal.SIGINT)
        assert tail.wait(10) == 130
        assert tail.stdout.read() == ""


def test_tail_ends_when_nobody_reads_it_any_more(postgresql: str) -> None:
    now = datetime.now(UTC)
    asyncio.run(store(postgresql, Sent("web", [], [log("before", at=now)])))
    with tailing(postgresql) as tail:
        asyncio.run(store(postgresql, Sent("web", [], [log("now", at=now)])))
        assert tail.stdout is not None
        assert tail.stdout.readline().endswith("INFO      web  web.app  now\n")
        tail.stdout.close()
        assert tail.wait(10) == 0
