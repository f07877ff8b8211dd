"""A worker with several tracks and a memory: fair, exact, and in step with what is saved."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from ganglion_collector.attempts import Attempts
from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import (
    Batch,
    BatchBounds,
    Connector,
    Derived,
    Exporter,
    Position,
    RetryConfig,
    Source,
    Stateful,
    Transform,
)
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.delivery import Delivery, DeliverySettings
from ganglion_collector.derived import DerivedReader
from ganglion_collector.doorbell import Doorbell, make_doorbell, ring
from ganglion_collector.errors import PermanentError, RetryableError
from ganglion_collector.journal import Entry, JournalReader
from ganglion_collector.journal.store import open_reader, open_writer
from ganglion_collector.memory import ConnectorEnd, Flushing, Memory
from ganglion_collector.otlp import Signal
from ganglion_collector.set_aside import SetAside
from ganglion_collector.track import Track, TrackSettings
from ganglion_collector.worker import Worker

from tests.collector.notebook import bodies_of, logs_payload
from tests.collector.tally import EveryOther, Tally, TallyConfig

QUICK = RetryConfig(initial_interval="1ms", max_interval="5ms")  # type: ignore[arg-type]


class Sum:
    """Remembers bodies in order. A body that begins with `bad` is refused for ever, with `wait` for now."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.busy = 0

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> None:
        bodies = [body for record in batch.records for body in bodies_of(record.payload)]
        if any(body.startswith("bad") for body in bodies):
            raise PermanentError("bad")
        if any(body.startswith("wait") for body in bodies):
            self.busy += 1
            raise RetryableError("busy")
        self.bodies += bodies

    async def shutdown(self) -> None: ...

    def state(self) -> bytes:
        return "\n".join(self.bodies).encode()

    def restore(self, state: bytes) -> None:
        if state == b"foreign":
            raise ValueError("not mine")
        self.bodies = state.decode().split("\n") if state else []


class Health:
    def ok(self) -> None: ...

    def failing(self, reason: str) -> None: ...


