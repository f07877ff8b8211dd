"""One reader of a journal of segment files, in any process."""

import contextlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from ganglion_collector.component import BatchBounds, Position, Record, Signal
from ganglion_collector.errors import InvalidRequestError, RetryableError
from ganglion_collector.journal._folder import DurableEnd, Folder, segment_path
from ganglion_collector.journal._frame import Frame, FrameFormat
from ganglion_collector.journal._segment import Segment

__all__ = ["SegmentReader"]

_MOST_FRAMES = 10_000
_NO_END = 1 << 64

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Cursor:
    """The next frame's place: `sequence` at `offset` of `segment`, which ends before sequence `stop`."""

    segment: Segment
    stop: int
    offset: int
    sequence: int


class _Wanted(NamedTuple):
    signal: Signal
    receivers: Collection[str]


@dataclass(slots=True)
class _Cut:
    """A batch in the making."""

    bounds: BatchBounds
    records: list[Record] = field(default_factory=list[Record])
    items: int = 0
    size: int = 0

    def is_full_for(self, frame: Frame) -> bool:
        """Tell, before its payload is read, that nothing of this record goes in."""
        too_many = self.items + frame.item_count > self.bounds.max_items
        return bool(self.records) and (too_many or self.size + frame.payload_size > self.bounds.max_bytes)

    def room_for(self, record: Record) -> int:
        """Return how many items of `record` go in: all, or as many as the bounds allow of one that exceeds them."""
        if self.records:
            return record.item_count
        share = record.item_count * self.bounds.max_bytes // max(1, len(record.payload))
        return max(1, min(record.item_count, self.bounds.max_items, share))

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.items += record.item_count
        self.size += len(record.payload)


