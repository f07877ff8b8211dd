"""The one appender of a journal of segment files.

A segment is sealed when it has reached its target size; trim deletes sealed segments whole. The last segment always
stays, so that its name keeps the sequence going after everything else was trimmed.
"""

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ganglion_collector.component import Position
from ganglion_collector.errors import CollectorError, RefusedError, TooLargeError
from ganglion_collector.journal import Entry, Usage
from ganglion_collector.journal._duplicates import Duplicates, read_digests, write_digests
from ganglion_collector.journal._folder import (
    DurableEnd,
    Folder,
    check_in_place,
    lock,
    segment_path,
    sync,
    sync_directory,
)
from ganglion_collector.journal._frame import HEADER_SIZE, FrameFormat, meta_of
from ganglion_collector.journal._segment import Segment

__all__ = ["SegmentWriter"]

_MAX_SEGMENT_BYTES = 32 * 1024 * 1024
_SEGMENTS_PER_QUOTA = 16
_MAX_DIGESTS = 131_072
_QUOTA_BYTES_PER_DIGEST = 2048
_FULL_RETRY_AFTER = 2.0
_FAILED_RETRY_AFTER = 5.0
_MOST_BUFFERS = 512
_SMALL_COMMIT = 128 * 1024
_ZEROS = bytes(512 * 1024)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Staged:
    """An entry that has its place in the coming write, and the identical ones that came with it."""

    entry: Entry
    meta: bytes
    digest: bytes
    places: list[int]

    @property
    def size(self) -> int:
        return HEADER_SIZE + len(self.meta) + len(self.entry.payload)


@dataclass(slots=True)
class _Active:
    """The segment that is written to; `size` is its durable part, `reserved` how far there are zeros behind it."""

    first: int
    file: int
    size: int = 0
    reserved: int = 0
    digests: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])


@dataclass(slots=True)
class _Plan:
    outcomes: list[bool | Exception]
    staged: dict[bytes, _Staged]
    size: int = 0


