"""Dead letters: each kept once, whoever crashes, and never in a worker's way."""

import contextlib
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from ganglion_collector.component import Record, Signal, Source
from ganglion_collector.dead_letters import DeadLetter, DeadLetters
from ganglion_collector.errors import RetryableError

JOURNAL = UUID(int=7)
RECORD = Record(3, Signal.LOGS, "otlp", 1_795_000_000_000_000_000, 1, b"payload", {"tenant": "Łódź"}, first_item=2)
LETTER = DeadLetter.of(RECORD, Source(JOURNAL, "logs/postgresql"), "no such column", 1_795_000_001_000_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "dead-letters.sqlite"


@pytest.fixture
def letters(path: Path) -> Iterator[DeadLetters]:
    letters = DeadLetters(path)
    yield letters
    letters.close()


def numbered(count: int) -> list[DeadLetter]:
    return [replace(LETTER, sequence=number, failed_at=LETTER.failed_at + number // 2) for number in range(count)]


def test_letter_comes_back_as_it_was_put(letters: DeadLetters) -> None:
    assert letters.put(LETTER)
    assert letters.get(LETTER.id) == LETTER
    assert LETTER.record() == replace(RECORD, sequence=0, first_item=0)


def test_same_place_is_kept_once(letters: DeadLetters) -> None:
    letters.put(LETTER)
    assert not letters.put(replace(LETTER, reason="the second attempt", failed_at=LETTER.failed_at + 1))
    assert letters.count() == 1
    assert letters.get(LETTER.id) == LETTER


@pytest.mark.parametrize(
    "other",
    [
        replace(LETTER, journal=UUID(int=8)),
        replace(LETTER, reader="logs/otlp"),
        replace(LETTER, sequence=4),
        replace(LETTER, item=3),
    ],
)
def test_another_place_is_another_letter(letters: DeadLetters, other: DeadLetter) -> None:
    assert letters.put(LETTER)
    assert letters.put(other)
    assert letters.count() == 2


def test_id_is_short_and_stable() -> None:
    assert LETTER.id == replace(LETTER, reason="other", payload=b"other").id
    assert len(LETTER.id) == 12


def test_list_pages_in_the_order_of_failure(letters: DeadLetters) -> None:
    for letter in numbered(25):
        letters.put(letter)
    pages = []
    page = letters.list(limit=10)
    while page:
        pages.append(page)
        page = letters.list(limit=10, after=page[-1].id)
    found = [letter for page in pages for letter in page]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({letter.id for letter in found}) == 25
    assert [letter.failed_at for letter in found] == sorted(letter.failed_at for letter in found)
    assert found[0].size == len(LETTER.payload)


def test_list_filters_by_reader_and_signal(letters: DeadLetters) -> None:
    span = replace(LETTER, signal=Signal.TRACES, reader="traces/postgresql")
    letters.put(LETTER)
    letters.put(span)
    assert [letter.id for letter in letters.list(signal=Signal.TRACES)] == [span.id]
    assert [letter.id for letter in letters.list(reader="logs/postgresql")] == [LETTER.id]
    assert not letters.list(reader="logs/postgresql", signal=Signal.TRACES)


def test_deleted_letter_is_gone(letters: DeadLetters) -> None:
    letters.put(LETTER)
    assert letters.delete(LETTER.id)
    assert not letters.delete(LETTER.id)
    assert letters.get(LETTER.id) is None
    assert letters.count() == 0


def test_reason_with_a_lone_surrogate_is_kept(letters: DeadLetters) -> None:
    letters.put(replace(LETTER, reason="bad \ud800 text\0"))
    found = letters.get(LETTER.id)
    assert found
    assert found.reason == "bad ? text\0"


OPENS = """
import sys
from pathlib import Path
from ganglion_collector.dead_letters import DeadLetters

for line in sys.stdin:
    letters = DeadLetters(Path(line.strip()))
    letters.count()
    letters.close()
    print(flush=True)
"""


def test_processes_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite refuses one of two that make a file WAL at once, without the patience it has otherwise."""
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
            )
            for _ in range(6)
        ]
        for home in range(60):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{tmp_path / str(home) / 'dead-letters.sqlite'}\n")
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "\n"


def test_several_workers_may_put_at_once(path: Path) -> None:
    def work(reader: str) -> None:
        letters = DeadLetters(path)
        for letter in numbered(20):
            letters.put(replace(letter, reader=reader))
        letters.close()

    threads = [threading.Thread(target=work, args=(f"logs/{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    letters = DeadLetters(path)
    assert letters.count() == 80
    letters.close()


@pytest.mark.parametrize("content", [b"this is no database at all, but text" * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_damaged_file_is_moved_aside_and_said(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    letters = DeadLetters(path)
    assert letters.put(LETTER)
    assert letters.count() == 1
    (aside,) = path.parent.glob("*.damaged-*[0-9]")
    assert aside.read_bytes() == content
    assert str(aside) in caplog.text
    letters.close()


def test_file_damaged_while_open_is_retried_on_a_new_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    letters = DeadLetters(path)
    for letter in numbered(300):
        letters.put(letter)
    letters.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(RetryableError):
        letters.put(LETTER)
    assert letters.put(LETTER)
    assert letters.count() == 1
    assert "moved to" in caplog.text
    letters.close()


def test_locked_file_is_retryable(path: Path, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganglion_collector.shared_file._BUSY_SECONDS", 0.05)
    letters.put(LETTER)
    letters.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RetryableError, match="locked"):
        letters.put(replace(LETTER, item=9))
    other.execute("ROLLBACK")
    other.close()
    assert letters.put(replace(LETTER, item=9))


_WITHOUT_ROOM = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.errors import RetryableError
from tests.collector.test_dead_letters import LETTER
letters = DeadLetters(Path(sys.argv[1]))
letters.put(LETTER)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
large = replace(LETTER, item=1, payload=bytes(500_000))
try:
    letters.put(large)
except RetryableError as error:
    print("retryable")
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(letters.put(large), letters.count(), letters.get(LETTER.id) == LETTER)
"""


def test_no_room_is_retryable_and_loses_nothing(path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    command = [sys.executable, "-c", _WITHOUT_ROOM, str(path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    assert done.stdout.splitlines() == ["retryable", "True 2 True"]


def test_folder_that_cannot_be_made_is_retryable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RetryableError):
        DeadLetters(tmp_path / "file" / "dead-letters.sqlite").put(LETTER)


def test_letters_come_into_the_file_that_took_the_place_of_theirs(path: Path, letters: DeadLetters) -> None:
    first, second, third = numbered(3)
    with contextlib.closing(DeadLetters(path)) as other:
        other.put(first)
        letters.put(first)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).rename(path.with_name(f"away{suffix}"))
        other.put(second)

        letters.put(third)

        assert [letter.id for letter in other.list()] == [second.id, third.id]
