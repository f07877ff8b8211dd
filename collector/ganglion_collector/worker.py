"""A worker: takes its tracks in turn, a batch of each, and delivers through one exporter or connector.

every track: poll ──▶ deliver ──┐
     ▲                          ▼
     └── wait for the doorbell ◀── save what is remembered, commit
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from ganglion_collector import telemetry
from ganglion_collector.component import Position, Source
from ganglion_collector.delivery import StoppedError
from ganglion_collector.doorbell import Doorbell
from ganglion_collector.memory import Memory
from ganglion_collector.track import COMMIT_INTERVAL, Track

__all__ = ["Worker"]

_DRAIN = 3.0
"""Seconds that a worker asked to stop goes on with what still waits."""


class Worker:
    """Runs until it is asked to stop. With a `memory` the positions are those of its last save."""

    def __init__(self, tracks: Sequence[Track], bell: Doorbell, memory: Memory | None = None) -> None:
        self._tracks = tracks
        self._bell = bell
        self._memory = memory
        self._stop_at: float | None = None

    def stop(self) -> None:
        """Deliver what waits, for a few seconds and while all goes well, then return from `run`. Safe twice."""
        self._stop_at = self._stop_at or time.monotonic() + _DRAIN
        for track in self._tracks:
            track.stop()
        if self._memory:
            self._memory.stop()
        self._bell.wake()

    async def run(self) -> None:
        """Deliver until `stop`; what is delivered is saved and committed then."""
        with suppress(StoppedError):
            for track in self._tracks:
                await track.find_position(self._memory.position(track.source) if self._memory else None)
            await self._loop()
            if self._memory:
                # Not after a batch that was left half delivered: the last save is older, but whole.
                await self._save(self._memory)
        if not self._memory:
            for track in self._tracks:
                track.commit(track.done)

    async def _loop(self) -> None:
        while self._stop_at is None or time.monotonic() < self._stop_at:
            self._bell.clear()
            delivered = [await self._serve(track) for track in self._tracks]
            if any(delivered):
                continue
            await self._keep()
            if self._stop_at is not None:
                return
            await self._bell.wait(self._patience())

    async def _serve(self, track: Track) -> bool:
        """Deliver the track's next batch, if one is ready."""
        batch = await track.poll(patient=self._stop_at is None)
        self._tell(track)
        if batch is None:
            return False
        await track.deliver(batch)
        await self._keep()
        return True

    async def _keep(self) -> None:
        """Save or commit what has become due."""
        if self._memory:
            if self._memory.is_due(self._positions()):
                await self._save(self._memory)
            return
        for track in self._tracks:
            if track.has_uncommitted() and track.commit_is_due():
                track.commit(track.done)

    async def _save(self, memory: Memory) -> None:
        positions = self._positions()
        await memory.save(positions, flush=self._stop_at is None)
        for track in self._tracks:
            track.commit(positions[track.source])

    def _positions(self) -> dict[Source, Position]:
        return {track.source: track.done for track in self._tracks}

    def _patience(self) -> float | None:
        """Return after how many seconds there is something to do even if nobody rings; None for never."""
        waits = [patience for track in self._tracks if (patience := track.patience()) is not None]
        if self._memory:
            waits += self._memory.patience(self._positions())
        elif any(track.has_uncommitted() for track in self._tracks):
            waits.append(COMMIT_INTERVAL)
        return min(waits, default=None)

    def _tell(self, track: Track) -> None:
        signal, exporter = track.settings.signal, track.settings.exporter
        waiting = [other.oldest_waiting for other in self._tracks if other.settings.signal is signal]
        telemetry.set_oldest_waiting(signal, exporter, min(filter(None, waiting), default=0))
        telemetry.set_position(signal, exporter, track.done.sequence)
