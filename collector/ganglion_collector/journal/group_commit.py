"""Group commit: what arrives while one fsync runs shares the next one."""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from ganglion_collector.errors import JournalLostError, RefusedError
from ganglion_collector.journal import Entry, JournalWriter
from ganglion_collector.otlp import Signal

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

    def put(self, waiting: _Waiting) -> None:
        self.waiting.append(waiting)
        self.size += len(waiting.entry.payload)

    def take(self) -> list[_Waiting]:
        """Return the next group: at least one if any waits, else as many as fit into its bound."""
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
        on_durable: called in the loop after every commit that stored something, with its signals: the doorbell.
        on_refused: called in the loop, with a reason, when there was no room for something or the disk failed.
    """

    def __init__(
        self,
        writer: JournalWriter,
        *,
        readers: Collection[str] = (),
        on_durable: Callable[[Collection[Signal]], None] | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self._writer = writer
        self._readers = tuple(readers)
        self._on_durable = on_durable
        self._on_refused = on_refused
        self._queue = _Queue()
        self._grown = asyncio.Event()
        self._lost: asyncio.Future[JournalLostError] = asyncio.get_running_loop().create_future()
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        # A thread and a queue of our own: a commit through an executor's futures costs twice as much.
        self._groups: SimpleQueue[list[_Waiting]] = SimpleQueue()
        self._committer = threading.Thread(target=self._commit_groups, name="journal-commit", daemon=True)
        self._committer.start()
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
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Waiting(entry, done))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._hand_over)  # what else has arrived by then is in the same commit
        await done

    async def lost(self) -> JournalLostError:
        """Return when the journal's files are gone, with what happened; it refuses everything from then on."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Refuse what comes, commit and answer what waits, release the journal. Safe twice."""
        self._closing = True
        await self._idle.wait()
        self._trimming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._trimming
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._groups.put([])
        self._committer.join()
        self._writer.close()

    def _hand_over(self) -> None:
        """Give the committing thread all that waits, or nothing more to do."""
        if group := self._queue.take():
            self._groups.put(group)
        else:
            self._idle.set()

    def _commit_groups(self) -> None:
        while group := self._groups.get():
            outcomes = self._append([one.entry for one in group])
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                self._loop.call_soon_threadsafe(self._answer, group, outcomes)

    def _answer(self, group: Sequence[_Waiting], outcomes: Sequence[bool | Exception]) -> None:
        self._queue.answered(group)
        self._hand_over()
        for waiting, outcome in zip(group, outcomes, strict=True):
            _answer(waiting.done, outcome)
        stored = {one.entry.signal for one, outcome in zip(group, outcomes, strict=True) if outcome is True}
        if stored:
            self._grown.set()
            self._ring(stored)
        if self._on_refused:
            for refusal in [outcome for outcome in outcomes if isinstance(outcome, RefusedError)][:1]:
                self._on_refused(str(refusal))

    def _ring(self, signals: Collection[Signal]) -> None:
        try:
            if self._on_durable:
                self._on_durable(signals)
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
        except JournalLostError as error:
            self._lost.get_loop().call_soon_threadsafe(self._tell_lost, error)
            return [RefusedError("the journal's files are gone; it begins anew", _CLOSED_RETRY_AFTER)] * len(entries)
        except Exception as error:  # the loop must outlive any failure of the engine, and say it
            logger.exception("journal: append failed")
            return [RefusedError(f"the journal failed: {type(error).__name__}", _CLOSED_RETRY_AFTER)] * len(entries)
        return outcomes

    def _tell_lost(self, error: JournalLostError) -> None:
        if not self._lost.done():
            self._lost.set_result(error)

    async def _trim_loop(self) -> None:
        """Trim at most once a second after growth, and on while readers still hold much."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            await asyncio.to_thread(self._trim)
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
