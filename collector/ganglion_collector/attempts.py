"""What a worker tried when it died, so that an item that kills its worker is found and set aside.

    full batches ──3 deaths──▶ a sixteenth ──death──▶ … ──▶ one item ──2 deaths──▶ dead letter

The note lives in a file without fsync: it has to survive the process, not the machine.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ganglion_collector.component import Position

__all__ = ["Attempts"]

_TOLERATED = 3
_SHRINK = 16
_SIZE = 256


@dataclass(frozen=True, slots=True)
class _Note:
    """What is in flight: `items` from `start` on, 0 for nothing.

    Up to `until`, where the batch ended that is being taken apart, `limit` items go at once; 0 is no limit.
    """

    items: int = 0
    start: Position = field(default_factory=Position)
    until: Position = field(default_factory=Position)
    limit: int = 0
    deaths: int = 0


class Attempts:
    """The note of one worker. `limit` bounds the next batch, `condemned` is a position whose item kills."""

    def __init__(self, path: Path, max_items: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._max_items = max_items
        self._note = _after_death(_read(self._file))
        self._write(self._note)

    def limit(self, position: Position) -> int:
        """Return how many items a batch from `position` may have."""
        note = self._note
        return note.limit if note.limit and position < note.until else self._max_items

    def is_condemned(self, position: Position) -> bool:
        """Tell whether the item at `position` killed its worker each time, even alone."""
        note = self._note
        return note.limit == 1 and note.deaths > 1 and note.start == position

    def begin(self, start: Position, end: Position, items: int) -> None:
        """Note that the batch of `items` from `start` to `end` is being exported."""
        note = self._note
        deaths = note.deaths if note.start == start else 0
        isolating = bool(note.limit) and start < note.until
        until, limit = (note.until, note.limit) if isolating else (end, 0)
        self._write(_Note(items=items, start=start, until=until, limit=limit, deaths=deaths))

    def survived(self) -> None:
        """Note that the attempt is over and the worker still alive."""
        note = self._note
        self._write(_Note(start=note.start, until=note.until, limit=note.limit))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, note: _Note) -> None:
        self._note = note
        os.pwrite(self._file, orjson.dumps(note).ljust(_SIZE), 0)


def _after_death(note: _Note) -> _Note:
    if not note.items:
        return note
    deaths = note.deaths + 1
    limit = note.limit
    if limit != 1 and (limit or deaths >= _TOLERATED):
        limit, deaths = max(1, note.items // _SHRINK), 0
    return _Note(start=note.start, until=note.until, limit=limit, deaths=deaths)


def _read(file: int) -> _Note:
    try:
        fields: dict[str, Any] = orjson.loads(os.pread(file, _SIZE, 0))
        start, until = Position(**fields.pop("start")), Position(**fields.pop("until"))
        return _Note(start=start, until=until, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return _Note()