class Bench:
    """A journal, the stream of a connector `made`, and workers which read both into one exporter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = open_writer(folder / "journal", quota_bytes=1 << 26, deduplication_window=0)
        self.stream = Checkpoint(folder / "made.sqlite", "made", quota_bytes=1 << 26, readers=["logs/test"])
        self.letters = DeadLetters(folder / "letters.sqlite")
        self.reading, self.writing = make_doorbell()

    def append(self, *bodies: str) -> None:
        assert self.writer.append([Entry(Signal.LOGS, "otlp", time.time_ns(), len(bodies), logs_payload(*bodies), {})])
        ring([self.writing])

    def derive(self, *bodies: str) -> None:
        self.stream.save({}, {Source(UUID(int=0), "x"): Position(1)}, [Derived(Signal.LOGS, 1, logs_payload(*bodies))])
        ring([self.writing])

    def committed(self) -> Position | None:
        with closing(open_reader(self.folder / "journal", "logs/test")) as reader:
            return reader.position()

    def saved(self) -> dict[str, Position]:
        with closing(Checkpoint(self.folder / "state.sqlite", "test")) as checkpoint:
            positions = checkpoint.load().positions
        names = {self.writer.identity: "journal"}
        return {names.get(source.journal, "stream"): position for source, position in positions.items()}

    @asynccontextmanager
    async def worker(
        self, exporter: Exporter, *, transforms: Sequence[Transform] = (), max_items: int = 100, remember: bool = True
    ) -> AsyncIterator[None]:
        readers: dict[str, JournalReader] = {
            "otlp": open_reader(self.folder / "journal", "logs/test"),
            "made": DerivedReader(self.folder / "made.sqlite", "made", "logs/test"),
        }
        tracks: list[Track] = []
        notes: list[Attempts] = []
        for receiver, reader in readers.items():
            bounds = BatchBounds(max_items=max_items)
            settings = TrackSettings(
                "logs/test", "test", Signal.LOGS, {receiver}, bounds, keeps_position=False, remembered=remember
            )
            notes.append(Attempts(self.folder / f"attempt-{receiver}", max_items))
            how = DeliverySettings(Signal.LOGS, "test", 5, QUICK)
            delivery = Delivery(how, exporter, notes[-1], SetAside(self.letters), Health())
            tracks.append(Track(settings, reader, delivery, notes[-1], transforms))
        components = {
            f"{number}": one for number, one in enumerate([exporter, *transforms]) if isinstance(one, Stateful)
        }
        checkpoint = Checkpoint(self.folder / "state.sqlite", "test")
        memory = Memory(checkpoint, components, Health()) if remember else None
        if memory:
            memory.restore()
        worker = Worker(tracks, Doorbell(self.reading), memory)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
            for close in (*(reader.close for reader in readers.values()), *(note.close for note in notes)):
                close()
            checkpoint.close()

    def close(self) -> None:
        self.writer.close()
        self.stream.close()
        self.letters.close()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 (files, and plain attributes, tell nobody)
            await asyncio.sleep(0.005)


async def test_tracks_are_taken_in_turn(bench: Bench) -> None:
    exporter = Sum()
    for number in range(20):
        bench.append(f"journal {number}")
    bench.derive("derived")
    async with bench.worker(exporter, max_items=1):
        await until(lambda: len(exporter.bodies) == 21)
    assert exporter.bodies.index("derived") == 1


def _has(exporter: Sum, wanted: set[str]) -> bool:
    return wanted <= set(exporter.bodies)


@pytest.mark.parametrize("remember", [True, False])
async def test_each_track_has_a_position_of_its_own_and_goes_on_from_it(bench: Bench, remember: bool) -> None:
    for number in range(2):
        exporter = Sum()
        bench.append(f"journal {number}")
        bench.derive(f"derived {number}")
        async with bench.worker(exporter, remember=remember):
            wanted = {f"derived {number}", f"journal {number}"}
            await until(partial(_has, exporter, wanted))
        assert len(exporter.bodies) == (2 * number + 2 if remember else 2)
    assert bench.committed() == Position(2)


async def test_state_and_positions_survive_together(bench: Bench) -> None:
    bench.append("a", "b")
    async with bench.worker(first := Sum()):
        await until(lambda: first.bodies == ["a", "b"])
    assert bench.saved() == {"journal": Position(1), "stream": Position()}
    bench.append("c")
    async with bench.worker(second := Sum()):
        await until(lambda: second.bodies == ["a", "b", "c"])


async def test_state_that_cannot_be_read_begins_anew_and_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.append("a")
    source = Source(bench.writer.identity, "logs/test")
    with closing(Checkpoint(bench.folder / "state.sqlite", "test")) as checkpoint:
        checkpoint.save({"0": b"foreign"}, {source: Position(1)})
    bench.append("b")
    async with bench.worker(exporter := Sum()):
        await until(lambda: exporter.bodies == ["b"])
    assert "begins anew" in caplog.text


async def test_without_a_saved_position_the_one_in_the_journal_counts(bench: Bench) -> None:
    bench.append("before")
    with closing(open_reader(bench.folder / "journal", "logs/test")) as reader:
        reader.commit(Position(1))
    bench.append("after")
    async with bench.worker(exporter := Sum()):
        await until(lambda: exporter.bodies == ["after"])


async def test_half_delivered_batch_is_not_saved_at_a_stop(bench: Bench) -> None:
    bench.append("a")
    exporter = Sum()
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies == ["a"])
        bench.derive("d")
        await until(lambda: exporter.bodies == ["a", "d"])
        bench.append("b", "bad", "wait", "c")
        await until(lambda: exporter.busy > 0)
    assert exporter.bodies == ["a", "d", "b"]
    assert bench.saved()["journal"] in (Position(), Position(1))
    async with bench.worker(again := Sum()):
        await until(lambda: again.busy > 0)
    assert again.bodies.count("a") == again.bodies.count("b") == 1
    assert bench.letters.count() == 1


async def test_journal_is_told_only_what_is_saved(bench: Bench) -> None:
    async with bench.worker(exporter := Sum()):
        await until(lambda: "stream" in bench.saved())
        bench.append("a")
        await until(lambda: exporter.bodies == ["a"])
        told, saved = bench.committed(), bench.saved()["journal"]  # in this order: what is told is saved before
        assert told is None or told == saved == Position(1)
        await until(lambda: bench.committed() == Position(1))
        assert bench.saved()["journal"] == Position(1)


async def test_transform_that_leaves_nothing_moves_on_and_keeps_its_state(bench: Bench) -> None:
    for number in range(3):
        bench.append(f"{number}")
        async with bench.worker(exporter := Sum(), transforms=[EveryOther()]):
            await until(lambda number=number: (bench.committed() or Position()) == Position(number + 1))  # type: ignore[misc]
    assert exporter.bodies == ["0", "2"]


async def test_bug_of_a_transform_passes_the_batch_on_and_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def process(self, batch: Batch) -> Batch:
            raise KeyError(f"secret of {batch.signal}")

    bench.append("a")
    async with bench.worker(exporter := Sum(), transforms=[Broken()]):
        await until(lambda: exporter.bodies == ["a"])
    assert "processor failed unexpectedly" in caplog.text
    assert "secret" not in caplog.text


async def test_connector_flushes_soon_and_while_nothing_comes_in(tmp_path: Path) -> None:
    class Beating(Tally):
        def flush(self, now: int) -> Sequence[Derived]:
            return [Derived(Signal.LOGS, 1, logs_payload(f"{now}"))]

    connector: Connector = Beating(TallyConfig(interval="50ms"))  # type: ignore[arg-type]
    writer = open_writer(tmp_path / "journal", quota_bytes=1 << 20, deduplication_window=0)
    reading, writing = make_doorbell()
    heard, ringing = make_doorbell()
    journal = open_reader(tmp_path / "journal", "logs/made")
    attempts = Attempts(tmp_path / "attempt", 100)
    letters = DeadLetters(tmp_path / "letters.sqlite")
    how = DeliverySettings(Signal.LOGS, "made", 0, QUICK, connects=True)
    delivery = Delivery(how, ConnectorEnd(connector), attempts, SetAside(letters), Health())
    settings = TrackSettings(
        "logs/made", "made", Signal.LOGS, {"otlp"}, BatchBounds(), keeps_position=False, remembered=True
    )
    checkpoint = Checkpoint(tmp_path / "made.sqlite", "made", quota_bytes=1 << 20, readers=["logs/test"])
    memory = Memory(checkpoint, {"made": connector}, Health(), Flushing("made", connector, 1 << 20, [ringing]))
    memory.restore()
    worker = Worker([Track(settings, journal, delivery, attempts)], Doorbell(reading), memory)
    running = asyncio.create_task(worker.run())
    with closing(DerivedReader(tmp_path / "made.sqlite", "made", "logs/test")) as reader:
        await until(lambda: reader.waiting(Position()) >= 5)
        bell = Doorbell(heard)
        bell.clear()
        await bell.wait(5)
    worker.stop()
    await running
    for one in (journal, attempts, letters, checkpoint, writer):
        one.close()
    for end in (reading, writing, heard, ringing):
        os.close(end)