class SegmentWriter:
    """Appends to a journal and gives back its space; `append` and `trim` may run in two threads."""

    def __init__(self, folder: Folder, quota_bytes: int, deduplication_window: float) -> None:
        self._folder = folder
        self._quota = quota_bytes
        self._target = max(4096, min(_MAX_SEGMENT_BYTES, quota_bytes // _SEGMENTS_PER_QUOTA))
        self._window = deduplication_window
        limit = max(1024, min(_MAX_DIGESTS, quota_bytes // _QUOTA_BYTES_PER_DIGEST))
        self._duplicates = Duplicates(deduplication_window, limit)
        self._frames = FrameFormat(folder.identity)
        self._appending = threading.Lock()
        self._trimming = threading.Lock()
        self._starved = False
        self._suspect = False
        self._failing: str | None = None
        self._lock = lock(folder)
        self._durable = DurableEnd(folder)
        self._sealed: dict[int, int] = {}
        self._closed = False
        self._active: _Active
        self._next: int
        try:
            self._recover()
        except BaseException:
            self._durable.close()
            os.close(self._lock)
            raise

    @property
    def identity(self) -> UUID:
        return self._folder.identity

    def append(self, entries: Sequence[Entry]) -> Sequence[bool | Exception]:
        """Append what is not a recent duplicate and fsync; blocking. Outcomes as `JournalWriter.append` says."""
        with self._appending:
            if self._closed:
                return [RefusedError("the journal is closed", _FULL_RETRY_AFTER)] * len(entries)
            self._check_in_place()
            plan = self._plan(entries)
            for chunk in self._chunks(plan.staged.values()):
                self._store(chunk, plan.outcomes)
            return plan.outcomes

    def _check_in_place(self) -> None:
        self._durable.check_in_place()
        check_in_place(self._active.file, segment_path(self._folder, self._active.first))

    def _plan(self, entries: Sequence[Entry]) -> _Plan:
        plan = _Plan([False] * len(entries), {}, self._size())
        for place, entry in enumerate(entries):
            try:
                self._stage(plan, place, entry)
            except CollectorError as error:
                plan.outcomes[place] = error
        return plan

    def _stage(self, plan: _Plan, place: int, entry: Entry) -> None:
        meta = meta_of(entry)
        digest = self._frames.digest(entry.signal, meta, entry.payload)
        if self._window > 0:
            if twin := plan.staged.get(digest):
                twin.places.append(place)
                return
            if (digest, entry.received_at) in self._duplicates:
                return
        staged = _Staged(entry, meta, digest, [place])
        self._make_sure_of_room(plan.size, staged.size)
        plan.size += staged.size
        plan.staged[digest if self._window > 0 else place.to_bytes(8, "big")] = staged

    def _make_sure_of_room(self, used: int, size: int) -> None:
        if size > self._quota:
            raise TooLargeError(f"a request of {size} bytes cannot be stored: the journal's quota is {self._quota}")
        if used + size > self._quota:
            self._starved = True
            raise RefusedError("the journal is full: exporters are behind", _FULL_RETRY_AFTER)

    def _chunks(self, staged: Collection[_Staged]) -> Iterator[list[_Staged]]:
        """Cut what is staged so that no chunk makes a segment overshoot its target, save by a single large entry."""
        chunk: list[_Staged] = []
        size = 0
        for one in staged:
            if chunk and size + one.size > self._target:
                yield chunk
                chunk, size = [], 0
            chunk.append(one)
            size += one.size
        if chunk:
            yield chunk

    def _store(self, chunk: list[_Staged], outcomes: list[bool | Exception]) -> None:
        try:
            self._write(chunk)
        except OSError as error:
            self._starved = True
            self._say_failing(error.strerror or str(error))
            refusal = RefusedError(f"the journal cannot be written: {error.strerror}", _FAILED_RETRY_AFTER)
            for staged in chunk:
                for place in staged.places:
                    outcomes[place] = refusal
            return
        self._say_failing(None)
        self._durable.publish(self._next)
        for staged in chunk:
            outcomes[staged.places[0]] = True
            self._duplicates.add(staged.digest, staged.entry.received_at)

    def _say_failing(self, reason: str | None) -> None:
        """Log when writing begins to fail, for another reason, or works again; not every refused request."""
        if reason == self._failing:
            return
        self._failing = reason
        if reason:
            logger.error("journal: cannot write, requests are refused: %s", reason)
        else:
            logger.warning("journal: writes again")

    def _write(self, chunk: list[_Staged]) -> None:
        """Write and sync; after an error the segment is cut back and `_next` as it was."""
        size = sum(staged.size for staged in chunk)
        self._settle()
        if self._active.size and self._active.size + size > self._target:
            self._roll(self._next)
        buffers: list[bytes] = []
        for sequence, staged in enumerate(chunk, self._next):
            buffers += (self._frames.head(staged.entry, staged.meta, staged.digest, sequence), staged.entry.payload)
        ahead = self._zeros_ahead(size)
        self._suspect = True
        try:
            _write_all(self._active.file, [*buffers, _ZEROS[:ahead]] if ahead else buffers, self._active.size)
            sync(self._active.file)
        except OSError:
            with contextlib.suppress(OSError):  # else the next append does it first
                os.ftruncate(self._active.file, self._active.size)
            self._active.reserved = 0
            raise
        self._suspect = False
        self._active.size += size
        self._active.reserved = max(self._active.reserved, self._active.size + ahead)
        self._active.digests += [(staged.digest, staged.entry.received_at) for staged in chunk]
        self._next += len(chunk)

    def _zeros_ahead(self, size: int) -> int:
        """Return how many zeros to write behind `size` bytes of data.

        Small commits then overwrite what is there already: while a file grows, each sync waits for the file system's
        own journal, which costs twice the processor time, and many times the wait where others use the disk.
        """
        active = self._active
        if active.size + size <= active.reserved or size > _SMALL_COMMIT or self._failing:
            return 0
        room = min(self._target - active.size, (self._quota - self._size()) // 2)
        return max(0, min(len(_ZEROS), room - size))

    def _settle(self) -> None:
        """Cut off what a failed write left, and leave a file whose sync failed.

        After a failed fsync the kernel may hold pages for clean that never reached the disk, and the next fsync
        succeeds (https://wiki.postgresql.org/wiki/Fsync_Errors). So nothing is acknowledged on that file again, unless
        it is empty: then every page is written anew.
        """
        if not self._suspect:
            return
        os.ftruncate(self._active.file, self._active.size)
        if self._active.size:
            self._roll(self._next)
        self._suspect = False

    def _roll(self, first: int) -> None:
        """Seal the active segment and begin one at `first`."""
        new = self._begin(first)
        old = self._active
        with contextlib.suppress(OSError):  # without it, the digests are read from the segment at the next start
            write_digests(segment_path(self._folder, old.first, ".digests"), old.digests)
        self._active = new
        self._sealed[old.first] = old.size
        _close_segment(old)

    def _begin(self, first: int) -> _Active:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.open(segment_path(self._folder, first), flags, 0o600)
        try:
            sync_directory(self._folder.path / "segments")
        except OSError:
            os.close(file)
            raise
        return _Active(first, file)

    def trim(self, readers: Collection[str]) -> int:
        """Delete the segments that every one of `readers` has committed; return the bytes freed.

        A reader that committed nothing yet holds everything, and without readers nothing is trimmed.
        """
        with self._trimming:
            if not readers or self._closed:
                return 0
            done = min(self._position(reader) for reader in readers).sequence
            with self._appending:
                if self._starved and done >= self._next and self._active.size:
                    self._roll(self._next)
                self._starved = False
                firsts = [*self._sealed, self._active.first]
            freed = sum(self._delete(first) for first, stop in itertools.pairwise(firsts) if stop <= done)
            self._forget_old_digests()
            return freed

    def _position(self, reader: str) -> Position:
        with contextlib.suppress(ValueError):  # the reader itself says that its position is unusable
            return self._folder.position(reader) or Position()
        return Position()

    def _delete(self, first: int) -> int:
        segment_path(self._folder, first).unlink(missing_ok=True)
        with self._appending:
            return self._sealed.pop(first)

    def _forget_old_digests(self) -> None:
        border = time.time() - self._window - 60
        for path in (self._folder.path / "segments").glob("*.digests"):
            if int(path.stem) not in self._sealed and path.stat().st_mtime < border:
                path.unlink()

    def usage(self) -> Usage:
        """Return how full the journal is. Takes no lock: an event loop may ask during an fsync."""
        active = self._active
        sealed = list(self._sealed.items())
        oldest = min((first for first, _ in sealed), default=active.first)
        return Usage(sum(size for _, size in sealed) + active.size, self._quota, oldest, self._next)

    def _size(self) -> int:
        return sum(self._sealed.values()) + self._active.size

    def close(self) -> None:
        """Release the journal; what is committed is durable already. Safe twice."""
        with self._trimming, self._appending:
            if self._closed:
                return
            self._closed = True
            _close_segment(self._active)
            self._durable.close()
            os.close(self._lock)

    def _recover(self) -> None:
        """Find the end again: cut a torn tail, make what is whole durable, learn the recent digests."""
        firsts = self._folder.segments()
        self._active = self._begin(firsts[-1] if firsts else 0)
        self._sealed = {first: segment_path(self._folder, first).stat().st_size for first in firsts[:-1]}
        self._next = self._active.first
        self._learn_sealed()
        self._recover_active()
        end = max(self._next, self._durable.get(), self._committed())
        if end > self._next:
            logger.error("journal: records %d to %d are lost: the disk did not keep them", self._next, end - 1)
            self._next = end
            self._roll(end)
        self._durable.publish(self._next)

    def _recover_active(self) -> None:
        segment = Segment(segment_path(self._folder, self._active.first), self._active.first, self._frames)
        try:
            for offset, frame in segment.sound_frames():
                if offset > self._active.size:
                    lost = offset - self._active.size
                    logger.error("journal: %d bytes of %s are damaged, passed over", lost, segment.path.name)
                self._active.size = offset + frame.size
                self._next = frame.sequence + 1
                self._active.digests.append((frame.digest, frame.received_at))
                self._duplicates.add(frame.digest, frame.received_at)
            torn = segment.size() - self._active.size
            is_blank = segment.is_blank(self._active.size)
        finally:
            segment.close()
        if torn:
            if not is_blank:
                logger.warning("journal: cut %d bytes of an unfinished write off %s", torn, segment.path.name)
            os.ftruncate(self._active.file, self._active.size)
        sync(self._active.file)

    def _learn_sealed(self) -> None:
        border = time.time() - self._window - 60
        known = {int(path.stem): path for path in (self._folder.path / "segments").glob("*.digests")}
        for first in sorted(known.keys() | self._sealed.keys()):
            path = segment_path(self._folder, first, ".digests")
            log = segment_path(self._folder, first)
            newest = path if first in known else log
            if newest.stat().st_mtime < border or first == self._active.first:
                continue
            for digest, received_at in read_digests(path) or self._scan(first):
                self._duplicates.add(digest, received_at)

    def _scan(self, first: int) -> list[tuple[bytes, int]]:
        if first not in self._sealed:
            return []
        segment = Segment(segment_path(self._folder, first), first, self._frames)
        try:
            return [(frame.digest, frame.received_at) for _, frame in segment.sound_frames()]
        finally:
            segment.close()

    def _committed(self) -> int:
        """Return the first sequence that no reader has committed anything of."""
        positions = map(self._position, self._folder.readers())
        return max((position.sequence + bool(position.item) for position in positions), default=0)


def _close_segment(segment: _Active) -> None:
    if segment.reserved > segment.size:
        with contextlib.suppress(OSError):  # zeros at the end of a segment do no harm
            os.ftruncate(segment.file, segment.size)
    os.close(segment.file)


def _write_all(file: int, buffers: list[bytes], offset: int) -> None:
    for start in range(0, len(buffers), _MOST_BUFFERS):
        part = buffers[start : start + _MOST_BUFFERS]
        size = sum(map(len, part))
        written = os.pwritev(file, part, offset)
        if written < size:
            rest = b"".join(part)[written:]
            _write_rest(file, rest, offset + written)
        offset += size


def _write_rest(file: int, rest: bytes, offset: int) -> None:
    view = memoryview(rest)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