class SegmentReader:
    """Reads a journal from any position; holds one file open and one batch in memory, whatever the backlog."""

    def __init__(self, folder: Folder, reader: str) -> None:
        self._folder = folder
        self._reader = reader
        self._frames = FrameFormat(folder.identity)
        self._durable = DurableEnd(folder)
        self._cursor: _Cursor | None = None
        self._said = ""
        self._closed = False
        self._committed = False
        with contextlib.suppress(OSError):  # then a commit may fail, and says so
            folder.prepare(reader)

    @property
    def identity(self) -> UUID:
        return self._folder.identity

    def position(self) -> Position | None:
        """Return what was last committed here; None, and a warning, if that is damaged or of another journal."""
        try:
            return self._folder.position(self._reader)
        except ValueError as error:
            logger.warning("reader %s begins at the oldest record: %s", self._reader, error)
            return None

    def oldest(self) -> Position:
        """Return the beginning of the oldest record that is still there."""
        return Position(next(iter(self._folder.segments()), 0), 0)

    def commit(self, position: Position) -> None:
        """Remember `position`; raise RetryableError when the disk does not take it. See `JournalReader.commit`."""
        try:
            self._folder.commit(self._reader, position)
            self._committed = True
        except OSError as error:
            raise RetryableError(f"the position cannot be stored: {error.strerror}") from error

    def close(self) -> None:
        """Make the position durable and release the files. Safe twice."""
        if self._closed:
            return
        self._closed = True
        if self._committed:
            with contextlib.suppress(OSError):  # an older position only repeats a little
                self._folder.sync_position(self._reader)
        self._durable.close()
        if self._cursor:
            self._cursor.segment.close()

    def read(
        self, position: Position, bounds: BatchBounds, signal: Signal, receivers: Collection[str]
    ) -> tuple[Sequence[Record], Position]:
        """Return records from `position` on within `bounds`, and the position after them; see `JournalReader.read`.

        A call looks at 10,000 records at most: only an end equal to `position` means that nothing more is there.
        """
        durable = self._durable.get()
        cut = _Cut(bounds)
        end = position
        if position.sequence >= durable:
            self._say_if_beyond(position, durable)
        elif cursor := self._seek(position):
            end = self._fill(cut, cursor, durable, position, _Wanted(signal, receivers))
        if end == position:
            self._durable.check_in_place()
        return tuple(cut.records), end

    def _fill(self, cut: _Cut, cursor: _Cursor, durable: int, position: Position, wanted: _Wanted) -> Position:
        for _ in range(_MOST_FRAMES):
            frame = self._next_frame(cursor, durable)
            if frame is None:
                break
            first = position.item if frame.sequence == position.sequence else 0
            taken = self._take(cut, cursor, frame, first, wanted)
            if taken + first < frame.item_count:
                return Position(frame.sequence, taken + first)
            cursor.offset += frame.size
            cursor.sequence = frame.sequence + 1
        return max(position, Position(cursor.sequence, 0))

    def _take(self, cut: _Cut, cursor: _Cursor, frame: Frame, first: int, wanted: _Wanted) -> int:
        """Put the frame's record, from item `first` on, into the batch; return how many of its items are done."""
        rest = frame.item_count - first
        if rest <= 0 or frame.signal is not wanted.signal or frame.receiver not in wanted.receivers:
            return rest
        if cut.is_full_for(frame):
            return 0
        payload = cursor.segment.payload(cursor.offset, frame)
        if payload is None:
            self._say_lost(f"record {frame.sequence} ({frame.item_count} {frame.signal.items})", frame.size)
            return rest
        record = _part(frame.record(payload), first, frame.item_count)
        count = cut.room_for(record)
        cut.add(_part(record, 0, count))
        return count

    def _seek(self, position: Position) -> _Cursor | None:
        """Return the cursor at `position`, or at the oldest record if that was trimmed."""
        cursor = self._cursor
        if cursor and cursor.sequence == position.sequence:
            cursor.segment.forget()
            return cursor
        firsts = self._folder.segments()
        before = [first for first in firsts if first <= position.sequence]
        if not before and firsts and position.sequence:
            self._say(f"records {position.sequence} to {firsts[0] - 1} were trimmed before they were read")
        for first in [*before[-1:], *firsts[:1]]:
            if self._open(first):
                return self._advance(position)
        return None

    def _open(self, first: int) -> bool:
        """Place the cursor at the beginning of segment `first`; False if it was trimmed meanwhile."""
        firsts = self._folder.segments()
        try:
            segment = Segment(segment_path(self._folder, first), first, self._frames)
        except FileNotFoundError:
            return False
        if self._cursor:
            self._cursor.segment.close()
        stop = next((other for other in firsts if other > first), _NO_END)
        self._cursor = _Cursor(segment, stop, 0, first)
        return True

    def _advance(self, position: Position) -> _Cursor | None:
        cursor = self._cursor
        while cursor and cursor.sequence < min(position.sequence, cursor.stop):
            frame = self._sound_frame(cursor)
            if frame is None or frame.sequence >= position.sequence:
                break
            cursor.offset += frame.size
            cursor.sequence = frame.sequence + 1
        return cursor

    def _next_frame(self, cursor: _Cursor, durable: int) -> Frame | None:
        """Return the frame at the cursor, moved on over damage and into the next segment; None at the durable end."""
        while cursor.sequence < durable:
            frame = self._sound_frame(cursor) if cursor.sequence < cursor.stop else None
            if frame and frame.sequence < durable:
                return frame
            if not self._enter_next(cursor):
                return None
        return None

    def _sound_frame(self, cursor: _Cursor) -> Frame | None:
        """Return the frame at the cursor, which moves over damage; None at the segment's end."""
        frame = cursor.segment.frame(cursor.offset)
        if frame and cursor.sequence <= frame.sequence < cursor.stop:
            return frame
        place = cursor.segment.find(cursor.offset, cursor.sequence)
        if place is None:
            return None
        frame = cursor.segment.frame(place)
        if frame is None or frame.sequence >= cursor.stop:
            return None
        self._say_lost(f"records {cursor.sequence} to {frame.sequence - 1}", place - cursor.offset)
        cursor.offset = place
        return frame

    def _enter_next(self, cursor: _Cursor) -> bool:
        """Go to the segment after the cursor's; False if there is none yet."""
        later = [first for first in self._folder.segments() if first > cursor.segment.first]
        if not later:
            return False
        try:
            segment = Segment(segment_path(self._folder, later[0]), later[0], self._frames)
        except FileNotFoundError:
            return True
        if segment.first > cursor.sequence:
            self._say_lost(f"records {cursor.sequence} to {segment.first - 1}", 0)
        cursor.segment.close()
        cursor.segment, cursor.offset, cursor.sequence = segment, 0, segment.first
        cursor.stop = later[1] if len(later) > 1 else _NO_END
        return True

    def _say_lost(self, what: str, size: int) -> None:
        self._say(f"{what} unreadable or gone, passed over ({size} bytes)")

    def _say(self, what: str) -> None:
        """Log `what`, once while it is read again and again."""
        if what != self._said:
            self._said = what
            logger.error("reader %s: %s", self._reader, what)

    def _say_if_beyond(self, position: Position, durable: int) -> None:
        if position.sequence > durable > 0:
            self._say(f"position {position.sequence} lies beyond the journal's end; is this folder an old copy?")


def _part(record: Record, start: int, stop: int) -> Record:
    if start == 0 and stop == record.item_count:
        return record
    try:
        return record.slice(start, stop)
    except InvalidRequestError:
        return record
