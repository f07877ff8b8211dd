"""Reading one segment file: frames by offset, and the way on after damage."""

import os
from collections.abc import Iterator
from pathlib import Path

from ganglion_collector.journal._frame import HEADER_SIZE, MAGIC, MAX_META_BYTES, Frame, FrameFormat

__all__ = ["Segment"]

_BLOCK = 64 * 1024
_SEARCH = 1024 * 1024


class Segment:
    """An open segment file. Frames may be cached until `forget`; whoever reads beside a writer calls it first."""

    def __init__(self, path: Path, first: int, frames: FrameFormat) -> None:
        self.first = first
        self.path = path
        self._frames = frames
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._block = b""
        self._block_at = 0

    def frame(self, offset: int) -> Frame | None:
        """Return the frame at `offset`; None if there is none, or not a sound one."""
        if not self._has(offset, HEADER_SIZE + MAX_META_BYTES):
            self._block, self._block_at = os.pread(self._file, _BLOCK, offset), offset
        return self._frames.parse(self._block, offset - self._block_at)

    def payload(self, offset: int, frame: Frame) -> bytes | None:
        """Return the payload of the frame at `offset`; None if it is not what was appended."""
        start = offset + frame.payload_offset
        if self._has(start, frame.payload_size):
            start -= self._block_at
            payload = self._block[start : start + frame.payload_size]
        else:
            payload = os.pread(self._file, frame.payload_size, start)
        return payload if self._frames.holds(frame, payload) else None

    def _has(self, offset: int, size: int) -> bool:
        return self._block_at <= offset and offset + size <= self._block_at + len(self._block)

    def find(self, offset: int, sequence: int) -> int | None:
        """Return where, from `offset` on, the next sound frame of `sequence` or later begins; None if nowhere."""
        for place in self._magic_from(offset):
            frame = self.frame(place)
            if frame and frame.sequence >= sequence and self.payload(place, frame) is not None:
                return place
        return None

    def _magic_from(self, offset: int) -> Iterator[int]:
        while chunk := os.pread(self._file, _SEARCH, offset):
            place = chunk.find(MAGIC)
            while place >= 0:
                yield offset + place
                place = chunk.find(MAGIC, place + 1)
            if len(chunk) < len(MAGIC):
                return
            offset += len(chunk) - len(MAGIC) + 1

    def sound_frames(self) -> Iterator[tuple[int, Frame]]:
        """Yield offset and frame of every frame that is whole, passing over damage."""
        offset, sequence = 0, self.first
        while True:
            frame = self.frame(offset)
            if frame is None or frame.sequence < sequence or self.payload(offset, frame) is None:
                found = self.find(offset + 1, sequence)
                if found is None:
                    return
                offset = found
                continue
            yield offset, frame
            offset, sequence = offset + frame.size, frame.sequence + 1

    def is_blank(self, offset: int) -> bool:
        """Tell whether only zeros stand from `offset` on."""
        while chunk := os.pread(self._file, _SEARCH, offset):
            if chunk.count(0) < len(chunk):
                return False
            offset += len(chunk)
        return True

    def forget(self) -> None:
        self._block = b""

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)
