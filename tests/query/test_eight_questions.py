"""The eight questions, put to real traffic of the RAG service with causes planted: each answer names its cause."""

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from examples.planted_causes import BEFORE, CHANGED, FAILING_USER, SERVICE, Planted, plant
from examples.rag_service.documents import parse
from examples.rag_service.ingestion import cut
from examples.rag_service.models import EMBEDDING
from examples.running import BIN
from tests.fix_collector import RunningCollector, eventually, simple
from tests.fix_postgresql import fresh_database
from tests.query.questions_document import DOCUMENT, rewritten, shown, stable_lines
from tests.query.telemetry import Sent, span, store

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command answered."""

    code: int
    text: str
    told: str

    @property
    def words(self) -> str:
        """The answer as one line, however it was wrapped."""
        return " ".join(self.text.split())

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Ganglion:
    """The command line on the database that holds the traffic, beside its running collector."""

    planted: Planted
    dsn: str
    home: Path

    def __call__(self, *arguments: str) -> Asked:
        environ = {**os.environ, "GANGLION_DATABASE_URL": self.dsn, "GANGLION_HOME": str(self.home)}
        environ |= {"TZ": "UTC", "COLUMNS": "100"}
        command = [str(BIN / "ganglion"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)
        return Asked(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def database(postgresql_server: str) -> Iterator[str]:
    with fresh_database(postgresql_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def ganglion(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ganglion]:
    folder = tmp_path_factory.mktemp("questions")
    text = simple(f"{{postgresql: {{dsn: {json.dumps(database)}}}}}", "logs: [postgresql]", "traces: [postgresql]")
    collector = RunningCollector(text, folder / "home")
    try:
        collector.start()
        planted = plant({"otlp/grpc": collector.address("otlp/grpc")})
        eventually(lambda: _is_stored(database, planted), timeout=30)
        asyncio.run(store(database, _hours_before(planted.began)))
        yield Ganglion(planted, database, folder / "home")
    finally:
        collector.close()


def _hours_before(began: datetime) -> Sent:
    """The service without trouble, so that there is something to hold the last minutes against."""
    times = [began - timedelta(hours=3, seconds=number) for number in range(60)]
    spans = [
        span("GET /documents", number, at=at, ms=12, trace_id=f"{number:032x}") for number, at in enumerate(times, 1)
    ]
    return Sent(SERVICE, spans)


def _is_stored(database: str, planted: Planted) -> bool:
    """The last of each kind is there: the end of the process in the logs, the last request in the spans."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM logs WHERE message LIKE 'Finished server process%%'),"
            " (SELECT count(*) FROM spans WHERE name = 'POST /ask' AND status = 'ERROR' AND start_time >= %s)",
            [planted.failing],
        ).fetchone()
    return row is not None and row >= (2, planted.refused)


def test_1_why_was_upload_x_slow(ganglion: Ganglion) -> None:
    """Planted: the parser waits."""
    answer = ganglion("explain", ganglion.planted.slow_upload)
    outcome, _, verdict = answer.text.partition("\n")
    assert answer.code == 0, answer.told
    assert outcome.startswith(f"slow  {ganglion.planted.slow_upload}")
    assert verdict.startswith("Slow: file_parsing took 1.2")
    found = ganglion("explain", ganglion.planted.slow_upload, "--json").json
    assert found["outcome"] == "slow"
    assert max(found["critical_path"], key=lambda step: step["duration_ms"])["name"] == "file_parsing"
    listed = ganglion("slow", "--over", "1s", "--operation", "POST /documents", "--json").json["items"]
    assert [one["trace_id"] for one in listed][:1] == [ganglion.planted.slow_upload]


def test_2_what_errors_did_user_y_see(ganglion: Ganglion) -> None:
    """Planted: a model without room, a tenant without tokens, a store that refuses, for one user."""
    until = ganglion.planted.changed.isoformat()
    answer = ganglion("errors", "--user", FAILING_USER, "--until", until)
    assert answer.code == 0, answer.told
    for cause in ("TokenBudgetError", "RateLimitedError", "StoreUnavailableError"):
        assert cause in answer.text
    assert {one.partition("user=")[2].split()[0] for one in answer.text.splitlines() if "user=" in one} == {
        FAILING_USER
    }
    nobody = ganglion("errors", "--user", "ada", "--until", until)
    assert (nobody.code, nobody.text) == (3, "")


def test_3_when_did_quality_drop(ganglion: Ganglion) -> None:
    """Planted: the new version's model adds a sentence that no document holds."""
    answer = ganglion("quality", "--since", ganglion.planted.began.isoformat())
    assert answer.code == 0, answer.told
    assert answer.text.startswith("faithfulness fell from ")
    assert "ganglion changes --at" in answer.text
    found = ganglion("quality", "--since", ganglion.planted.began.isoformat(), "--json").json
    (drop,) = [one["drop"] for one in found["trends"] if one["metric"] == "faithfulness"]
    assert ganglion.planted.changed < datetime.fromisoformat(drop["at"]) < ganglion.planted.failing
    assert drop["before"] - drop["after"] > 0.3


