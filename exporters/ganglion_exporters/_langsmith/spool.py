"""The spool: spans wait on disk until their trace can go; the places of what went are kept for those that come late.

    store ─▶ spans, logs, position: one transaction ─▶ due ─▶ claimed part ─▶ delivered: spans out, places in

Open traces cost no memory, and killed at any point nothing is lost and nothing stored twice.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from ganglion_collector.component import Batch, Position, Signal, Source
from ganglion_collector.errors import RetryableError

from ganglion_exporters._langsmith.assembly import ROOT
from ganglion_exporters._langsmith.ids import run_of
from ganglion_exporters._langsmith.model import Placed
from ganglion_exporters._langsmith.spool_file import SpoolFile
from ganglion_exporters._langsmith.spooled import LogRow, Part, SpanRow, log_rows, span_rows, spooled_spans

__all__ = ["Delivered", "Spool", "SpoolSettings", "SpoolSizes"]

_SECOND = 10**9
_MIB = 1024 * 1024
_LONGEST_POSTPONED = 600 * _SECOND
_SPAN_COLUMNS = "trace, span, parent, is_root, sequence, item, receiver, received_at, context, size, packed, payload"
_GIVEN_OUT = "id, span, sequence, item, receiver, received_at, context, size, packed, payload, parent"
_PUT_TRACE = """
INSERT INTO traces (trace, first_seen, last_seen, due_at, spans, logs, bytes, has_root, has_phantom)
VALUES (:trace, :now, :now, 0, :spans, :logs, :bytes, :has_root, :has_phantom)
ON CONFLICT (trace) DO UPDATE SET
    first_seen = iif(spans = 0 AND excluded.spans > 0, excluded.first_seen, first_seen),
    last_seen = excluded.last_seen, spans = spans + excluded.spans, logs = logs + excluded.logs,
    bytes = bytes + excluded.bytes, has_root = max(has_root, excluded.has_root),
    has_phantom = max(has_phantom, excluded.has_phantom)
"""
_SET_DUE = """
UPDATE traces SET due_at = CASE
    WHEN spans = 0 THEN last_seen + :max_age
    WHEN spans >= :max_spans OR bytes >= :max_bytes THEN 0
    WHEN has_root OR EXISTS (SELECT 1 FROM sent WHERE sent.trace = traces.trace)
        THEN min(last_seen + :settle, first_seen + :max_age)
    WHEN has_phantom THEN first_seen + :max_age
    ELSE min(last_seen + :idle, first_seen + :max_age) END
WHERE trace = :trace AND claimed_at IS NULL
"""
_TAKE_OUT = """
UPDATE traces SET spans = spans - :spans, logs = logs - :logs, bytes = bytes - :bytes, first_seen = last_seen,
    claimed_at = NULL, claimed_last = NULL, claimed_seen = NULL
