"""One SQLite file of a worker that remembers: opened by its owner and by the readers of its derived stream.

A file that is no sound database, or another program's, is moved aside by whoever finds it so, and said; who has it open
learns that it is gone (`JournalLostError`) and begins anew with the file that takes its place.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

from ganglion_collector.errors import JournalLostError, RetryableError, StartError
from ganglion_collector.shared_file import DamageError, SharedFile, connected, is_damage, sync_folder

__all__ = ["READERS_SUFFIX", "StateFile", "states_left_behind"]

READERS_SUFFIX = ".readers.sqlite"
"""Ends the name of the file with the positions of a stream's readers, beside the stream's."""

_APPLICATION = 0x474E474C
_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE states (name TEXT PRIMARY KEY, crc INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
CREATE TABLE positions (
    journal TEXT NOT NULL, reader TEXT NOT NULL, sequence INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (journal, reader)
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, received_at INTEGER NOT NULL,
    item_count INTEGER NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL
) STRICT;
"""


class StateFile:
    """An open state file; `owner` names the component when it is made. Its methods may run in any one thread at a time.

    Raises:
        StartError: it cannot be opened, or a newer version wrote it.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        try:
            self._shared = SharedFile(path, "state", self._connect)
        except (sqlite3.Error, OSError) as error:
            raise StartError(f"cannot use {path}: {error}; make it writable") from error

    def _connect(self) -> sqlite3.Connection:
        connection, meta = _open(self.path, self.owner)
        self.identity = UUID(meta["identity"])
        self.owner = meta["owner"]
        return connection

    @contextlib.contextmanager
    def transaction(self, *, write: bool = False) -> Generator[sqlite3.Connection]:
        """Yield the database; what is done in it is done as one, durably when this returns.

        Raises:
            RetryableError: it cannot be done now (disk full, locked).
            JournalLostError: the file was taken away, or is damaged and was moved aside.
        """
        if write:
            self.check_in_place()
        try:
            connection = self._shared.connection
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            with connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
                self._shared.move_aside(error)
                raise JournalLostError(f"{self.path} is damaged: {error}") from error
            raise RetryableError(f"{self.path.name} cannot be used: {error}") from error

    def check_in_place(self) -> None:
        """Raise JournalLostError when the file is not the one that was opened."""
        try:
            here = self._shared.is_in_place
        except OSError as error:
            raise RetryableError(f"{self.path.name} cannot be looked at: {error}") from error
        if not here:
            raise JournalLostError(f"{self.path} was deleted, moved or replaced while in use")

    def close(self) -> None:
        """Release it. Safe twice."""
        self._shared.close()


def states_left_behind(folder: Path, configured: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield whose files in `folder` have no name of `configured`, and how many records of output wait in each."""
    for path in sorted(folder.glob("*.sqlite")):
        if path.name in configured or path.name.endswith(READERS_SUFFIX):
            continue
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            (owner,) = connection.execute("SELECT value FROM meta WHERE key = 'owner'").fetchone()
            (waiting,) = connection.execute("SELECT count(*) FROM records").fetchone()
            yield owner, waiting


def _open(path: Path, owner: str) -> tuple[sqlite3.Connection, dict[str, str]]:
    _make(path)
    connection = connected(path, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    try:
        if not _is_prepared(connection, path):
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                _prepare(connection, path, owner)
        meta = dict[str, str](connection.execute("SELECT key, value FROM meta").fetchall())
    except BaseException:
        connection.close()
        raise
    return connection, meta


def _make(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)


def _is_prepared(connection: sqlite3.Connection, path: Path) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _APPLICATION:
        raise DamageError("the file belongs to another program")
    if version > _VERSION:
        reason = f"{path} was written by a newer version (format {version})"
        raise StartError(f"{reason}; run that version, or move the file away to begin anew")
    return bool(tables)


def _prepare(connection: sqlite3.Connection, path: Path, owner: str) -> None:
    if _is_prepared(connection, path):  # another process was first
        return
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    rows = [("identity", str(uuid4())), ("owner", owner)]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
