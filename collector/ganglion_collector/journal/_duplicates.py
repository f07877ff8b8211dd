"""Requests that came lately, by digest, so that a retried one is stored once."""

import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ganglion_collector.journal._folder import sync

__all__ = ["Duplicates", "read_digests", "write_digests"]

_ENTRY = struct.Struct("<16sQ")
_GENERATIONS = 8

logger = logging.getLogger(__name__)


class Duplicates:
    """Remembers digests for `window` seconds, at most `limit` of them.

    Ages are kept in whole seconds: a request is recognised for up to one second longer. Past the limit the oldest are
    forgotten early, which is said once.
    """

    def __init__(self, window: float, limit: int) -> None:
        self._window = window
        self._limit = limit
        self._generations: deque[dict[bytes, int]] = deque([{}])
        self._second = 0
        self._said = False

    def __contains__(self, request: tuple[bytes, int]) -> bool:
        """Tell whether (digest, received_at in nanoseconds) came within the window before."""
        digest, received_at = request
        for generation in self._generations:
            seen = generation.get(digest)
            if seen is not None and received_at / 1e9 - seen < self._window + 1:
                return True
        return False

    def add(self, digest: bytes, received_at: int) -> None:
        if self._window <= 0:
            return
        second = received_at // 1_000_000_000
        if second != self._second:
            # One integer for all requests of a second: a third of the memory that one for each would take.
            self._second = second
            self._expire()
        newest = self._generations[-1]
        if len(newest) >= self._limit // _GENERATIONS:
            newest = self._rotate()
        newest[digest] = self._second

    def _rotate(self) -> dict[bytes, int]:
        if len(self._generations) >= _GENERATIONS:
            self._generations.popleft()
            if not self._said:
                self._said = True
                logger.warning(
                    "journal: over %d requests within the deduplication window, older ones forgotten", self._limit
                )
        self._generations.append({})
        return self._generations[-1]

    def _expire(self) -> None:
        border = self._second - self._window - 1
        while len(self._generations) > 1 and _newest(self._generations[0]) < border:
            self._generations.popleft()
        oldest_of_last = next(iter(self._generations[-1].values()), self._second)
        if self._second - oldest_of_last > self._window:
            self._generations.append({})

    def __len__(self) -> int:
        return sum(map(len, self._generations))


def _newest(generation: dict[bytes, int]) -> int:
    return next(reversed(generation.values()), 0)


def write_digests(path: Path, digests: list[tuple[bytes, int]]) -> None:
    """Write the (digest, received_at) of a sealed segment, durably."""
    content = b"".join(_ENTRY.pack(*entry) for entry in digests)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content + zlib.crc32(content).to_bytes(4, "little"))
        sync(descriptor)
    finally:
        os.close(descriptor)


def read_digests(path: Path) -> Iterator[tuple[bytes, int]] | None:
    """Return what `write_digests` wrote; None if the file is absent or not whole."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[:-4]
    if zlib.crc32(content).to_bytes(4, "little") != stored[-4:] or len(content) % _ENTRY.size:
        return None
    return _ENTRY.iter_unpack(content)
