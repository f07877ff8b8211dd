"""The receiver process's inside: receivers in front, one journal behind them, admission in between."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from ganglion_collector import telemetry
from ganglion_collector.component import Acceptor, Admission, Receiver, Signal
from ganglion_collector.doorbell import Bells
from ganglion_collector.journal import Entry, JournalWriter, Usage
from ganglion_collector.journal.group_commit import GroupCommit
from ganglion_collector.journal.store import open_writer

__all__ = ["Intake", "JournalSettings", "MeasuredWriter"]

_REFUSING = 10.0
"""Seconds after a refusal for which the receivers count as refusing."""

_TELL_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where the journal is and how much it holds; `readers` hold its trim, `bells` ring when it has grown."""

    directory: Path
    quota_bytes: int
    deduplication_window: float
    readers: Collection[str]
    bells: Bells


class Intake:
    """Owns the journal's writer; `acceptor` hands a receiver its way in. Start the receivers after it."""

    def __init__(
        self,
        settings: JournalSettings,
        admissions: Mapping[tuple[str, Signal], Sequence[Admission]],
        tell_refusing: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._refusals = _Refusals(tell_refusing)
        self._admissions = admissions
        self._group: GroupCommit | None = None
        self._receivers: list[Receiver] = []

    async def start(self) -> None:
        """Open the journal, recovering what a crash left.

        Raises:
            ConfigError: the journal's folder is in use, foreign, or cannot be written.
        """
        settings = self._settings
        writer = MeasuredWriter(
            open_writer(
                settings.directory,
                quota_bytes=settings.quota_bytes,
                deduplication_window=settings.deduplication_window,
            )
        )
        self._group = GroupCommit(
            writer, readers=settings.readers, on_durable=settings.bells.ring, on_refused=self._refusals.saw
        )
        settings.bells.ring_all()

    async def start_receiver(self, receiver: Receiver) -> None:
        """Let `receiver` listen. Raises OSError when it cannot."""
        self._receivers.append(receiver)
        await receiver.start()

    async def watch(self) -> None:
        """Never return.

        Raises:
            JournalLostError: the journal's files were taken away; every request is refused until a new start.
        """
        assert self._group is not None, "watch before start"
        raise await self._group.lost()

    async def shutdown(self) -> None:
        """Stop listening, answer what is in flight, commit. Safe twice, and without start."""
        for receiver in self._receivers:
            await receiver.shutdown()
        if self._group is not None:
            await self._group.close()
        self._refusals.close()

    def acceptor(self, receiver: str) -> Acceptor:
        """Return what makes a request to `receiver` durable."""

        async def accept(signal: Signal, payload: bytes, item_count: int, context: Mapping[str, str]) -> None:
            for admission in self._admissions.get((receiver, signal), ()):
                admission.admit(len(payload))
            assert self._group is not None, "accept before start"
            await self._group.append(Entry(signal, receiver, time.time_ns(), item_count, payload, context))

        return accept


class _Refusals:
    """Tells why the journal refuses, and "" when it has refused nobody for a while.

    Not at the next record that it takes: full, it takes one here and there.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = ""
        self._end: asyncio.TimerHandle | None = None

    def saw(self, reason: str) -> None:
        self.close()
        self._end = asyncio.get_running_loop().call_later(_REFUSING, self._say, "")
        self._say(reason)

    def close(self) -> None:
        if self._end is not None:
            self._end.cancel()

    def _say(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._tell(reason)


class MeasuredWriter:
    """A journal writer that counts what passes through the one it stands before."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._told_at = 0.0
        self._tell()

    @property
    def identity(self) -> UUID:
        return self._writer.identity

    def append(self, entries: Sequence[Entry]) -> Sequence[bool | Exception]:
        started = time.monotonic()
        outcomes = self._writer.append(entries)
        stored = [len(entry.payload) for entry, outcome in zip(entries, outcomes, strict=True) if outcome is True]
        telemetry.count_duplicates(sum(outcome is False for outcome in outcomes))
        if stored:
            now = time.monotonic()
            telemetry.observe_commit(len(stored), sum(stored), now - started)
            if now >= self._told_at + _TELL_PAUSE:
                self._tell()
        return outcomes

    def trim(self, readers: Collection[str]) -> int:
        freed = self._writer.trim(readers)
        if freed:
            telemetry.count_trimmed(freed)
        self._tell()
        return freed

    def usage(self) -> Usage:
        return self._writer.usage()

    def close(self) -> None:
        self._writer.close()

    def _tell(self) -> None:
        # Trim runs within a second after each growth, so that the last state is always told.
        self._told_at = time.monotonic()
        usage = self._writer.usage()
        telemetry.set_journal(usage.size_bytes, usage.quota_bytes, usage.oldest, usage.next)
