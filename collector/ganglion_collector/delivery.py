"""Bring one batch to its destination, whatever it takes.

    export ──ok──────────▶ done
       │ RetryableError, timeout, OSError ──▶ wait, longer each time ──▶ export again
       │                                        └ given up (`max_elapsed_time`) ──▶ dead letters, record by record
       └ PermanentError, any other exception ──▶ halves, in order ──▶ … ──▶ the bad item alone ──▶ dead letters

Where the destination keeps the position, it moves past dead letters by the export of a batch without records.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ganglion_collector import log, telemetry
from ganglion_collector.attempts import Attempts
from ganglion_collector.backoff import Backoff
from ganglion_collector.component import Batch, Exporter, KeepsPosition, Position, RetryConfig, Signal, Source
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.set_aside import SetAside

__all__ = ["Delivery", "DeliverySettings", "Health", "PositionMovedError", "StoppedError"]

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

_QUIET = 5.0
"""Seconds between two log lines about items set aside."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """`exporter` is its id, or that of a connector; `timeout` seconds for one attempt, 0 for no limit."""

    signal: Signal
    exporter: str
    timeout: float
    retry: RetryConfig
    connects: bool = False


class Health(Protocol):
    """Where a worker tells how it is."""

    def ok(self) -> None: ...

    def failing(self, reason: str) -> None: ...


class PositionMovedError(Exception):
    """The destination stands elsewhere than this worker believed: at `position`."""

    def __init__(self, position: Position) -> None:
        super().__init__(position)
        self.position = position


class StoppedError(Exception):
    """The worker was asked to stop; the batch in hand stays in the journal."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """`kind` is a metric's label, `divisible` says whether smaller parts may fare better."""

    reason: str
    kind: str
    divisible: bool