WHERE trace = :trace
"""
_FOUND_PART = f"""
SELECT {_GIVEN_OUT} FROM spans WHERE trace = :trace AND id <= :last
UNION ALL
SELECT {_GIVEN_OUT} FROM spans WHERE trace = :trace AND is_root AND id > :last AND id <= :seen
"""  # noqa: S608 - our own column names


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """When a trace goes, and how much is kept.

    It goes after `settle` seconds of quiet once its root is there, after `idle_timeout` of quiet without one, at the
    latest `max_age` after its first span; past `max_spans` or `max_bytes` at once, in parts. The whole spool takes
    `quota_mib`; places of what was sent are kept for `remember` seconds; a trace takes `max_logs` log records.
    """

    settle: float = 2.0
    idle_timeout: float = 30.0
    max_age: float = 300.0
    max_spans: int = 5000
    max_bytes: int = 32 * _MIB
    quota_mib: int = 1024
    remember: float = 3600.0
    max_logs: int = 1000


@dataclass(frozen=True, slots=True)
class Delivered:
    """A part that LangSmith has or never will: the places in its own trace, and those in others (`Assembly`)."""

    part: Part
    placed: Mapping[bytes, Placed]
    aliases: Mapping[tuple[bytes, bytes], Placed] = field(default_factory=dict[tuple[bytes, bytes], Placed])

    def without(self, refused: Collection[UUID]) -> "Delivered":
        """Leave out the places of runs that LangSmith refused: their spans are new when they are replayed."""
        return Delivered(
            self.part,
            {key: placed for key, placed in self.placed.items() if placed.run_id not in refused},
            {key: placed for key, placed in self.aliases.items() if placed.run_id not in refused},
        )


@dataclass(frozen=True, slots=True)
class SpoolSizes:
    """Open traces, and the spans and bytes that wait in them."""

    traces: int
    spans: int
    size_bytes: int


@dataclass(slots=True)
class _Growth:
    spans: int = 0
    logs: int = 0
    bytes: int = 0
    has_root: bool = False
    has_phantom: bool = False


class Spool:
    """Its methods block, and may be called from several threads. Times are Unix nanoseconds.

    All raise RetryableError while the file cannot be used; a damaged file is moved aside, and an empty one begun.

    Raises:
        StartError: the file cannot be opened, or a newer version wrote it.
    """

    def __init__(self, path: Path, settings: SpoolSettings) -> None:
        self._file = SpoolFile(path)
        self._settings = settings
        self.duplicates = 0
        """Spans that were there already."""
        self.dropped_logs = 0
        """Log records too many for their trace, or whose span never came or was sent before."""

    def close(self) -> None:
        """Release the file. Safe twice."""
        self._file.close()

    def position(self, source: Source) -> Position | None:
        """Return where `source` stands, None if it never stored."""
        with self._file.transaction() as database:
            return _position(database, source)

    def store(self, batch: Batch, now: int) -> bool:
        """Store the batch and move its position, both or neither; False if it is stored already.

        Raises:
            InvalidRequestError: a payload is none.
            RetryableError: there is no room; or the position is elsewhere than where the batch starts.
        """
        spans = list(span_rows(batch)) if batch.signal is Signal.TRACES else []
        logs = list(log_rows(batch)) if batch.signal is Signal.LOGS else []
        with self._file.transaction(write=True) as database:
            stored = _position(database, batch.source)
            if stored is not None and stored >= batch.end:
                return False
            _check_start(stored, batch)
            if spans:
                self._check_room(database)
            grown: dict[bytes, _Growth] = {}
            self._put_spans(database, spans, grown)
            self._put_logs(database, logs, grown)
            for trace, growth in grown.items():
                self._grow(database, trace, growth, now)
            _move(database, batch)
        return True

    def due(self, now: int, limit: int = 100, skip: Collection[bytes] = ()) -> list[Part]:
        """Return parts of at most `limit` traces that may go now, about `max_bytes` together.

        Traces of `skip` are left out. The same parts come until they are `delivered`.
        """
        with self._file.transaction() as database:
            waiting = self._waiting(database, now, limit, skip)
        if not waiting:
            return []
        with self._file.transaction(write=True) as database:
            for trace in waiting:
                self._claim(database, trace, now)
        parts, size = list[Part](), 0
        with self._file.transaction() as database:
            for trace in waiting:
                if (part := self._part(database, trace)) is not None:
                    parts.append(part)
                    size += part.size
                if size >= self._settings.max_bytes:
                    break
        return parts

    def next_due(self) -> int | None:
        """Return when the next trace may go, None while none waits."""
        with self._file.transaction() as database:
            row: tuple[int | None] = database.execute("SELECT min(due_at) FROM traces").fetchone()
        return row[0]

    def postpone(self, parts: Iterable[Part], until: int, now: int) -> None:
        """Give these parts no sooner than `until`, at most 10 minutes from `now`; others go meanwhile."""
        rows = [(min(until, now + _LONGEST_POSTPONED), part.trace) for part in parts]
        with self._file.transaction(write=True) as database:
            database.executemany("UPDATE traces SET due_at = ? WHERE trace = ? AND claimed_at IS NOT NULL", rows)

    def renew(self, part: Part, now: int) -> None:
        """Give this part as of `now` from here on; only where LangSmith has no run of it, for their ids may change."""
        with self._file.transaction(write=True) as database:
            statement = "UPDATE traces SET claimed_at = ? WHERE trace = ? AND claimed_at IS NOT NULL"
            database.execute(statement, (now, part.trace))

    def delivered(self, deliveries: Sequence[Delivered], now: int) -> None:
        """Delete the spans of these parts and remember the places of their runs, as one."""
        expires = now + int(self._settings.remember * _SECOND)
        with self._file.transaction(write=True) as database:
            for delivery in deliveries:
                part = delivery.part
                _remember(database, part.trace, delivery, expires)
                for trace in {trace for trace, _ in delivery.aliases}:
                    self._set_due(database, trace)
                database.executemany("DELETE FROM logs WHERE id = ?", [(one,) for one in part.log_ids])
                ids = [(span.id,) for span in part.spans]
                if database.executemany("DELETE FROM spans WHERE id = ?", ids).rowcount != len(ids):
                    continue  # delivered before
                self._shrink(database, part.trace, len(ids), len(part.log_ids), part.size)

    def forget(self, now: int, limit: int = 10_000) -> int:
        """Forget places that are old; return how many. More than `limit` need more than one call."""
        statement = (
            "DELETE FROM sent WHERE (trace, span) IN "
            "(SELECT trace, span FROM sent WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
        )
        with self._file.transaction(write=True) as database:
            return database.execute(statement, (now, limit)).rowcount

    def sizes(self) -> SpoolSizes:
        with self._file.transaction() as database:
            return _sizes(database)

    def _check_room(self, database: sqlite3.Connection) -> None:
        if (size := _sizes(database).size_bytes) >= self._settings.quota_mib * _MIB:
            reason = f"the spool holds {size // _MIB} MiB of spans that LangSmith has not taken yet"
            raise RetryableError(f"{reason}, of {self._settings.quota_mib} allowed")

    def _put_spans(self, database: sqlite3.Connection, rows: Iterable[SpanRow], grown: dict[bytes, _Growth]) -> None:
        statement = f"INSERT OR IGNORE INTO spans ({_SPAN_COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608 - our own names
        for row in rows:
            if database.execute(statement, row[:12]).rowcount == 0:
                self.duplicates += 1
                continue
            growth = grown.setdefault(row.trace, _Growth())
            growth.spans += 1
            growth.bytes += row.size
            growth.has_root |= row.is_root
            growth.has_phantom |= row.is_phantom

    def _put_logs(self, database: sqlite3.Connection, rows: Iterable[LogRow], grown: dict[bytes, _Growth]) -> None:
        room: dict[bytes, int] = {}
        for row in rows:
            if row.trace not in room:
                found = database.execute("SELECT logs FROM traces WHERE trace = ?", (row.trace,)).fetchone()
                room[row.trace] = self._settings.max_logs - (found[0] if found else 0)
            if room[row.trace] <= 0:
                self.dropped_logs += 1
                continue
            room[row.trace] -= 1
            database.execute("INSERT INTO logs (trace, span, payload) VALUES (?, ?, ?)", row)
            grown.setdefault(row.trace, _Growth()).logs += 1

    def _grow(self, database: sqlite3.Connection, trace: bytes, growth: _Growth, now: int) -> None:
        values = {
            "trace": trace,
            "now": now,
            "spans": growth.spans,
            "logs": growth.logs,
            "bytes": growth.bytes,
            "has_root": growth.has_root,
            "has_phantom": growth.has_phantom,
        }
        database.execute(_PUT_TRACE, values)
        self._set_due(database, trace)

    def _set_due(self, database: sqlite3.Connection, trace: bytes) -> None:
        settings = self._settings
        values = {
            "trace": trace,
            "settle": int(settings.settle * _SECOND),
            "idle": int(settings.idle_timeout * _SECOND),
            "max_age": int(settings.max_age * _SECOND),
            "max_spans": settings.max_spans,
            "max_bytes": settings.max_bytes,
        }
        database.execute(_SET_DUE, values)

    def _shrink(self, database: sqlite3.Connection, trace: bytes, spans: int, logs: int, size: int) -> None:
        database.execute(_TAKE_OUT, {"trace": trace, "spans": spans, "logs": logs, "bytes": size})
        database.execute("DELETE FROM traces WHERE trace = ? AND spans <= 0 AND logs <= 0", (trace,))
        self._set_due(database, trace)

    def _waiting(self, database: sqlite3.Connection, now: int, limit: int, skip: Collection[bytes]) -> list[bytes]:
        """Return traces whose time has come; or is too far off to be true, since the clock was set back."""
        settings = self._settings
        longest = int(max(settings.max_age, settings.idle_timeout, settings.settle) * _SECOND)
        horizon = now + max(longest, _LONGEST_POSTPONED)
        if _sizes(database).size_bytes >= settings.quota_mib * _MIB:
            query = "SELECT trace FROM traces WHERE claimed_at IS NULL OR due_at <= ? OR due_at > ? ORDER BY first_seen"
        else:
            query = "SELECT trace FROM traces WHERE due_at <= ? OR due_at > ? ORDER BY due_at"
        found = database.execute(f"{query} LIMIT ?", (now, horizon, limit + len(skip)))
        return [trace for (trace,) in found if trace not in skip][:limit]

    def _claim(self, database: sqlite3.Connection, trace: bytes, now: int) -> None:
        """Settle which spans go together, unless that is settled."""
        sizes = database.execute(
            "SELECT id, size FROM spans WHERE trace = ? ORDER BY id LIMIT ?", (trace, self._settings.max_spans)
        )
        last, size = 0, 0
        for identity, more in sizes:
            if last and size + more > self._settings.max_bytes:
                break
            last, size = identity, size + more
        (seen,) = database.execute("SELECT max(id) FROM spans WHERE trace = ?", (trace,)).fetchone()
        if seen is None:
            logs = database.execute("DELETE FROM logs WHERE trace = ?", (trace,)).rowcount
            self.dropped_logs += logs
            database.execute("DELETE FROM traces WHERE trace = ?", (trace,))
            return
        database.execute(
            "UPDATE traces SET claimed_at = ?, claimed_last = ?, claimed_seen = ?, due_at = 0 "
            "WHERE trace = ? AND claimed_at IS NULL",
            (now, last, seen, trace),
        )

    def _part(self, database: sqlite3.Connection, trace: bytes) -> Part | None:
        row = database.execute(
            "SELECT claimed_at, claimed_last, claimed_seen FROM traces WHERE trace = ?", (trace,)
        ).fetchone()
        if row is None:
            return None
        now, last, seen = row
        rows = database.execute(_FOUND_PART, {"trace": trace, "last": last, "seen": seen}).fetchall()
        spans = tuple(spooled_spans(found[:-1] for found in rows))
        keys = {span.key for span in spans}
        known = _known(database, trace, keys | {parent for *_, parent in rows} | {ROOT})
        logs, log_ids = self._logs(database, trace, keys)
        return Part(trace, spans, logs, log_ids, known, now)

    def _logs(
        self, database: sqlite3.Connection, trace: bytes, keys: set[bytes]
    ) -> tuple[dict[bytes, tuple[bytes, ...]], tuple[int, ...]]:
        found: dict[bytes, list[bytes]] = {}
        ids = list[int]()
        for identity, span, payload in database.execute(
            "SELECT id, span, payload FROM logs WHERE trace = ? ORDER BY id", (trace,)
        ):
            if span in keys:
                found.setdefault(span, []).append(payload)
            elif not _known(database, trace, {span}):
                continue
            ids.append(identity)
        return {span: tuple(payloads) for span, payloads in found.items()}, tuple(ids)


def _position(database: sqlite3.Connection, source: Source) -> Position | None:
    row = database.execute(
        "SELECT sequence, item FROM positions WHERE journal = ? AND reader = ?", (str(source.journal), source.reader)
    ).fetchone()
    return None if row is None else Position(*row)


def _check_start(stored: Position | None, batch: Batch) -> None:
    if stored is not None and stored != batch.start:
        raise RetryableError(
            f"the spool has {batch.source.reader} at {stored.sequence}.{stored.item}, "
            f"not at {batch.start.sequence}.{batch.start.item} where this batch starts"
        )


def _move(database: sqlite3.Connection, batch: Batch) -> None:
    row = (str(batch.source.journal), batch.source.reader, batch.end.sequence, batch.end.item)
    database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", row)


def _sizes(database: sqlite3.Connection) -> SpoolSizes:
    query = "SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(bytes), 0) FROM traces"
    return SpoolSizes(*database.execute(query).fetchone())


def _remember(database: sqlite3.Connection, trace: bytes, delivery: Delivered, expires: int) -> None:
    places = {(trace, span): placed for span, placed in delivery.placed.items()} | dict(delivery.aliases)
    rows = [
        (*key, placed.dotted_order, placed.project, placed.project_id, placed.synthetic, expires)
        for key, placed in places.items()
    ]
    database.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _known(database: sqlite3.Connection, trace: bytes, spans: Iterable[bytes]) -> dict[bytes, Placed]:
    query = "SELECT dotted_order, project, project_id, synthetic FROM sent WHERE trace = ? AND span = ?"
    known: dict[bytes, Placed] = {}
    for span in sorted(spans):
        if (row := database.execute(query, (trace, span)).fetchone()) is not None:
            order, project, project_id, synthetic = row
            known[span] = Placed(run_of(order), order, project, project_id, bool(synthetic))
    return known
