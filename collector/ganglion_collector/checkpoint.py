"""What a worker remembers, on disk: states of its components with the positions that they stand for.

    state ──┐
    positions ─┤ one transaction ──▶ <home>/state/<key>.sqlite
    output ─┘    (a connector's: what `flush` returned, see `ganglion_collector.derived`)

The transaction is durable when `save` returns (SQLite, WAL, `synchronous=FULL`): kill -9 and a power cut leave the
state before it or the one after it, with the positions and the output that belong to it. The journal learns of the
positions only after that, so it keeps all that is needed to go on from what is saved.

Without its file (deleted, damaged) a worker goes on from the positions that the journal knows, with empty states: what
lies before them is counted no more, and what comes after them is counted once.
"""

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID
from zlib import crc32

from ganglion_collector.component import Derived, Position, Source
from ganglion_collector.derived import ReaderPositions, append_records, trim_records
from ganglion_collector.errors import JournalLostError, RetryableError
from ganglion_collector.shared_file import DamageError
from ganglion_collector.state_file import StateFile

__all__ = ["Checkpoint", "Saved"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved last: states by component, positions by reader."""

    states: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    positions: Mapping[Source, Position] = field(default_factory=dict[Source, Position])


class Checkpoint:
    """The file of the worker called `owner`.

    `quota_bytes` is the most that waits in its derived stream for the slowest of `readers`. A single larger flush is
    taken when nothing waits.

    Raises:
        StartError: the file cannot be used.
    """

    def __init__(self, path: Path, owner: str, *, quota_bytes: int = 0, readers: Collection[str] = ()) -> None:
        self._path = path
        self._owner = owner
        self._readers = readers
        self._quota = quota_bytes
        self._open()

    def _open(self) -> None:
        self._file = StateFile(self._path, self._owner)
        self._positions = ReaderPositions(self._path, self._file.identity) if self._readers else None
        self._size = 0

    @property
    def stream_bytes(self) -> int:
        """How much is in the derived stream."""
        return self._size

    def load(self) -> Saved:
        """Return what was saved last: nothing, if the file turns out to be damaged. Call it before `save`."""
        try:
            return self._load()
        except JournalLostError:
            self.close()
            self._open()
            return Saved()

    def _load(self) -> Saved:
        with self._file.transaction() as database:
            (self._size,) = database.execute("SELECT coalesce(sum(size), 0) FROM records").fetchone()
            states = {name: _sound(state, crc) for name, crc, state in database.execute("SELECT * FROM states")}
            rows = database.execute("SELECT journal, reader, sequence, item FROM positions").fetchall()
        positions = {
            Source(UUID(journal), reader): Position(sequence, item) for journal, reader, sequence, item in rows
        }
        return Saved(states, positions)

    def save(
        self, states: Mapping[str, bytes], positions: Mapping[Source, Position], output: Sequence[Derived] = ()
    ) -> None:
        """Save all of it or nothing, durably; blocking. Positions in other journals than `positions` are dropped.

        Raises:
            RetryableError: not now: the derived stream is full, or the disk does not take it.
            JournalLostError: the file was taken away.
        """
        slowest = self._slowest()
        more = sum(len(derived.payload) for derived in output)
        with self._file.transaction(write=True) as database:
            size = self._size - trim_records(database, slowest)
            if more and size and size + more > self._quota:
                raise RetryableError("the derived stream is full: exporters of what is made here are behind")
            append_records(database, output, time.time_ns())
            _replace(database, states, positions)
        self._size = size + more

    def close(self) -> None:
        """Release the file. Safe twice."""
        self._file.close()
        if self._positions:
            self._positions.close()

    def _slowest(self) -> int:
        if self._positions is None:
            return 0
        known = self._positions.all()
        return min(known.get(reader, Position()).sequence for reader in self._readers)


def _sound(state: bytes, crc: int) -> bytes:
    if crc32(state) != crc:
        raise DamageError("a state is not as it was written")
    return state


def _replace(database: sqlite3.Connection, states: Mapping[str, bytes], positions: Mapping[Source, Position]) -> None:
    database.execute("DELETE FROM states")
    database.executemany(
        "INSERT INTO states VALUES (?, ?, ?)", [(name, crc32(state), state) for name, state in states.items()]
    )
    # Those of a pipeline that left the configuration stay while their journal does: it may come back.
    journals = sorted({str(source.journal) for source in positions})
    known = ", ".join("?" * len(journals))
    database.execute(f"DELETE FROM positions WHERE journal NOT IN ({known})", journals)  # noqa: S608 (only marks)
    rows = [(str(source.journal), source.reader, at.sequence, at.item) for source, at in positions.items()]
    database.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", rows)
