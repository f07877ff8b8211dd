"""The journal: every acknowledged request, durable, read by many at their own positions.

    receiver ──append──▶ [ oldest … newest ] ──read from position──▶ one reader per worker
                              ▲ trim behind the slowest of the configured readers

One process appends, any number read while it does. The interface is what Kafka's client offers too, so that another
engine can take its place.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ganglion_collector.component import BatchBounds, Position, Record, Signal

__all__ = ["Entry", "JournalReader", "JournalWriter", "Usage"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A request to append; the fields are those of `Record`."""

    signal: Signal
    receiver: str
    received_at: int
    item_count: int
    payload: bytes
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a journal is, in bytes on disk; records are those not trimmed yet."""

    size_bytes: int
    quota_bytes: int
    oldest: int
    next: int


class JournalWriter(Protocol):
    """The one appender of a journal; holds its lock."""

    @property
    def identity(self) -> UUID: ...

    def append(self, entries: Sequence[Entry]) -> Sequence[bool | Exception]:
        """Append what is not a recent duplicate and fsync once; blocking.

        Returns, for each entry, True (stored, durable), False (an identical request was stored within the window and
        is durable), the RefusedError that says why there was no room for it, or the TooLargeError or
        InvalidRequestError of one that can never be stored.

        Raises:
            JournalLostError: its files are not where they were; nothing is stored, and the journal must be opened anew.
        """
        ...

    def trim(self, readers: Collection[str]) -> int:
        """Give back what every one of `readers` has committed; return the bytes freed."""
        ...

    def usage(self) -> Usage: ...

    def close(self) -> None: ...


class JournalReader(Protocol):
    """One reader of a journal, in any process."""

    @property
    def identity(self) -> UUID: ...

    def position(self) -> Position | None:
        """Return what was last committed here, None for a new reader."""
        ...

    def oldest(self) -> Position: ...

    def read(
        self, position: Position, bounds: BatchBounds, signal: Signal, receivers: Collection[str]
    ) -> tuple[Sequence[Record], Position]:
        """Return records from `position` on within `bounds`, and the position after them; none waits: never blocks.

        Records of another signal or receiver are passed over, so the end may move though nothing is returned; only an
        end equal to `position` says that nothing more is there. A record larger than the bounds is sliced.

        Raises:
            JournalLostError: nothing more can be there, as the journal's files are not where they were.
        """
        ...

    def commit(self, position: Position) -> None:
        """Remember `position`; what every configured reader is past may be trimmed.

        It survives the end of the process, however sudden. After a power failure an older one may be found, or none:
        what follows is read again, as delivery at least once allows. `close` makes the last one durable.

        Raises RetryableError when the disk does not take it.
        """
        ...

    def close(self) -> None: ...
