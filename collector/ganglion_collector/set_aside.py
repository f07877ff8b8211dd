"""The dead letters as a delivery sees them: batches go in, record by record."""

import time

from ganglion_collector.component import Batch, Record, Source
from ganglion_collector.dead_letters import DeadLetter, DeadLetters, letter_id

__all__ = ["SetAside"]


class SetAside:
    """Puts batches into `letters`. Both methods raise RetryableError while the store cannot be used."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def put(self, batch: Batch, reason: str) -> None:
        """Keep every record of `batch` durably, with the reason. Twice is once."""
        for record in batch.records:
            self._put(record, batch.source, reason)

    def items_held(self, batch: Batch) -> int:
        """Return how many items of `batch` were set aside before, counted from the start of each record."""
        return sum(self._held(record, batch.source) for record in batch.records)

    def _held(self, record: Record, source: Source) -> int:
        letter = self._letters.get(letter_id(source.journal, source.reader, record.sequence, record.first_item))
        return min(letter.item_count, record.item_count) if letter else 0

    def _put(self, record: Record, source: Source, reason: str) -> None:
        letter = DeadLetter.of(record, source, reason, time.time_ns())
        if self._letters.put(letter):
            return
        # This place was set aside before a crash, maybe as a smaller part.
        known = self._letters.get(letter.id)
        if known is not None and known.item_count < record.item_count:
            self._put(record.slice(known.item_count, record.item_count), source, reason)
