"""What a worker's components remember: given back at the start, saved when it is due, flushed by a connector."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ganglion_collector import telemetry
from ganglion_collector.checkpoint import Checkpoint, Saved
from ganglion_collector.component import Batch, Connector, Derived, Position, Source, Stateful
from ganglion_collector.delivery import Health, StoppedError
from ganglion_collector.doorbell import ring
from ganglion_collector.errors import RetryableError

__all__ = ["ConnectorEnd", "Flushing", "Memory"]

_logger = logging.getLogger(__name__)

_SAVE_INTERVAL = 1.0
_SAVE_SHARE = 50
"""A save waits for this many times what the last one took: it costs 2 % of the time at most."""
_FIRST_FLUSH = 1.0
_RETRY_PAUSE = 0.5
_CROWDED = 0.5
"""Share of a derived stream's quota from which a connector waits with its output: it goes on taking in, and what it
makes sums up for longer, so that a destination of metrics that is away for long does not stop traces."""


@dataclass(frozen=True, slots=True)
class Flushing:
    """A connector whose output is saved with its state; `bells` ring those who read it."""

    id: str
    connector: Connector
    quota_bytes: int
    bells: Sequence[int]


class ConnectorEnd:
    """A connector where a pipeline has an exporter."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> None:
        self._connector.consume(batch)

    async def shutdown(self) -> None: ...


class Memory:
    """Saves `components` by their names in `checkpoint`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        components: Mapping[str, Stateful],
        health: Health,
        flushing: Flushing | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._components = components
        self._health = health
        self._flushing = flushing
        self._loaded = Saved()
        self._saved: Mapping[Source, Position] | None = None
        self._stopping = asyncio.Event()
        self._save_at = self._flush_at = 0.0
        self._crowded_said = False

    def restore(self) -> None:
        """Give every component its state back. One that cannot read it begins anew, which is said."""
        self._loaded = self._checkpoint.load()
        for name, component in self._components.items():
            state = self._loaded.states.get(name)
            if state is None:
                continue
            try:
                component.restore(state)
            except ValueError as error:
                fields = {"component": name, "reason": str(error)}
                _logger.error("the saved state cannot be read; the component begins anew", extra=fields)
        self._loaded = Saved({}, self._loaded.positions)
        if self._flushing:
            self._flush_at = time.monotonic() + min(_FIRST_FLUSH, self._flushing.connector.flush_interval)
            # The one before may have been killed between the save and this.
            ring(self._flushing.bells)
            self._tell(self._flushing, ())

    def position(self, source: Source) -> Position | None:
        """Return where `source` stood at the last save; None if it was not there."""
        return self._loaded.positions.get(source)

    def stop(self) -> None:
        """Let a save that cannot be done end."""
        self._stopping.set()

    def is_due(self, positions: Mapping[Source, Position]) -> bool:
        """Tell whether `save` should be called."""
        return any(seconds <= 0 for seconds in self.patience(positions))

    def patience(self, positions: Mapping[Source, Position]) -> list[float]:
        """Return the seconds until a save, and until a flush, is due; of neither if nothing is to come."""
        return list(self._patience(positions))

    async def save(self, positions: Mapping[Source, Position], *, flush: bool) -> None:
        """Save all states with `positions`; with `flush`, what the connector has made too, if that is due.

        Where it cannot be done it is tried again: nothing more may be taken in until it is.

        Raises:
            StoppedError: `stop` was called before it could be done.
        """
        started = time.monotonic()
        output, crowded = self._flush() if flush else ((), False)
        if not output and not crowded and positions == self._saved:
            return
        states = {name: component.state() for name, component in self._components.items()}
        await self._insist(states, positions, output)
        self._saved = positions
        finished = time.monotonic()
        self._save_at = finished + max(_SAVE_INTERVAL, _SAVE_SHARE * (finished - started))
        if self._flushing and (output or crowded):
            ring(self._flushing.bells)
            self._tell(self._flushing, output)

    def close(self) -> None:
        self._checkpoint.close()

    def _patience(self, positions: Mapping[Source, Position]) -> Iterator[float]:
        now = time.monotonic()
        if positions != self._saved:
            yield max(0.0, self._save_at - now)
        if self._flushing:
            yield max(0.0, self._flush_at - now)

    def _flush(self) -> tuple[Sequence[Derived], bool]:
        """Return what is made, and whether a flush that is due is left out: the save that follows makes room."""
        if self._flushing is None or time.monotonic() < self._flush_at:
            return (), False
        connector = self._flushing.connector
        self._flush_at = time.monotonic() + connector.flush_interval
        crowded = self._checkpoint.stream_bytes > _CROWDED * self._flushing.quota_bytes
        if crowded and not self._crowded_said:
            reason = "the derived stream is half full: exporters of what is made here are behind"
            _logger.warning("nothing is flushed until there is room", extra={"reason": reason})
        self._crowded_said = crowded
        return (() if crowded else connector.flush(time.time_ns())), crowded

    async def _insist(
        self, states: Mapping[str, bytes], positions: Mapping[Source, Position], output: Sequence[Derived]
    ) -> None:
        failed = False
        while True:
            try:
                await asyncio.to_thread(self._checkpoint.save, states, positions, output)
            except RetryableError as error:
                if not failed:
                    _logger.warning("cannot save, will retry", extra={"reason": str(error)})
                failed = True
                self._health.failing(str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _RETRY_PAUSE)
                if self._stopping.is_set():
                    raise StoppedError from error
            else:
                if failed:
                    self._health.ok()
                return

    def _tell(self, flushing: Flushing, output: Sequence[Derived]) -> None:
        telemetry.set_derived(flushing.id, self._checkpoint.stream_bytes, flushing.quota_bytes)
        for derived in output:
            telemetry.count_produced(flushing.id, derived.signal, derived.item_count)
