"""Wake-ups between processes: a pipe for each worker, rung when the journal has grown.

    receiver ──ring──▶ [pipe] ──wait──▶ worker

The supervisor makes the pipes and keeps both ends open, so that a ring survives a restart of either side.
"""

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from ganglion_collector.otlp import Signal

__all__ = ["Bells", "Doorbell", "make_doorbell", "ring"]

_PAUSE = 1.0


def make_doorbell() -> tuple[int, int]:
    """Return the end to wait on and the end to ring, both non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return reading, writing


def ring(ends: Iterable[int]) -> None:
    """Wake everyone who waits. A full pipe rings already; a closed one has nobody behind it."""
    for end in ends:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(end, b"\0")


class Bells:
    """The ends to ring, by the signal that a worker reads.

    Whose signal was stored is woken at once. Everyone is a second later, and once a second while the journal grows:
    passing over the records of others costs a wake-up, and the trim waits until all have.
    """

    def __init__(self, ends: Mapping[Signal, Sequence[int]]) -> None:
        self._ends = ends
        self._later: asyncio.TimerHandle | None = None

    def ring(self, signals: Collection[Signal]) -> None:
        """Tell of new records of `signals`; call it in the event loop."""
        for signal in signals:
            ring(self._ends.get(signal, ()))
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(_PAUSE, self.ring_all)

    def ring_all(self) -> None:
        self._later = None
        for ends in self._ends.values():
            ring(ends)


class Doorbell:
    """The end that a worker waits on; it may ring for nothing, and never fails to ring."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._rung = asyncio.Event()

    def clear(self) -> None:
        """Forget past rings; call it before looking into the journal, so that none is missed."""
        self._rung.clear()
        with suppress(BlockingIOError):
            while os.read(self._end, 4096):
                pass

    def wake(self) -> None:
        """Ring from within this process."""
        self._rung.set()

    async def wait(self, timeout: float | None = None) -> None:
        """Return once it has rung since `clear`, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end, self._rung.set)
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(self._end)
