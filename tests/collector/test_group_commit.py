"""Group commit: every waiter gets its own answer, and only when it is true."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from ganglion_collector.component import BatchBounds, Position, Signal
from ganglion_collector.errors import RefusedError, TooLargeError
from ganglion_collector.journal import Entry, JournalWriter, Usage
from ganglion_collector.journal.group_commit import GroupCommit
from ganglion_collector.journal.store import open_reader, open_writer

QUOTA = 1024 * 1024
ALL = BatchBounds(max_items=1_000_000, max_bytes=1 << 30)


def entry(payload: bytes) -> Entry:
    return Entry(Signal.LOGS, "otlp", 1_795_000_000_000_000_000, 1, payload, {})


def payloads(directory: Path) -> list[bytes]:
    reader = open_reader(directory, "logs/test")
    records, _ = reader.read(Position(), ALL, Signal.LOGS, ["otlp"])
    reader.close()
    return [record.payload for record in records]


class HeldWriter:
    """A real journal whose commits wait for `release`; notes the size of every group."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self.entered = threading.Semaphore(0)
        self.release = threading.Semaphore(0)
        self.groups: list[int] = []

    @property
    def identity(self) -> UUID:
        return self._writer.identity

    def append(self, entries: Sequence[Entry]) -> Sequence[bool | Exception]:
        self.groups.append(len(entries))
        self.entered.release()
        assert self.release.acquire(timeout=10)
        return self._writer.append(entries)

    def trim(self, readers: Collection[str]) -> int:
        return self._writer.trim(readers)

    def usage(self) -> Usage:
        return self._writer.usage()

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def real(tmp_path: Path) -> JournalWriter:
    return open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=300)


@pytest.fixture
async def group(real: JournalWriter) -> AsyncIterator[GroupCommit]:
    group = GroupCommit(real, readers=["logs/test"])
    yield group
    await group.close()


@pytest.fixture
async def held(real: JournalWriter) -> AsyncIterator[HeldWriter]:
    held = HeldWriter(real)
    yield held
    held.release.release(100)
    real.close()


async def begin(group: GroupCommit, held: HeldWriter, *names: bytes) -> list["asyncio.Task[None]"]:
    """Start an append for each name; return when the first is in its commit and the others wait."""
    tasks = [asyncio.create_task(group.append(entry(name))) for name in names]
    assert await asyncio.to_thread(held.entered.acquire, timeout=10)
    return tasks


async def test_all_that_wait_share_the_next_commit(held: HeldWriter) -> None:
    group = GroupCommit(held)
    await begin(group, held, b"first")
    tasks = [asyncio.create_task(group.append(entry(b"%d" % number))) for number in range(50)]
    held.release.release(2)
    await asyncio.gather(*tasks)
    assert held.groups == [1, 50]
    await group.close()


async def test_answer_and_doorbell_come_after_the_commit(tmp_path: Path, held: HeldWriter) -> None:
    seen: list[list[bytes]] = []
    group = GroupCommit(held, on_durable=lambda _signals: seen.append(payloads(tmp_path)))
    (task,) = await begin(group, held, b"first")
    assert not task.done()
    assert not seen
    assert not payloads(tmp_path)
    held.release.release()
    await task
    assert seen == [[b"first"]]
    held.release.release()
    await group.append(entry(b"first"))
    assert seen == [[b"first"]], "a duplicate wakes nobody"
    await group.close()


async def test_duplicate_is_answered_when_the_first_is_durable(tmp_path: Path, held: HeldWriter) -> None:
    group = GroupCommit(held)
    (first,) = await begin(group, held, b"same")
    second, third = (asyncio.create_task(group.append(entry(b"same"))) for _ in range(2))
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, second, third))
    held.release.release(2)
    await asyncio.gather(first, second, third)
    assert payloads(tmp_path) == [b"same"]
    await group.close()


async def test_client_that_goes_away_harms_nobody_else(tmp_path: Path, held: HeldWriter) -> None:
    group = GroupCommit(held)
    tasks = await begin(group, held, b"a")
    tasks += [asyncio.create_task(group.append(entry(name))) for name in (b"b", b"c")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    held.release.release(2)
    await tasks[2]
    assert [task.cancelled() for task in tasks] == [True, True, False]
    assert payloads(tmp_path)[-1] == b"c"
    await group.close()


async def test_each_entry_has_its_own_outcome(group: GroupCommit) -> None:
    outcomes = await asyncio.gather(
        group.append(entry(b"a")), group.append(entry(bytes(QUOTA))), group.append(entry(b"b")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), TooLargeError, type(None)]


async def test_close_commits_what_waits_and_refuses_what_comes(tmp_path: Path, held: HeldWriter) -> None:
    group = GroupCommit(held)
    tasks = await begin(group, held, b"a", b"b", b"c")
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)
    with pytest.raises(RefusedError, match="shutting down"):
        await group.append(entry(b"late"))
    held.release.release(10)
    await asyncio.gather(closing, *tasks)
    await group.close()
    assert payloads(tmp_path) == [b"a", b"b", b"c"]
    open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0).close()


async def test_full_journal_takes_again_what_readers_have_done(tmp_path: Path, group: GroupCommit) -> None:
    for number in range(26):
        await group.append(entry(number.to_bytes(2, "big") * 20_000))
    with pytest.raises(RefusedError, match="full"):
        await group.append(entry(b"x" * 40_000))
    reader = open_reader(tmp_path, "logs/test")
    reader.commit(Position(26))
    reader.close()
    for number in range(100, 110):
        await group.append(entry(number.to_bytes(2, "big") * 20_000))


async def test_space_is_given_back_while_nothing_is_refused(
    tmp_path: Path, real: JournalWriter, group: GroupCommit
) -> None:
    reader = open_reader(tmp_path, "logs/test")
    for number in range(20):
        await group.append(entry(number.to_bytes(2, "big") * 20_000))
        reader.commit(Position(number + 1))
    async with asyncio.timeout(15):
        while real.usage().size_bytes > QUOTA // 8:  # noqa: ASYNC110 - the trim tells nobody
            await asyncio.sleep(0.02)
    reader.close()


async def test_failing_disk_is_refused_and_then_overcome(group: GroupCommit, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fdatasync", fail)
        with pytest.raises(RefusedError, match="cannot be written"):
            await group.append(entry(b"a"))
    await group.append(entry(b"a"))


async def test_engine_that_fails_is_a_refusal_and_the_next_is_tried(
    held: HeldWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = GroupCommit(held)
    held.release.release(10)
    with monkeypatch.context() as broken:
        broken.setattr(HeldWriter, "append", lambda *_: 1 / 0)
        with pytest.raises(RefusedError, match="ZeroDivisionError"):
            await group.append(entry(b"a"))
    await group.append(entry(b"a"))
    await group.close()


async def test_requests_that_wait_are_bounded(held: HeldWriter) -> None:
    group = GroupCommit(held)
    tasks = await begin(group, held, bytes(60 * 1024 * 1024))
    with pytest.raises(RefusedError, match="wait for the disk"):
        await group.append(entry(bytes(5 * 1024 * 1024)))
    held.release.release(2)
    with pytest.raises(TooLargeError):
        await tasks[0]
    with pytest.raises(TooLargeError):
        await group.append(entry(bytes(5 * 1024 * 1024)))
    await group.close()


async def test_event_loop_is_free_during_a_commit(held: HeldWriter) -> None:
    group = GroupCommit(held)
    (task,) = await begin(group, held, b"a")
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    assert not task.done()
    held.release.release()
    await task
    await group.close()
