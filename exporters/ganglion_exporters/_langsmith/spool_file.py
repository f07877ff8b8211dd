"""The spool's file: one SQLite database, made, opened, and moved aside where it is damaged."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path

from ganglion_collector.errors import RetryableError, StartError

__all__ = ["SpoolFile"]

_APPLICATION = 0x474E4C53
_VERSION = 1
_BUSY_SECONDS = 5.0
_LOG_SIZE = 16 * 1024 * 1024
_SCHEMA = """
CREATE TABLE positions (
    journal TEXT NOT NULL, reader TEXT NOT NULL, sequence INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (journal, reader)
) STRICT, WITHOUT ROWID;
CREATE TABLE traces (
    trace BLOB PRIMARY KEY, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, due_at INTEGER NOT NULL,
    spans INTEGER NOT NULL, logs INTEGER NOT NULL, bytes INTEGER NOT NULL,
    has_root INTEGER NOT NULL, has_phantom INTEGER NOT NULL,
    claimed_at INTEGER, claimed_last INTEGER, claimed_seen INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX traces_due ON traces (due_at);
CREATE TABLE spans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace BLOB NOT NULL, span BLOB NOT NULL, parent BLOB NOT NULL,
    is_root INTEGER NOT NULL, sequence INTEGER NOT NULL, item INTEGER NOT NULL, receiver TEXT NOT NULL,
    received_at INTEGER NOT NULL, context BLOB NOT NULL, size INTEGER NOT NULL, packed INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX spans_key ON spans (trace, span);
CREATE INDEX spans_trace ON spans (trace);
CREATE INDEX spans_roots ON spans (trace) WHERE is_root;
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace BLOB NOT NULL, span BLOB NOT NULL, payload BLOB NOT NULL
) STRICT;
CREATE INDEX logs_trace ON logs (trace);
CREATE TABLE sent (
    trace BLOB NOT NULL, span BLOB NOT NULL, dotted_order TEXT NOT NULL, project TEXT NOT NULL,
    project_id TEXT NOT NULL, synthetic INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (trace, span)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_expiry ON sent (expires_at);
"""

_logger = logging.getLogger(__name__)


class _DamageError(sqlite3.DatabaseError):
    """What SQLite takes for sound and is not: another program's database."""


class SpoolFile:
    """Safe for several threads; one process has it open.

    Raises:
        StartError: it cannot be opened, or a newer version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._opened()
        except (sqlite3.Error, OSError) as error:
            raise StartError(f"cannot use {path}: {error}; make it writable") from error

    @contextlib.contextmanager
    def transaction(self, *, write: bool = False) -> Generator[sqlite3.Connection]:
        """Yield the database; what is done in it is done as one, durably when this returns.

        Raises:
            RetryableError: it cannot be done now (disk full, closed); or the file is damaged, was moved aside, and
                an empty one is there for the next attempt.
        """
        with self._lock:
            try:
                connection = self._connection = self._connection or self._opened()
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                with connection:
                    yield connection
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
                    self._begin_anew(error)
                raise RetryableError(f"{self._path.name} cannot be used: {error}") from error

    def close(self) -> None:
        """Release it. Safe twice; a later use opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            _move_aside(self._path, str(error))
            return _open(self._path)

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        self._close()
        _move_aside(self._path, str(error))


def _open(path: Path) -> sqlite3.Connection:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _sync_folder(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}")
        if not _is_prepared(connection, path):
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_prepared(connection: sqlite3.Connection, path: Path) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _APPLICATION:
        raise _DamageError("the file belongs to another program")
    if version > _VERSION:
        reason = f"{path} was written by a newer version (format {version})"
        raise StartError(f"{reason}; run that version, or move the file away to begin anew")
    return bool(tables)


def _move_aside(path: Path, reason: str) -> None:
    aside = f"{path.name}.damaged-{time.time_ns()}"
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(aside + suffix))
    _sync_folder(path.parent)
    _logger.error("spool: %s; the file was moved to %s, a new one begun", reason, path.with_name(aside))


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, _DamageError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
