"""The one way from a request's bytes to the journal, whatever the protocol brought them.

bytes ──▶ decompress ──▶ JSON to protobuf ──▶ check ──▶ accept (durable) ──▶ what was rejected
          └───────── in a thread when large ────────┘
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Self, TypeVar

from ganglion_collector import telemetry
from ganglion_collector.component import Authenticator, ReceiverSettings, Signal
from ganglion_collector.errors import (
    InvalidRequestError,
    PartialSuccess,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
)
from ganglion_collector.receivers.otlp.checks import Checked, check
from ganglion_collector.receivers.otlp.decompression import decompress
from ganglion_collector.receivers.otlp.json_request import json_to_protobuf

__all__ = ["Body", "Hold", "MemoryBudget", "Reception"]

_THREADS = 2
_SMALL_COMPRESSED = 16 * 1024
_SMALL_JSON = 64 * 1024
_SMALL_PROTOBUF = 1024 * 1024
_JSON_WEIGHT = 4
_RETRY_AFTER = 1.0
_MAX_WAITING_CHECKS = 16

_log = logging.getLogger(__name__)
T = TypeVar("T")


class MemoryBudget:
    """Bytes of requests that are in memory at a time; past the limit a request is refused, to come again.

    A request that is alone always finds room, so that none is refused for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        return self._used

    def hold(self) -> "Hold":
        """Open an account for one request: a context manager that gives back what it took."""
        return Hold(self)

    def change(self, size: int, own: int = 0) -> None:
        """Take `size` more bytes for a request that has `own`; raise RefusedError if there is no room."""
        with self._lock:
            if size > 0 and self._used > own and self._used + size > self._limit:
                raise RefusedError("too many bytes of requests in flight", _RETRY_AFTER)
            self._used += size


class Hold:
    """One request's share of the budget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._budget.change(-self.size)

    def take(self, size: int) -> None:
        """Take more; raise RefusedError if there is no room."""
        self._budget.change(size, self.size)
        self.size += size


@dataclass(frozen=True, slots=True)
class Body:
    """A request as it came: `encoding` of its compression (None for none), JSON or protobuf, and its size limit."""

    content: bytes
    encoding: str | None
    json: bool
    limit: int


class Reception:
    """Checks requests and hands them over; shared by a receiver's servers."""

    def __init__(self, settings: ReceiverSettings, memory_limit: int) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="otlp")
        self._waiting_checks = 0
        self.memory = MemoryBudget(memory_limit)

    @property
    def signals(self) -> frozenset[Signal]:
        return self._settings.signals

    async def take(
        self, signal: Signal, transport: str, body: Body, context: Mapping[str, str], hold: Hold
    ) -> PartialSuccess | None:
        """Make a request durable; return what was rejected of it.

        Raises:
            InvalidRequestError, TooLargeError: it can never be taken.
            RefusedError: there is no room now.
        """
        checked = await self._checked(signal, body, hold)
        if checked.rejected is not None:
            telemetry.count_refused(signal, self._settings.component_id, transport, checked.rejected.rejected)
        if checked.item_count:
            await self._accept(signal, transport, checked, context)
        return checked.rejected

    async def authenticate(self, authenticator: Authenticator, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the sender's context; credentials that take long to check do not hold up the others.

        Raises:
            UnauthenticatedError: they are missing or wrong.
            RefusedError: too many are being checked.
        """
        known = authenticator.recognise(headers)
        if known is not None:
            return known
        if self._waiting_checks >= _MAX_WAITING_CHECKS:
            raise RefusedError("too many credentials are being checked", _RETRY_AFTER)
        self._waiting_checks += 1
        try:
            return await self._run(lambda: authenticator.authenticate(headers))
        finally:
            self._waiting_checks -= 1

    def tell(self, transport: str, error: BaseException | None) -> None:
        """Count a request by its outcome; log an error that nobody foresaw, without the request."""
        outcome = _outcome(error)
        telemetry.count_request(self._settings.component_id, transport, outcome)
        if outcome == "failure" and error is not None:
            # An exception's text may hold a part of the request: only its type and place are logged.
            place = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a request over %s failed: %s\n%s", transport, type(error).__name__, place)

    def close(self) -> None:
        """Let go of the threads. Safe twice."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _checked(self, signal: Signal, body: Body, hold: Hold) -> Checked:
        if _is_small(body):
            return _prepare(signal, body, hold)
        return await self._run(lambda: _prepare(signal, body, hold))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _accept(self, signal: Signal, transport: str, checked: Checked, context: Mapping[str, str]) -> None:
        receiver = self._settings.component_id
        try:
            await self._settings.accept(signal, checked.payload, checked.item_count, context)
        except RefusedError:
            telemetry.count_refused(signal, receiver, transport, checked.item_count)
            raise
        except Exception:
            telemetry.count_failed(signal, receiver, transport, checked.item_count)
            raise
        telemetry.count_accepted(signal, receiver, transport, checked.item_count)


def _is_small(body: Body) -> bool:
    size = len(body.content)
    if body.encoding is not None:
        return size <= _SMALL_COMPRESSED
    return size <= (_SMALL_JSON if body.json else _SMALL_PROTOBUF)


def _prepare(signal: Signal, body: Body, hold: Hold) -> Checked:
    content = body.content
    if body.encoding is not None:
        content = decompress(body.encoding, content, body.limit, hold.take)
    if len(content) > body.limit:
        raise TooLargeError(f"the request is larger than {body.limit} bytes")
    if body.json:
        hold.take(_JSON_WEIGHT * len(content))
        content = json_to_protobuf(signal, content)
    return check(signal, content)


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return "success"
        case RefusedError():
            return "refused"
        case InvalidRequestError():
            return "invalid"
        case TooLargeError():
            return "too_large"
        case UnauthenticatedError():
            return "unauthenticated"
        case _:
            return "failure"
