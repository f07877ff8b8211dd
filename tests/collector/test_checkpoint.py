"""What a worker remembers on disk: whole, durable, private; and what happens to a file that is not ours."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest
from ganglion_collector.checkpoint import Checkpoint, Saved
from ganglion_collector.component import Derived, Position, Source
from ganglion_collector.derived import DerivedReader
from ganglion_collector.errors import JournalLostError, RetryableError, StartError
from ganglion_collector.otlp import Signal
from ganglion_collector.state_file import states_left_behind

from tests.collector.notebook import logs_payload

HERE, THERE = Source(uuid4(), "logs/a"), Source(uuid4(), "logs/a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "key.sqlite"


@pytest.fixture
def checkpoint(path: Path) -> Iterator[Checkpoint]:
    with closing(Checkpoint(path, "ledger")) as made:
        yield made


def _load(path: Path) -> Saved:
    with closing(Checkpoint(path, "ledger")) as other:
        return other.load()


def test_what_was_saved_last_is_loaded(checkpoint: Checkpoint, path: Path) -> None:
    assert checkpoint.load() == Saved()
    checkpoint.save({"a": b"1", "b": b""}, {HERE: Position(3, 4)})
    checkpoint.save({"a": b"2"}, {HERE: Position(5)})
    assert _load(path) == Saved({"a": b"2"}, {HERE: Position(5)})


def test_position_of_a_lost_journal_is_dropped_and_of_another_pipeline_kept(checkpoint: Checkpoint, path: Path) -> None:
    other = Source(HERE.journal, "logs/b")
    checkpoint.save({}, {HERE: Position(1), THERE: Position(9), other: Position(2)})
    checkpoint.save({}, {HERE: Position(2)})
    assert _load(path).positions == {HERE: Position(2), other: Position(2)}


def test_file_is_private(checkpoint: Checkpoint, path: Path) -> None:
    checkpoint.save({}, {HERE: Position(1)})
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "content",
    [b"x" * 10_000, b"SQLite format 3\0" + os.urandom(8_000), b"", b"SQLite"],
    ids=["text", "torn header", "empty", "short"],
)
def test_damaged_file_is_moved_aside_and_said(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert _load(path) == Saved()
    aside = list(path.parent.glob("*.damaged-*"))
    assert [file.read_bytes() for file in aside] == ([content] if content else [])
    assert ("moved to" in caplog.text) is bool(content)


def test_database_of_another_program_is_moved_aside_whole(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE theirs (a)")
    assert _load(path) == Saved()
    (aside,) = path.parent.glob("*.damaged-*")
    with closing(sqlite3.connect(aside)) as foreign:
        assert foreign.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


@pytest.mark.parametrize("where", ["state", "everything"])
def test_damage_within_is_moved_aside_at_the_latest_when_it_is_loaded(path: Path, where: str) -> None:
    checkpoint = Checkpoint(path, "ledger")
    checkpoint.save({"a": b"x" * 100_000}, {HERE: Position(1)})
    checkpoint.close()
    start = path.read_bytes().rindex(b"x" * 1000) if where == "state" else 4096
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(1000 if where == "state" else path.stat().st_size - 4096))
    assert _load(path) == Saved()
    assert len([file for file in path.parent.glob("*.damaged-*") if file.name[-1].isdigit()]) == 1
    with closing(Checkpoint(path, "ledger")) as anew:
        anew.load()
        anew.save({"a": b"1"}, {HERE: Position(1)})
    assert _load(path).states == {"a": b"1"}


def test_file_of_a_newer_version_is_refused_and_left_alone(checkpoint: Checkpoint, path: Path) -> None:
    checkpoint.close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 9")
    with pytest.raises(StartError, match="newer version"):
        Checkpoint(path, "ledger")
    assert list(path.parent.glob("*.damaged-*")) == []


def test_file_that_was_taken_away_is_noticed_at_the_next_save(checkpoint: Checkpoint, path: Path) -> None:
    path.unlink()
    with pytest.raises(JournalLostError, match="deleted"):
        checkpoint.save({}, {HERE: Position(1)})


def test_file_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(StartError, match="cannot use"):
        Checkpoint(tmp_path / "state" / "key.sqlite", "ledger")


def test_locked_file_is_retryable_and_the_state_before_stays(checkpoint: Checkpoint, path: Path) -> None:
    checkpoint.save({"a": b"1"}, {HERE: Position(1)})
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryableError, match="locked"):
            checkpoint.save({"a": b"2"}, {HERE: Position(2)})
    assert _load(path).states == {"a": b"1"}


_SAVING = """\
import sys, uuid
from pathlib import Path
from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import Derived, Position, Signal, Source
checkpoint = Checkpoint(Path(sys.argv[1]), "tally", quota_bytes=1 << 40, readers=["r"])
source = Source(uuid.UUID(sys.argv[2]), "logs/a")
number = checkpoint.load().positions.get(source, Position()).sequence
while True:
    number += 1
    state = str(number).encode() * 50_000
    checkpoint.save({"a": state}, {source: Position(number)}, [Derived(Signal.LOGS, 1, str(number).encode())])
    print(number, flush=True)
"""


def test_killed_at_any_moment_state_positions_and_output_belong_together(path: Path) -> None:
    for attempt in range(5):
        argv = [sys.executable, "-c", _SAVING, str(path), str(HERE.journal)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as saving:
            assert saving.stdout is not None
            told = [int(saving.stdout.readline()) for _ in range(3)]
            time.sleep(0.003 * attempt)  # the moment is what is tried
            saving.kill()
            told += [int(line) for line in saving.stdout]
        saved = _load(path)
        (position,) = saved.positions.values()
        assert position.sequence in (told[-1], told[-1] + 1)
        assert saved.states["a"] == str(position.sequence).encode() * 50_000
        with closing(sqlite3.connect(path)) as database:
            output = [int(payload) for (payload,) in database.execute("SELECT payload FROM records ORDER BY sequence")]
        assert output == list(range(1, position.sequence + 1))


def test_file_of_a_component_that_left_the_configuration_is_told_with_its_output(path: Path) -> None:
    derived = Derived(Signal.LOGS, 1, logs_payload("a"))
    with closing(Checkpoint(path, "tally", quota_bytes=1 << 20, readers=["logs/a"])) as checkpoint:
        checkpoint.save({}, {HERE: Position(1)}, [derived, derived])
    assert list(states_left_behind(path.parent, ["other.sqlite"])) == [("tally", 2)]
    assert list(states_left_behind(path.parent, [path.name])) == []
    assert list(states_left_behind(path.parent / "none", [])) == []


def _identity(path: Path) -> str:
    with closing(DerivedReader(path, "tally", "r")) as reader:
        reader.commit(Position(1))
        return str(reader.identity)


def test_processes_that_open_a_new_file_at_once_have_the_same_one(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for number in range(10):
            path = tmp_path / f"{number}" / "key.sqlite"
            assert len(set(pool.map(_identity, [path] * 4))) == 1
