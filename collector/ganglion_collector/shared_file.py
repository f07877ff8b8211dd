"""SQLite files that several processes have open: a damaged one is moved aside once, by whoever finds it so."""

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path

__all__ = ["CurrentFile", "DamageError", "SharedFile", "connected", "is_damage", "sync_folder"]

_BUSY_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class DamageError(sqlite3.DatabaseError):
    """What SQLite takes for sound and is not: another program's database, or bytes that have changed."""


class SharedFile:
    """An open database; `connect` makes and opens it and fails where it is none, `what` it holds is for the log.

    Only one process at a time connects to a file of its folder: two that make it WAL at once lock each other out.

    Raises:
        sqlite3.Error, OSError: it cannot be opened, and not because it is damaged.
    """

    def __init__(self, path: Path, what: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._what = what
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent) as folder:
            try:
                self.connection = connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._move(folder, error)
                self.connection = connect()
            self._inode = path.stat().st_ino

    @property
    def is_in_place(self) -> bool:
        """Whether who opens the path now gets this file. Raises OSError where that cannot be seen."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Make room for a new file, as this one is damaged; nothing, where another process was first."""
        # While it is open here, no other file can have its inode.
        with _locked(self._path.parent) as folder:
            if self.is_in_place:
                self._move(folder, error)

    def close(self) -> None:
        """Release it. Safe twice."""
        self.connection.close()

    def _move(self, folder: int, error: sqlite3.DatabaseError) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).rename(f"{aside}{suffix}")
        os.fsync(folder)
        _logger.error("%s: %s; the file was moved to %s, a new one begun", self._what, error, aside)


class CurrentFile:
    """Whatever file is at the path when it is used, opened at the first use; see `SharedFile`."""

    def __init__(self, path: Path, what: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._what = what
        self._connect = connect
        self._file: SharedFile | None = None

    @contextlib.contextmanager
    def use(self) -> Generator[sqlite3.Connection]:
        """Yield the database. After an error it is opened anew: another one, where this was damaged."""
        try:
            yield self._opened().connection
        except (sqlite3.Error, OSError) as error:
            if self._file and isinstance(error, sqlite3.DatabaseError) and is_damage(error):
                self._file.move_aside(error)
            self.close()
            raise

    def close(self) -> None:
        """Release it. Safe twice."""
        if self._file:
            self._file.close()
            self._file = None

    def _opened(self) -> SharedFile:
        if self._file and not self._file.is_in_place:
            self.close()
        self._file = self._file or SharedFile(self._path, self._what, self._connect)
        return self._file


def connected(path: Path, script: str) -> sqlite3.Connection:
    """Return a connection that commits each statement by itself, after `script`; for any thread, one at a time.

    A file that is made is its owner's alone.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    try:
        connection.executescript(script)
    except BaseException:
        connection.close()
        raise
    return connection


def is_damage(error: Exception) -> bool:
    """Whether it says that a file is no sound database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, DamageError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def sync_folder(path: Path) -> None:
    """Make durable which files the folder has."""
    with _folder(path) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Generator[int]:
    with _folder(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor


@contextlib.contextmanager
def _folder(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