class Delivery:
    """Delivers batches one after another through one exporter."""

    def __init__(
        self, settings: DeliverySettings, exporter: Exporter, attempts: Attempts, set_aside: SetAside, health: Health
    ) -> None:
        self._settings = settings
        self._exporter = exporter
        self._attempts = attempts
        self._letters = set_aside
        self._health = health
        self._stopping = asyncio.Event()
        self._may_be_set_aside = True
        self._set_aside_unsaid = 0
        self._quiet_until = 0.0

    def stop(self) -> None:
        """Wait no more: an attempt under way ends as it does, and none follows a failure."""
        self._stopping.set()

    async def position(self, source: Source) -> Position | None:
        """Return where the destination says that `source` stands; None where it does not keep positions.

        Raises:
            StoppedError: `stop` was called before it could be asked.
        """
        exporter = self._exporter
        found = await self._insist(lambda: exporter.position(source)) if isinstance(exporter, KeepsPosition) else None
        self._health.ok()
        return found

    async def deliver(self, batch: Batch) -> None:
        """Return when the destination or the dead letters have every item of `batch`.

        Raises:
            PositionMovedError: the destination has moved on, or back.
            StoppedError: `stop` was called before that.
        """
        # Killed between a dead letter and the move past it, the one before may have set some of it aside.
        self._may_be_set_aside = self._may_be_set_aside and await self._items_set_aside(batch) > 0
        parts = [batch]
        while parts:
            part = parts.pop()
            failure = await self._settle(part)
            if failure is None:
                continue
            if failure.divisible and part.item_count > 1:
                parts.extend(reversed(part.split()))
                continue
            await self._set_aside(part, failure)

    async def _settle(self, part: Batch) -> _Failure | None:
        """Try until the destination has `part` (None) or never will."""
        if self._attempts.is_condemned(_first(part)):
            return _Failure("the worker process died of it, even alone", "crashed", divisible=False)
        if self._may_be_set_aside and (held := await self._items_set_aside(part)):
            return _Failure("set aside before", "repeated", divisible=held < part.item_count)
        backoff = Backoff(self._settings.retry)
        failed = False
        while True:
            try:
                if not (failed and await self._was_taken(part)):
                    await self._attempt(part)
            except (PositionMovedError, StoppedError):
                raise
            except (RetryableError, OSError) as error:
                failed = True
                self._count_failed(part)
                if backoff.is_over():
                    return _Failure(f"given up; the last error: {error}", "gave_up", divisible=False)
                await self._wait(backoff, error)
            except Exception as error:  # noqa: BLE001 (an exporter's bug must not stop what follows)
                self._count_failed(part)
                return self._failure(error)
            else:
                self._health.ok()
                return None

    async def _attempt(self, part: Batch) -> None:
        settings = self._settings
        self._attempts.begin(_first(part), part.end, part.item_count)
        self._tell_in_flight(1)
        started = time.monotonic()
        try:
            outcome = await self._limited(self._exporter.export(part))
        finally:
            self._attempts.survived()
            self._tell_in_flight(0)
        telemetry.observe_export(settings.signal, settings.exporter, part.item_count, time.monotonic() - started)
        self._count_sent(part, outcome)

    async def _was_taken(self, part: Batch) -> bool:
        """Tell whether an attempt that seemed to fail had succeeded; False if the destination does not know."""
        if not isinstance(self._exporter, KeepsPosition):
            return False
        position = await self._limited(self._exporter.position(part.source))
        if position is None or position == part.start:
            return False
        if position != part.end:
            raise PositionMovedError(position)
        self._count_sent(part, None)
        return True

    async def _set_aside(self, part: Batch, failure: _Failure) -> None:
        """Move `part` to the dead letters, unless its last attempt had succeeded after all."""
        if await self._insist(lambda: self._was_taken(part)):
            return
        await self._insist(lambda: self._buried(part, failure))
        if isinstance(self._exporter, KeepsPosition):
            empty = replace(part, records=())
            await self._insist(lambda: self._moved_past(empty))

    async def _items_set_aside(self, part: Batch) -> int:
        async def ask() -> int:
            return self._letters.items_held(part)

        return await self._insist(ask)

    async def _buried(self, part: Batch, failure: _Failure) -> None:
        self._letters.put(part, failure.reason)
        settings = self._settings
        telemetry.count_dead_lettered(settings.signal, settings.exporter, part.item_count, failure.kind)
        self._set_aside_unsaid += part.item_count
        if time.monotonic() < self._quiet_until:
            return
        fields = {"exporter": settings.exporter, "items": self._set_aside_unsaid, "reason": failure.reason}
        _logger.warning("items moved to the dead letters", extra=fields)
        self._set_aside_unsaid = 0
        self._quiet_until = time.monotonic() + _QUIET

    async def _moved_past(self, empty: Batch) -> None:
        if not await self._was_taken(empty):
            await self._exporter.export(empty)

    async def _insist(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `action` returns, trying again after every error, for ever."""
        backoff = Backoff(self._settings.retry)
        while True:
            try:
                return await self._limited(action())
            except (PositionMovedError, StoppedError):
                raise
            except (RetryableError, PermanentError, OSError) as error:
                await self._wait(backoff, error)
            except Exception as error:  # noqa: BLE001 (nothing could be done with these items but try again)
                _log_unexpected(self._settings.exporter, error)
                await self._wait(backoff, RetryableError(f"unexpected {type(error).__qualname__}"))

    async def _limited(self, action: Awaitable[_T]) -> _T:
        seconds = self._settings.timeout or None
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await action
        except TimeoutError as error:
            if limit.expired():
                raise RetryableError(f"no answer within {seconds:g} s") from error
            raise

    async def _wait(self, backoff: Backoff, error: Exception) -> None:
        retry_after = error.retry_after if isinstance(error, RetryableError) else None
        seconds = backoff.next(retry_after)
        reason = str(error) or type(error).__qualname__
        fields = {"exporter": self._settings.exporter, "reason": reason, "retry_in": round(seconds, 2)}
        _logger.warning("exporting failed, will retry", extra=fields)
        self._health.failing(reason)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        if self._stopping.is_set():
            raise StoppedError

    def _failure(self, error: Exception) -> _Failure:
        if isinstance(error, PermanentError):
            return _Failure(str(error), "permanent", error.divisible)
        _log_unexpected(self._settings.exporter, error)
        return _Failure(f"unexpected {type(error).__qualname__}", "unexpected", divisible=True)

    def _tell_in_flight(self, requests: int) -> None:
        if not self._settings.connects:
            telemetry.set_in_flight(self._settings.signal, self._settings.exporter, requests)

    def _count_failed(self, part: Batch) -> None:
        settings = self._settings
        if settings.connects:
            telemetry.count_consumed(settings.signal, settings.exporter, part.item_count, "failure")
            return
        telemetry.count_send_failed(settings.signal, settings.exporter, part.item_count)

    def _count_sent(self, part: Batch, outcome: PartialSuccess | None) -> None:
        settings = self._settings
        if settings.connects:
            telemetry.count_consumed(settings.signal, settings.exporter, part.item_count, "success")
            return
        rejected = min(outcome.rejected, part.item_count) if outcome else 0
        telemetry.count_sent(settings.signal, settings.exporter, part.item_count - rejected)
        if outcome is None:
            return
        telemetry.count_send_failed(settings.signal, settings.exporter, rejected)
        fields = {"exporter": settings.exporter, "rejected": rejected, "reason": outcome.message}
        _logger.warning("partial success", extra=fields)


def _first(part: Batch) -> Position:
    return next((record.start for record in part.records), part.start)


def _log_unexpected(exporter: str, error: Exception) -> None:
    _logger.error("exporter failed unexpectedly", extra={"exporter": exporter, "stack": log.stack(error)})