def test_4_what_did_this_upload_cost(ganglion: Ganglion) -> None:
    """Known: each token of each chunk has its price."""
    path = ganglion.planted.usual_file
    chunks = [chunk for document in parse(path.name, path.read_bytes()) for chunk in cut(document)]
    tokens = sum(chunk.tokens for chunk in chunks)
    found = ganglion("cost", "--trace", ganglion.planted.usual_upload, "--json").json
    assert found["usd"] == pytest.approx(EMBEDDING.cost_usd(tokens))
    assert [(one["name"], one["tokens"]) for one in found["groups"]] == [(EMBEDDING.name, tokens)]
    shown = ganglion("cost", "--trace", ganglion.planted.usual_upload)
    assert f"${EMBEDDING.cost_usd(tokens):.7f}" in shown.text
    assert f"{tokens:,} tokens" in shown.text


def test_5_what_changed_at_3_pm(ganglion: Ganglion) -> None:
    """Planted: another version of the service, with another model."""
    answer = ganglion("changes", "--at", ganglion.planted.changed.isoformat())
    assert answer.code == 0, answer.told
    first = answer.words.partition(" 1. ")[2].partition(" 2. ")[0]
    assert f"{SERVICE} runs version {CHANGED.version}" in first
    assert f"before {BEFORE.version}" in first
    assert f"the model {CHANGED.model}" in answer.words
    assert "ganglion compare --by service.version" in answer.text


def test_6_why_are_we_getting_errors_now(ganglion: Ganglion) -> None:
    """Planted: the store refuses every connection."""
    answer = ganglion("errors", "--why", "--since", ganglion.planted.failing.isoformat())
    assert answer.code == 0, answer.told
    verdict = f"the store refused the connection at data.query of {SERVICE} ({ganglion.planted.refused})"
    assert f"StoreUnavailableError: {verdict}" in answer.words


def test_7_should_i_increase_the_chunk_size(ganglion: Ganglion) -> None:
    """Planted: the larger chunks came with the model that costs less and invents."""
    wanted = ("compare", "--by", "chunk_size", "--until", ganglion.planted.failing.isoformat())
    answer = ganglion(*wanted)
    assert answer.code == 0, answer.told
    assert "chunk_size 160 costs more than 480" in answer.words
    assert "chunk_size 160 is better than 480: " in answer.words
    found = ganglion(*wanted, "--json").json
    assert [one["value"] for one in found["groups"]] == ["160", "480"]
    assert all(one["p50_ms"]["low"] <= one["p50_ms"]["value"] <= one["p50_ms"]["high"] for one in found["groups"])
    before, after = (one["scores"]["faithfulness"] for one in found["groups"])
    assert after["high"] < before["low"]


def test_8_is_the_system_healthy(ganglion: Ganglion) -> None:
    """Planted: a service more of whose requests fail, while every part of the collector works."""
    answer = ganglion("health")
    found = ganglion("health", "--json").json
    parts = {one["name"]: one["state"] for one in found["parts"]}
    (service,) = [one for one in found["services"] if one["service"] == SERVICE]
    assert parts["database"] == "healthy"
    assert set(parts.values()) == {"healthy"}
    assert service["state"] == "degraded"
    assert answer.text.startswith(f"! degraded  {SERVICE}: ")
    assert "of requests fail, usually 0 %" in answer.words
    assert answer.code == 0


def test_the_document_shows_such_answers(ganglion: Ganglion) -> None:
    """GANGLION_TEST_REWRITE=1 puts the answers of now into docs/questions.md."""
    answers = {one.asked: ganglion(*shlex.split(one.command(ganglion.planted))) for one in shown()}
    assert [one.told for one in answers.values() if one.code] == []
    if os.environ.get("GANGLION_TEST_REWRITE"):
        text = rewritten(ganglion.planted, {asked: answer.text for asked, answer in answers.items()})
        DOCUMENT.write_text(text, encoding="utf-8")
    missing = {one.asked: [*stable_lines(one.answer)] for one in shown()}
    for asked, answer in answers.items():
        there = set(stable_lines(answer.text))
        missing[asked] = [line for line in missing[asked] if line not in there]
    assert not any(missing.values()), missing
    assert len(answers) >= 8


def test_a_time_long_past_says_that_nothing_is_there(ganglion: Ganglion) -> None:
    last_week = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    for question in (("changes", "--at", last_week), ("slow", "--until", last_week, "--since", "8d")):
        answer = ganglion(*question)
        assert (answer.code, answer.text) == (3, "")
        assert answer.told.startswith("ganglion: no such requests from ")
