"""A worker: reads the journal at one position and delivers what it finds through one exporter.

    position ──▶ read ──▶ deliver ──▶ commit ──▶ read …
                  └ nothing ──▶ wait for the doorbell

Three places: `delivered` is where the destination stands; `done` is past records of other signals too, so nothing
before it is needed any more; `cursor` is what was read last and lies past `done` while a batch is in hand.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from ganglion_collector import telemetry
from ganglion_collector.attempts import Attempts
from ganglion_collector.component import Batch, BatchBounds, Position, Record, Signal, Source
from ganglion_collector.delivery import Delivery, PositionMovedError, StoppedError
from ganglion_collector.doorbell import Doorbell
from ganglion_collector.errors import RetryableError
from ganglion_collector.journal import JournalReader

__all__ = ["Worker", "WorkerSettings"]

_logger = logging.getLogger(__name__)

_COMMIT_INTERVAL = 0.25
"""Seconds that a position may wait to be written into the journal, where a repetition does no harm."""
_DRAIN = 3.0
"""Seconds that a worker asked to stop goes on with what still waits."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker reads and how: `reader` is its name in the journal, `exporter` the component id.

    `keeps_position`: the destination keeps the position, so the one in the journal only serves the trim.
    """

    reader: str
    exporter: str
    signal: Signal
    receivers: Collection[str]
    bounds: BatchBounds
    keeps_position: bool


class Worker:
    """Runs until it is asked to stop."""

    def __init__(
        self, settings: WorkerSettings, journal: JournalReader, delivery: Delivery, attempts: Attempts, bell: Doorbell
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._delivery = delivery
        self._attempts = attempts
        self._bell = bell
        self._source = Source(journal.identity, settings.reader)
        self._stop_at: float | None = None
        self._delivered = self._done = self._cursor = Position()
        self._committed: Position | None = None
        self._commit_at = 0.0

    def stop(self) -> None:
        """Deliver what waits, for a few seconds and while all goes well, then return from `run`."""
        self._stop_at = time.monotonic() + _DRAIN
        self._delivery.stop()
        self._bell.wake()

    async def run(self) -> None:
        """Deliver until `stop`; what is delivered is committed then."""
        with suppress(StoppedError):
            await self._find_position()
            await self._loop()
        self._commit()

    async def _loop(self) -> None:
        while self._stop_at is None or time.monotonic() < self._stop_at:
            self._bell.clear()
            if batch := await self._next_batch():
                await self._deliver(batch)
            elif self._stop_at is None:
                await self._wait_for_more()
            else:
                return

    async def _find_position(self) -> None:
        self._committed = self._journal.position()
        position = await self._delivery.position(self._source)
        if not self._settings.keeps_position:
            position = self._committed
        self._move_to(self._journal.oldest() if position is None else position)

    def _move_to(self, position: Position) -> None:
        self._delivered = position
        self._done = self._cursor = max(position, self._journal.oldest())

    async def _next_batch(self) -> Batch | None:
        settings = self._settings
        records = await self._gather()
        if not records:
            self._done = self._cursor
        oldest = records[0].received_at if records else 0
        telemetry.set_oldest_waiting(settings.signal, settings.exporter, oldest)
        telemetry.set_position(settings.signal, settings.exporter, self._done.sequence)
        if not records:
            return None
        return Batch(settings.signal, tuple(records), self._source, self._delivered, self._cursor)

    async def _gather(self) -> list[Record]:
        """Return the records that wait, after the time that they may wait for company."""
        bounds = self._settings.bounds
        bounds = replace(bounds, max_items=min(bounds.max_items, self._attempts.limit(self._cursor)))
        records = await self._read(bounds)
        deadline = time.monotonic() + bounds.timeout
        while records and (items := sum(record.item_count for record in records)) < min(
            bounds.min_items, bounds.max_items
        ):
            room = bounds.max_bytes - sum(len(record.payload) for record in records)
            patience = deadline - time.monotonic()
            if room <= 0 or patience <= 0 or self._stop_at is not None:
                break
            await self._bell.wait(patience)
            self._bell.clear()
            records += await self._read(replace(bounds, max_items=bounds.max_items - items, max_bytes=room))
        return records

    async def _read(self, bounds: BatchBounds) -> list[Record]:
        """Read from the cursor on until there is a record or no more; move the cursor."""
        settings = self._settings
        while True:
            records, end = self._journal.read(self._cursor, bounds, settings.signal, settings.receivers)
            passed_over = not records and end > self._cursor
            self._cursor = end
            if not passed_over:
                return list(records)
            await asyncio.sleep(0)

    async def _deliver(self, batch: Batch) -> None:
        try:
            await self._delivery.deliver(batch)
        except PositionMovedError as moved:
            _logger.warning(
                "the destination stands elsewhere; going on from there", extra={"reader": batch.source.reader}
            )
            self._move_to(moved.position)
            return
        self._delivered = self._done = batch.end
        if not self._settings.keeps_position or time.monotonic() >= self._commit_at:
            self._commit()

    async def _wait_for_more(self) -> None:
        await self._bell.wait(None if self._done == self._committed else _COMMIT_INTERVAL)
        if time.monotonic() >= self._commit_at:
            self._commit()

    def _commit(self) -> None:
        self._commit_at = time.monotonic() + _COMMIT_INTERVAL
        if self._done in (self._committed, Position()):
            return
        try:
            self._journal.commit(self._done)
        except RetryableError as error:
            _logger.warning("cannot write the position, will retry", extra={"reason": str(error)})
            return
        self._committed = self._done
