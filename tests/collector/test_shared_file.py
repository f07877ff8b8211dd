"""A SQLite file of several processes: damaged, it is moved aside by one of them, and all go on with one new file."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from ganglion_collector.shared_file import SharedFile, connected, is_damage

DAMAGE = b"damaged" * 1000
Opener = Callable[[], SharedFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "shared.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Opener]:
    files = list[SharedFile]()

    script = "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS words (word)"

    def opener() -> SharedFile:
        files.append(SharedFile(path, "words", lambda: connected(path, script)))
        return files[-1]

    yield opener
    for file in files:
        file.close()


def _words(file: SharedFile) -> list[str]:
    return [word for (word,) in file.connection.execute("SELECT word FROM words ORDER BY word")]


def _asides(path: Path) -> list[Path]:
    return [file for file in path.parent.glob("*.damaged-*") if not file.name.endswith(("-wal", "-shm"))]


def test_many_that_find_it_damaged_at_once_share_one_new_file(path: Path, opened: Opener) -> None:
    path.parent.mkdir()
    path.write_bytes(DAMAGE)
    together = Barrier(8)

    def write(word: str) -> SharedFile:
        together.wait()
        file = opened()
        file.connection.execute("INSERT INTO words VALUES (?)", (word,))
        return file

    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(write, "abcdefgh"))

    assert [file.read_bytes() for file in _asides(path)] == [DAMAGE]
    assert all(_words(file) == list("abcdefgh") for file in files)


def test_what_another_began_anew_is_not_moved_aside(path: Path, opened: Opener) -> None:
    first, second, error = opened(), opened(), sqlite3.DatabaseError("malformed")
    first.move_aside(error)
    anew = opened()
    anew.connection.execute("INSERT INTO words VALUES ('new')")

    second.move_aside(error)

    assert len(_asides(path)) == 1
    assert [first.is_in_place, second.is_in_place, anew.is_in_place] == [False, False, True]
    assert _words(opened()) == ["new"]


def test_what_is_closed_after_it_was_moved_leaves_the_new_file_alone(path: Path, opened: Opener) -> None:
    old = opened()
    old.connection.execute("INSERT INTO words VALUES ('old')")
    old.move_aside(sqlite3.DatabaseError("malformed"))
    anew = opened()
    anew.connection.execute("INSERT INTO words VALUES ('new')")

    old.close()

    assert path.with_name(f"{path.name}-wal").exists()
    assert _words(opened()) == ["new"]


def test_what_cannot_be_opened_for_another_reason_stays(path: Path) -> None:
    def connect() -> sqlite3.Connection:
        raise sqlite3.OperationalError("database is locked")

    path.parent.mkdir()
    path.write_bytes(b"here")
    with pytest.raises(sqlite3.OperationalError):
        SharedFile(path, "words", connect)
    assert path.read_bytes() == b"here"


def test_only_damage_is_damage() -> None:
    with pytest.raises(sqlite3.OperationalError) as found:
        sqlite3.connect(":memory:").execute("nonsense")
    assert not is_damage(found.value)
    assert not is_damage(OSError())


def test_what_is_made_is_its_owners_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(connected(path, "PRAGMA journal_mode = WAL; CREATE TABLE words (word)")):
        made = {file.name.removeprefix(path.name): file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert made == {"": 0o600, "-wal": 0o600, "-shm": 0o600}
