"""Derived streams: what connectors make, durable, read by workers as a journal is.

    connector ──save──▶ [ oldest … newest ] ──read──▶ workers of pipelines that name it as a receiver
                             ▲ trim behind the slowest configured reader, at the next save

The records lie in the connector's state file, so that they, the state after them and the positions before them are
saved as one (`ganglion_collector.checkpoint`). Sequences grow for ever; freed pages are reused. The positions of the
readers lie in a file beside it, without fsync, as those in the journal do: a killed process loses none, a power cut may
set one back, and delivery at least once repeats what lies between. A reader with a state has its own positions.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from ganglion_collector.component import BatchBounds, Derived, Position, Record
from ganglion_collector.errors import RetryableError
from ganglion_collector.otlp import Signal
from ganglion_collector.shared_file import CurrentFile, connected
from ganglion_collector.state_file import READERS_SUFFIX, StateFile

__all__ = ["DerivedReader", "ReaderPositions", "append_records", "trim_records"]

_POSITIONS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS positions (
    stream TEXT NOT NULL, reader TEXT NOT NULL, sequence INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (stream, reader)
) STRICT, WITHOUT ROWID
"""
_FOUND = """
SELECT sequence, received_at, item_count, size FROM records WHERE sequence >= ? AND signal = ? ORDER BY sequence
"""


def append_records(database: sqlite3.Connection, output: Iterable[Derived], made_at: int) -> None:
    """Append requests; `made_at` is Unix nanoseconds."""
    rows = [(one.signal, made_at, one.item_count, len(one.payload), one.payload) for one in output]
    database.executemany(
        "INSERT INTO records (signal, received_at, item_count, size, payload) VALUES (?, ?, ?, ?, ?)", rows
    )


def trim_records(database: sqlite3.Connection, before: int) -> int:
    """Delete the records before sequence `before`; return how many bytes of payload they had."""
    freed = database.execute("SELECT coalesce(sum(size), 0) FROM records WHERE sequence < ?", (before,)).fetchone()
    database.execute("DELETE FROM records WHERE sequence < ?", (before,))
    return int(freed[0])


class ReaderPositions:
    """The positions of the readers of one stream; several processes may have it open."""

    def __init__(self, stream_file: Path, stream: UUID) -> None:
        path = stream_file.with_suffix(READERS_SUFFIX)
        self._file = CurrentFile(path, "positions of readers", lambda: connected(path, _POSITIONS))
        self._stream = str(stream)

    def all(self) -> Mapping[str, Position]:
        """Return every reader's position. Raises RetryableError while the file cannot be read."""
        rows = self._execute("SELECT reader, sequence, item FROM positions WHERE stream = ?", (self._stream,))
        return {reader: Position(sequence, item) for reader, sequence, item in rows}

    def commit(self, reader: str, position: Position) -> None:
        """Remember it. Raises RetryableError when the disk does not take it."""
        row = (self._stream, reader, position.sequence, position.item)
        self._execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        """Release the file. Safe twice."""
        self._file.close()

    def _execute(self, statement: str, parameters: Sequence[str | int]) -> list[tuple[str, int, int]]:
        try:
            # Nothing but positions is in it: without them the readers begin at the oldest record that is there.
            with self._file.use() as database:
                return database.execute(statement, parameters).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise RetryableError(f"the positions in the derived stream cannot be used: {error}") from error


class DerivedReader:
    """Reads the stream of the connector `owner` in the file at `path`; a `JournalReader`.

    It may be opened before the connector's process makes anything. Records name the connector as their receiver.

    Raises:
        StartError: the file cannot be used.
    """

    def __init__(self, path: Path, owner: str, reader: str) -> None:
        self._file = StateFile(path, owner)
        self._positions = ReaderPositions(path, self._file.identity)
        self._reader = reader

    @property
    def identity(self) -> UUID:
        return self._file.identity

    def position(self) -> Position | None:
        """Return what was last committed here, None for a new reader. Raises RetryableError as `commit` does."""
        return self._positions.all().get(self._reader)

    def oldest(self) -> Position:
        """Return the beginning of the stream: reading from there finds the oldest record that is still there."""
        return Position()

    def waiting(self, position: Position) -> int:
        """Return how many records lie from `position` on."""
        with self._file.transaction() as database:
            (found,) = database.execute(
                "SELECT count(*) FROM records WHERE sequence >= ?", (position.sequence,)
            ).fetchone()
        return int(found)

    def read(
        self, position: Position, bounds: BatchBounds, signal: Signal, receivers: Collection[str]
    ) -> tuple[Sequence[Record], Position]:
        """Return records from `position` on within `bounds`, and the position after them; see `JournalReader.read`."""
        with self._file.transaction() as database:
            (newest,) = database.execute("SELECT coalesce(max(sequence), 0) FROM records").fetchone()
            records, end = list[Record](), max(position, Position(newest + 1) if newest else Position())
            if self._file.owner in receivers:
                records, end = self._cut(database, position, bounds, signal, end)
        if end == position:
            self._file.check_in_place()
        return records, end

    def commit(self, position: Position) -> None:
        """Remember `position`; see `JournalReader.commit`."""
        self._positions.commit(self._reader, position)

    def close(self) -> None:
        """Release the files. Safe twice."""
        self._file.close()
        self._positions.close()

    def _cut(
        self, database: sqlite3.Connection, position: Position, bounds: BatchBounds, signal: Signal, end: Position
    ) -> tuple[list[Record], Position]:
        """Return the records of `signal` that go into one batch, and where it ends: at `end` if they all do."""
        cut = _Cut(bounds)
        found = database.execute(_FOUND, (position.sequence, signal))
        with closing(found):
            for sequence, received_at, item_count, size in found:
                first = position.item if sequence == position.sequence else 0
                if first >= item_count:
                    continue
                if cut.is_full_for(item_count - first, size):
                    return cut.records, max(position, Position(sequence, first))
                (payload,) = database.execute("SELECT payload FROM records WHERE sequence = ?", (sequence,)).fetchone()
                record = Record(sequence, signal, self._file.owner, received_at, item_count, payload)
                taken = cut.add(record.slice(first, item_count) if first else record)
                if first + taken < item_count:
                    return cut.records, Position(sequence, first + taken)
        return cut.records, end


@dataclass(slots=True)
class _Cut:
    """A batch in the making, within the bounds; the rules are those of `JournalReader.read`."""

    bounds: BatchBounds
    records: list[Record] = field(default_factory=list[Record])
    items: int = 0
    size: int = 0

    def is_full_for(self, items: int, size: int) -> bool:
        too_much = self.items + items > self.bounds.max_items or self.size + size > self.bounds.max_bytes
        return bool(self.records) and too_much

    def add(self, record: Record) -> int:
        """Take the record, or as many items of a first one as the bounds allow; return how many."""
        count = record.item_count
        if not self.records:
            share = count * self.bounds.max_bytes // max(1, len(record.payload))
            count = max(1, min(count, self.bounds.max_items, share))
        taken = record if count == record.item_count else record.slice(0, count)
        self.records.append(taken)
        self.items += count
        self.size += len(taken.payload)
        return count
