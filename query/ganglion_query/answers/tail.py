"""What is logged now: each log once, as soon as it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganglion_query.model import LogFilter, LogRow
from ganglion_query.reader import Reader
from ganglion_query.reader.tail import Look, look, stored_between

__all__ = ["INTERVAL", "Tail", "Told"]

INTERVAL = 0.5
"""Seconds between two looks, so that a log is told within one second of its commit."""
_MOST = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What is new, by its own time; `skipped`: there was more than can be told at once, and these are the newest."""

    logs: Sequence[LogRow]
    skipped: bool


class Tail:
    """Follows the logs that `wanted` names, whose times count for nothing; tells at most `most` at each look."""

    def __init__(self, reader: Reader, wanted: LogFilter, most: int = _MOST) -> None:
        self._reader = reader
        self._wanted = wanted
        self._most = most
        self._last: Look | None = None

    def poll(self) -> Told:
        """Return what was stored since the last look; the first one only marks the moment.

        Raises:
            ReaderError: the database cannot be asked; the next look makes up for it.
            ValueError: a condition cannot be.
        """
        with self._reader.session() as session:
            now = look(session)
            last = now if self._last is None else self._last
            found = stored_between(session, self._wanted, last, now, self._most + 1)
        self._last = now
        told = sorted(found.rows[: self._most], key=lambda row: row.timestamp)
        return Told(told, found.is_cut or len(found.rows) > self._most)
