"""Dead letters: items that an exporter can never deliver, kept with the reason until a person decides.

One SQLite file beside the journal, written by every worker and by the command line.
"""

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from ganglion_collector.component import Record, Source
from ganglion_collector.errors import RetryableError
from ganglion_collector.otlp import Signal
from ganglion_collector.shared_file import CurrentFile, connected

__all__ = ["DeadLetter", "DeadLetterSummary", "DeadLetters", "letter_id"]

_SUMMARY = "id, journal, reader, signal, sequence, item, receiver, item_count, received_at, failed_at, reason, size"
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS dead_letters (
    id TEXT PRIMARY KEY, journal TEXT NOT NULL, reader TEXT NOT NULL, signal TEXT NOT NULL,
    sequence INTEGER NOT NULL, item INTEGER NOT NULL, receiver TEXT NOT NULL, item_count INTEGER NOT NULL,
    received_at INTEGER NOT NULL, failed_at INTEGER NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL,
    context BLOB NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letters_failed_at ON dead_letters (failed_at, id);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """A dead letter without its payload. Times are Unix nanoseconds, `size` is the payload's bytes."""

    id: str
    journal: UUID
    reader: str
    signal: Signal
    sequence: int
    item: int
    receiver: str
    item_count: int
    received_at: int
    failed_at: int
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Items that cannot be delivered by one reader's exporter.

    `payload` is an `Export<Signal>ServiceRequest` of `item_count` items, the first of them item `item` of record
    `sequence`. Times are Unix nanoseconds.
    """

    journal: UUID
    reader: str
    signal: Signal
    sequence: int
    item: int
    receiver: str
    context: Mapping[str, str]
    received_at: int
    reason: str
    payload: bytes
    failed_at: int
    item_count: int = 1

    @property
    def id(self) -> str:
        return letter_id(self.journal, self.reader, self.sequence, self.item)

    @classmethod
    def of(cls, record: Record, source: Source, reason: str, failed_at: int) -> "DeadLetter":
        """Make the letter of what is left of a split batch."""
        return cls(
            journal=source.journal,
            reader=source.reader,
            signal=record.signal,
            sequence=record.sequence,
            item=record.first_item,
            receiver=record.receiver,
            context=record.context,
            received_at=record.received_at,
            reason=reason,
            payload=record.payload,
            item_count=record.item_count,
            failed_at=failed_at,
        )

    def record(self) -> Record:
        """Return the items as a record of their own, numbered 0, for a replay."""
        return Record(
            sequence=0,
            signal=self.signal,
            receiver=self.receiver,
            received_at=self.received_at,
            item_count=self.item_count,
            payload=self.payload,
            context=self.context,
        )


def letter_id(journal: UUID, reader: str, sequence: int, item: int) -> str:
    """Return the letter's short name: the same place in the same journal always has the same one."""
    key = f"{journal}\0{reader}\0{sequence}\0{item}".encode(errors="surrogatepass")
    return hashlib.sha256(key).hexdigest()[:12]


class DeadLetters:
    """The store of dead letters in one file; several processes may have it open.

    A file that is no sound database is moved aside, and said: a worker never stops for it. Any other failure of the
    store, a full disk among them, is a RetryableError: the items stay in the journal until there is room.
    """

    def __init__(self, path: Path) -> None:
        self._file = CurrentFile(path, "dead letters", lambda: connected(path, _SCHEMA))
        self._lock = threading.Lock()

    def put(self, letter: DeadLetter) -> bool:
        """Keep `letter` durably; False if the same place's letter is there already, which stays as it is."""
        values = {
            "id": letter.id,
            "journal": str(letter.journal),
            "reader": letter.reader,
            "signal": letter.signal.value,
            "sequence": letter.sequence,
            "item": letter.item,
            "receiver": letter.receiver,
            "item_count": letter.item_count,
            "received_at": letter.received_at,
            "failed_at": letter.failed_at,
            "reason": letter.reason.encode(errors="replace").decode(),
            "size": len(letter.payload),
            "context": orjson.dumps(dict(letter.context)),
            "payload": letter.payload,
        }
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        statement = f"INSERT INTO dead_letters ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - our names
        with self._database() as database:
            return database.execute(statement, values).rowcount == 1

    def list(
        self, *, reader: str | None = None, signal: Signal | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[DeadLetterSummary]:
        """Return letters in the order of their failure, at most `limit`, those that follow letter `after`.

        Payloads are not read.
        """
        query = (
            f"SELECT {_SUMMARY} FROM dead_letters"  # noqa: S608 - our own column names
            " WHERE (:reader IS NULL OR reader = :reader) AND (:signal IS NULL OR signal = :signal)"
            " AND (:after IS NULL OR (failed_at, id) > (SELECT failed_at, id FROM dead_letters WHERE id = :after))"
            " ORDER BY failed_at, id LIMIT :limit"
        )
        values = {"reader": reader, "signal": signal and signal.value, "after": after, "limit": limit}
        with self._database() as database:
            return [_summary(row) for row in database.execute(query, values)]

    def get(self, id: str) -> DeadLetter | None:  # noqa: A002 - the name that people use
        """Return a letter; None if there is none of this id."""
        query = f"SELECT {_SUMMARY}, context, payload FROM dead_letters WHERE id = ?"  # noqa: S608 - our own column names
        with self._database() as database:
            row = database.execute(query, (id,)).fetchone()
        return None if row is None else _letter(row)

    def delete(self, id: str) -> bool:  # noqa: A002 - as in get
        """Remove a letter for good; False if it is not there."""
        with self._database() as database:
            return database.execute("DELETE FROM dead_letters WHERE id = ?", (id,)).rowcount == 1

    def count(self) -> int:
        with self._database() as database:
            (count,) = database.execute("SELECT count(*) FROM dead_letters").fetchone()
            return int(count)

    def close(self) -> None:
        """Release the file. Safe twice."""
        with self._lock:
            self._file.close()

    @contextlib.contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        """Yield the database; its errors become ours."""
        try:
            with self._lock, self._file.use() as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise RetryableError(f"the dead letters cannot be used: {error}") from error


def _summary(row: Sequence[Any]) -> DeadLetterSummary:
    letter, journal, reader, signal, *rest = row
    return DeadLetterSummary(letter, UUID(journal), reader, Signal(signal), *rest)


def _letter(row: Sequence[Any]) -> DeadLetter:
    *columns, context, payload = row
    summary = _summary(columns)
    return DeadLetter(
        journal=summary.journal,
        reader=summary.reader,
        signal=summary.signal,
        sequence=summary.sequence,
        item=summary.item,
        receiver=summary.receiver,
        context=orjson.loads(context),
        received_at=summary.received_at,
        reason=summary.reason,
        payload=payload,
        item_count=summary.item_count,
        failed_at=summary.failed_at,
    )
