"""A track: one pipeline's way through one journal or derived stream, at one position.

    position ──▶ poll ──▶ transforms ──▶ deliver ──▶ commit

Three places: `delivered` is where the destination stands; `done` is past records of other signals too, so nothing
before it is needed any more; `cursor` is what was read last and lies past `done` while a batch is in hand.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ganglion_collector import log
from ganglion_collector.attempts import Attempts
from ganglion_collector.component import Batch, BatchBounds, Position, Record, Signal, Source, Transform
from ganglion_collector.delivery import Delivery, PositionMovedError
from ganglion_collector.errors import RetryableError
from ganglion_collector.journal import JournalReader

__all__ = ["COMMIT_INTERVAL", "Track", "TrackSettings"]

_logger = logging.getLogger(__name__)

COMMIT_INTERVAL = 0.25
"""Seconds that a position may wait to be written into the journal, where a repetition does no harm."""


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What a track reads and how: `reader` is its name in the journal, `exporter` the component id.

    `keeps_position`: the destination keeps the position, so the one in the journal only serves the trim.
    `remembered`: the position is saved with a state, and only then committed.
    """

    reader: str
    exporter: str
    signal: Signal
    receivers: Collection[str]
    bounds: BatchBounds
    keeps_position: bool
    remembered: bool = False


class Track:
    """Reads, changes and delivers; in the hands of one worker."""

    def __init__(
        self,
        settings: TrackSettings,
        journal: JournalReader,
        delivery: Delivery,
        attempts: Attempts,
        transforms: Sequence[Transform] = (),
    ) -> None:
        self.settings = settings
        self.source = Source(journal.identity, settings.reader)
        self._journal = journal
        self._delivery = delivery
        self._attempts = attempts
        self._transforms = transforms
        self._bounds = settings.bounds
        self._waiting: list[Record] = []
        self._deadline = 0.0
        self._delivered = self._done = self._cursor = Position()
        self._committed: Position | None = None
        self._commit_at = 0.0

    @property
    def done(self) -> Position:
        return self._done

    @property
    def oldest_waiting(self) -> int:
        """When the first item in hand was received, Unix nanoseconds; 0 when none waits."""
        return self._waiting[0].received_at if self._waiting else 0

    def stop(self) -> None:
        """Let a failing delivery end."""
        self._delivery.stop()

    async def find_position(self, saved: Position | None) -> None:
        """Stand where the destination says; else at `saved`, else where the journal says, else at the oldest record.

        Raises:
            StoppedError: the destination could not be asked before `stop`.
        """
        self._committed = self._journal.position()
        position = await self._delivery.position(self.source)
        if not self.settings.keeps_position:
            position = self._committed if saved is None else saved
        self._move_to(self._journal.oldest() if position is None else position)

    async def poll(self, *, patient: bool) -> Batch | None:
        """Return the next batch if one is ready; if not `patient`, whatever waits is."""
        if not self._waiting:
            limit = self._attempts.limit(self._cursor)
            self._bounds = replace(self.settings.bounds, max_items=min(self.settings.bounds.max_items, limit))
        await self._fill()
        if not self._waiting:
            self._done = self._cursor
            return None
        if patient and self.patience():
            return None
        return Batch(self.settings.signal, tuple(self._waiting), self.source, self._delivered, self._cursor)

    def patience(self) -> float | None:
        """Return for how many seconds what waits may wait for company; None when nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, self._deadline - time.monotonic()) if self._has_room() else 0.0

    async def deliver(self, batch: Batch) -> None:
        """Bring the batch that `poll` returned to its destination, and move on.

        Raises:
            StoppedError: it is not there yet; parts of it may be.
        """
        try:
            await self._hand_over(self._transformed(batch))
        except PositionMovedError as moved:
            _logger.warning(
                "the destination stands elsewhere; going on from there", extra={"reader": batch.source.reader}
            )
            self._waiting = []
            self._move_to(moved.position)
            return
        self._waiting = []
        self._delivered = self._done = batch.end
        if not self.settings.remembered and (not self.settings.keeps_position or self.commit_is_due()):
            self.commit(self._done)

    def has_uncommitted(self) -> bool:
        return self._done not in (self._committed, Position())

    def commit_is_due(self) -> bool:
        return time.monotonic() >= self._commit_at

    def commit(self, position: Position) -> None:
        """Tell the journal that everything before `position` may be trimmed; a failure is said and tried again."""
        self._commit_at = time.monotonic() + COMMIT_INTERVAL
        if position in (self._committed, Position()):
            return
        try:
            self._journal.commit(position)
        except RetryableError as error:
            _logger.warning("cannot write the position, will retry", extra={"reason": str(error)})
            return
        self._committed = position

    def _move_to(self, position: Position) -> None:
        self._delivered = position
        self._done = self._cursor = max(position, self._journal.oldest())

    def _has_room(self) -> bool:
        bounds, items = self._bounds, self._items()
        return items < min(bounds.min_items, bounds.max_items) and self._room() > 0

    def _items(self) -> int:
        return sum(record.item_count for record in self._waiting)

    def _room(self) -> int:
        return self._bounds.max_bytes - sum(len(record.payload) for record in self._waiting)

    async def _fill(self) -> None:
        """Read what goes into the batch in hand."""
        bounds = self._bounds
        if not self._waiting:
            self._waiting = await self._read(bounds)
            self._deadline = time.monotonic() + bounds.timeout
        elif self._has_room():
            rest = replace(bounds, max_items=bounds.max_items - self._items(), max_bytes=self._room())
            self._waiting += await self._read(rest)

    async def _read(self, bounds: BatchBounds) -> list[Record]:
        """Read from the cursor on until there is a record or no more; move the cursor."""
        settings = self.settings
        while True:
            records, end = self._journal.read(self._cursor, bounds, settings.signal, settings.receivers)
            passed_over = not records and end > self._cursor
            self._cursor = end
            if not passed_over:
                return list(records)
            await asyncio.sleep(0)

    def _transformed(self, batch: Batch) -> Batch:
        for transform in self._transforms:
            try:
                batch = transform.process(batch)
            except Exception as error:  # noqa: BLE001 (a processor's bug must not stop what follows)
                fields = {"processor": type(transform).__name__, "stack": log.stack(error)}
                _logger.error("processor failed unexpectedly; the batch goes on as it came", extra=fields)
        return batch

    async def _hand_over(self, batch: Batch) -> None:
        if batch.records or self.settings.keeps_position:
            await self._delivery.deliver(batch)
