"""Group commit: what arrives while one fsync runs shares the next one."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ganglion_collector.errors import RefusedError
from ganglion_collector.journal import Entry, JournalWriter

__all__ = ["GroupCommit"]

_GROUP_BYTES = 8 * 1024 * 1024
_WAITING_BYTES = 64 * 1024 * 1024
_CLOSED_RETRY_AFTER = 1.0
_BUSY_RETRY_AFTER = 1.0
_TRIM_PAUSE = 1.0
_IDLE_SHARE = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    done: "asyncio.Future[None]"


@dataclass(slots=True)
class _Queue:
    """What waits for a commit, and the size of all that is not answered yet."""

    waiting: deque[_Waiting] = field(default_factory=deque[_Waiting])
    size: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, waiting: _Waiting) -> None:
        self.waiting.append(waiting)
        self.size += len(waiting.entry.payload)
        self.arrived.set()

    def take(self) -> list[_Waiting]:
        """Return the next group: at least one, else as many as fit into its bound."""
        group: list[_Waiting] = []
        size = 0
        while self.waiting and (not group or size + len(self.waiting[0].entry.payload) <= _GROUP_BYTES):
            group.append(self.waiting.popleft())
            size += len(group[-1].entry.payload)
        return group

    def answered(self, group: Sequence[_Waiting]) -> None:
        self.size -= sum(len(one.entry.payload) for one in group)


class GroupCommit:
    """The asyncio front of a `JournalWriter`, which it owns from now on.

    Args:
        writer: closed by `close`.
        readers: the configured readers; what all of them have committed is trimmed, off the path of the answers.
        on_durable: called in the loop after every commit that stored something: the doorbell.
    """

    def __init__(
        self, writer: JournalWriter, *, readers: Collection[str] = (), on_durable: Callable[[], None] | None = None
    ) -> None:
        self._writer = writer
        self._readers = tuple(readers)
        self._on_durable = on_durable
        self._queue = _Queue()
        self._grown = asyncio.Event()
        self._closing = False
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="journal")
        self._committing = asyncio.create_task(self._commit_loop())
        self._trimming = asyncio.create_task(self._trim_loop())

    async def append(self, entry: Entry) -> None:
        """Return when `entry`, or an identical one within the window, is durable.

        Cancelling gives up the answer, not the entry.

        Raises:
            RefusedError: no room, a failing disk or a shutdown; nothing of it is stored.
            TooLargeError: it is larger than the journal's quota.
            InvalidRequestError: its context cannot be stored.
        """
        if self._closing:
            raise RefusedError("the collector is shutting down", _CLOSED_RETRY_AFTER)
        if self._queue.size and self._queue.size + len(entry.payload) > _WAITING_BYTES:
            raise RefusedError("too many requests wait for the disk", _BUSY_RETRY_AFTER)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(entry, done))
        await done

    async def close(self) -> None:
        """Refuse what comes, commit and answer what waits, release the journal. Safe twice."""
        self._closing = True
        self._queue.arrived.set()
        await self._committing
        self._trimming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._trimming
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._threads.shutdown()
        self._writer.close()

    async def _commit_loop(self) -> None:
        while self._queue.waiting or not self._closing:
            await self._queue.arrived.wait()
            self._queue.arrived.clear()
            while group := self._queue.take():
                await self._commit(group)

    async def _commit(self, group: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        outcomes = await loop.run_in_executor(self._threads, self._append, [one.entry for one in group])
        self._queue.answered(group)
        for waiting, outcome in zip(group, outcomes, strict=True):
            _answer(waiting.done, outcome)
        if any(outcome is True for outcome in outcomes):
            self._grown.set()
            self._ring()

    def _ring(self) -> None:
        try:
            if self._on_durable:
                self._on_durable()
        except Exception:  # what is durable stays acknowledged, whoever cannot be told
            logger.exception("journal: cannot tell of new records")

    def _append(self, entries: Sequence[Entry]) -> Sequence[bool | Exception]:
        """Append; when full, trim and append again what was refused. Never raises."""
        try:
            outcomes = list(self._writer.append(entries))
            refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, RefusedError)]
            if refused and self._trim():
                again = self._writer.append([entries[place] for place in refused])
                for place, outcome in zip(refused, again, strict=True):
                    outcomes[place] = outcome
        except Exception as error:  # the loop must outlive any failure of the engine, and say it
            logger.exception("journal: append failed")
            return [RefusedError(f"the journal failed: {type(error).__name__}", _CLOSED_RETRY_AFTER)] * len(entries)
        return outcomes

    async def _trim_loop(self) -> None:
        """Trim at most once a second after growth, and on while readers still hold much."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            await asyncio.get_running_loop().run_in_executor(self._threads, self._trim)
            usage = self._writer.usage()
            if usage.size_bytes > usage.quota_bytes // _IDLE_SHARE:
                self._grown.set()
            await asyncio.sleep(_TRIM_PAUSE)

    def _trim(self) -> int:
        try:
            return self._writer.trim(self._readers)
        except OSError as error:
            logger.error("journal: cannot give space back: %s", error.strerror)
            return 0


def _answer(done: "asyncio.Future[None]", outcome: bool | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(None)
