"""A worker between a real journal and small real exporters."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ganglion_collector.attempts import Attempts
from ganglion_collector.backoff import Backoff
from ganglion_collector.component import Batch, BatchBounds, Exporter, KeepsPosition, Position, RetryConfig, Source
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.delivery import Delivery, DeliverySettings
from ganglion_collector.doorbell import Doorbell, make_doorbell, ring
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.journal import Entry, JournalWriter
from ganglion_collector.journal.store import open_reader, open_writer
from ganglion_collector.otlp import Signal
from ganglion_collector.set_aside import SetAside
from ganglion_collector.track import Track, TrackSettings
from ganglion_collector.worker import Worker

from tests.collector.notebook import bodies_of, logs_payload

QUICK = RetryConfig(initial_interval="1ms", max_interval="5ms")  # type: ignore[arg-type]


class List:
    """Keeps bodies; one that begins with `bad` is refused for ever. `failures` are raised first, one an attempt."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.failures: list[Exception] = []
        self.attempts = 0
        self.gate: asyncio.Event | None = None

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> PartialSuccess | None:
        self.attempts += 1
        if self.gate:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        bodies = [body for record in batch.records for body in bodies_of(record.payload)]
        if any(body.startswith("bad") for body in bodies):
            raise PermanentError(f"cannot take {', '.join(body for body in bodies if body.startswith('bad'))}")
        self.bodies += bodies
        return None

    async def shutdown(self) -> None: ...


class Ledger(List):
    """Keeps the position too, moved together with the bodies; `lost_answers` are raised after that."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[Source, Position] = {}
        self.lost_answers: list[Exception] = []

    async def position(self, source: Source) -> Position | None:
        return self.positions.get(source)

    async def export(self, batch: Batch) -> None:
        stored = self.positions.get(batch.source, batch.start)
        if stored >= batch.end:
            return
        if stored != batch.start:
            raise RetryableError("elsewhere")
        await super().export(batch)
        self.positions[batch.source] = batch.end
        if self.lost_answers:
            raise self.lost_answers.pop(0)


@dataclass
class Health:
    reasons: list[str] = field(default_factory=list)

    def ok(self) -> None:
        self.reasons.append("")

    def failing(self, reason: str) -> None:
        self.reasons.append(reason)


class Bench:
    """A journal with a writer, and what workers of it need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.writer: JournalWriter = open_writer(self.journal, quota_bytes=1 << 26, deduplication_window=0)
        self.letters = DeadLetters(folder / "dead-letters.sqlite")
        self.reading, self.writing = make_doorbell()
        self.health = Health()

    def append(self, *bodies: str, signal: Signal = Signal.LOGS) -> None:
        payload = logs_payload(*bodies)
        entry = Entry(signal, "otlp", time.time_ns(), len(bodies), payload, {})
        assert self.writer.append([entry]) == [True]
        ring([self.writing])

    def position(self) -> Position | None:
        reader = open_reader(self.journal, "logs/test")
        try:
            return reader.position()
        finally:
            reader.close()

    @asynccontextmanager
    async def worker(
        self,
        exporter: Exporter,
        *,
        retry: RetryConfig = QUICK,
        bounds: BatchBounds | None = None,
        timeout: float = 5.0,
        signal: Signal = Signal.LOGS,
    ) -> AsyncIterator[Worker]:
        settings = TrackSettings(
            reader="logs/test",
            exporter="test",
            signal=signal,
            receivers={"otlp"},
            bounds=bounds or BatchBounds(),
            keeps_position=isinstance(exporter, KeepsPosition),
        )
        attempts = Attempts(self.folder / "attempt", settings.bounds.max_items)
        how = DeliverySettings(signal, "test", timeout, retry)
        delivery = Delivery(how, exporter, attempts, SetAside(self.letters), self.health)
        reader = open_reader(self.journal, settings.reader)
        worker = Worker([Track(settings, reader, delivery, attempts)], Doorbell(self.reading))
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running
            reader.close()
            attempts.close()

    def close(self) -> None:
        self.writer.close()
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
        while not condition():  # noqa: ASYNC110 (journal files, and plain attributes, tell nobody)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("make", [List, Ledger])
async def test_everything_is_delivered_in_order_and_committed(bench: Bench, make: type[List]) -> None:
    exporter = make()
    bench.append("a", "b")
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies == ["a", "b"])
        bench.append("c")
        await until(lambda: exporter.bodies == ["a", "b", "c"])
    assert bench.position() == Position(2)


async def test_next_worker_goes_on_where_the_last_one_stopped(bench: Bench) -> None:
    exporter = List()
    for letter in "abc":
        bench.append(letter)
        async with bench.worker(exporter):
            await until(lambda letter=letter: exporter.bodies[-1:] == [letter])  # type: ignore[misc]
    assert exporter.bodies == ["a", "b", "c"]


@pytest.mark.parametrize("error", [RetryableError("busy"), OSError("line cut"), TimeoutError()])
async def test_retryable_error_brings_the_same_batch_again(bench: Bench, error: Exception) -> None:
    exporter = List()
    exporter.failures = [error, error, error]
    bench.append("a")
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies == ["a"])
    assert exporter.attempts == 4
    assert [bool(reason) for reason in bench.health.reasons] == [False, True, True, True, False]
    assert bench.letters.count() == 0


async def test_attempt_past_its_timeout_is_tried_again(bench: Bench) -> None:
    exporter = List()
    exporter.gate = asyncio.Event()
    bench.append("a")
    async with bench.worker(exporter, timeout=0.05):
        await until(lambda: exporter.attempts == 2)
        exporter.gate.set()
        await until(lambda: exporter.bodies == ["a"])
    assert "no answer within 0.05 s" in bench.health.reasons


@pytest.mark.parametrize("make", [List, Ledger])
@pytest.mark.parametrize("spread", ["one record", "one record each"])
async def test_bad_items_are_set_aside_alone_and_the_others_delivered_once(
    bench: Bench, make: type[List], spread: str
) -> None:
    bodies = [f"bad {number}" if number % 7 == 3 else f"good {number}" for number in range(40)]
    exporter = make()
    for part in [bodies] if spread == "one record" else [[body] for body in bodies]:
        bench.append(*part)
    bench.append("last")
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies[-1:] == ["last"])
    assert exporter.bodies == [body for body in bodies if body.startswith("good")] + ["last"]
    letters = [bench.letters.get(found.id) for found in bench.letters.list()]
    assert sorted(body for letter in letters if letter for body in bodies_of(letter.payload)) == sorted(
        body for body in bodies if body.startswith("bad")
    )
    assert all(letter and letter.reason == f"cannot take {bodies_of(letter.payload)[0]}" for letter in letters)


async def test_position_in_the_destination_moves_past_a_dead_letter(bench: Bench) -> None:
    exporter = Ledger()
    bench.append("bad")
    async with bench.worker(exporter):
        await until(lambda: list(exporter.positions.values()) == [Position(1)])
    assert exporter.bodies == []


async def test_indivisible_permanent_error_is_not_split(bench: Bench) -> None:
    exporter = List()
    exporter.failures = [PermanentError("wrong credentials", divisible=False)]
    bench.append("a", "b")
    bench.append("c")
    async with bench.worker(exporter):
        await until(lambda: bench.letters.count() == 2)
    assert exporter.attempts == 1
    assert [found.item_count for found in bench.letters.list()] == [2, 1]


async def test_bug_of_an_exporter_costs_only_the_item_and_tells_no_payload(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = List()
    exporter.failures = [ValueError("secret payload")]
    bench.append("a")
    bench.append("b")
    async with bench.worker(exporter, bounds=BatchBounds(max_items=1)):
        await until(lambda: exporter.bodies == ["b"])
    (letter,) = bench.letters.list()
    assert letter.reason == "unexpected ValueError"
    assert "secret" not in caplog.text + "".join(str(vars(record)) for record in caplog.records)


async def test_giving_up_moves_whole_records_to_the_dead_letters(bench: Bench) -> None:
    exporter = List()
    exporter.failures = [RetryableError("down")] * 1000
    bench.append("a", "b")
    retry = RetryConfig(initial_interval="1ms", max_elapsed_time="20ms")  # type: ignore[arg-type]
    async with bench.worker(exporter, retry=retry):
        await until(lambda: bench.letters.count() == 1)
    (letter,) = bench.letters.list()
    assert letter.item_count == 2
    assert letter.reason == "given up; the last error: down"


async def test_without_retries_the_first_error_is_the_last(bench: Bench) -> None:
    exporter = List()
    exporter.failures = [RetryableError("down")]
    bench.append("a")
    async with bench.worker(exporter, retry=RetryConfig(enabled=False)):
        await until(lambda: bench.letters.count() == 1)
    assert exporter.attempts == 1


async def test_lost_answer_doubles_nothing(bench: Bench) -> None:
    exporter = Ledger()
    exporter.lost_answers = [RetryableError("line cut")] * 3
    for letter in "abcd":
        bench.append(letter)
    async with bench.worker(exporter, bounds=BatchBounds(max_items=1)):
        await until(lambda: len(exporter.bodies) == 4)
        await until(lambda: not exporter.lost_answers)
    assert exporter.bodies == ["a", "b", "c", "d"]


async def test_lost_answer_of_a_batch_that_is_given_up_makes_no_dead_letter(bench: Bench) -> None:
    exporter = Ledger()
    exporter.lost_answers = [RetryableError("line cut")]
    bench.append("a")
    async with bench.worker(exporter, retry=RetryConfig(enabled=False)):
        await until(lambda: exporter.bodies == ["a"])
    assert bench.letters.count() == 0


async def test_destination_that_was_set_back_gets_the_rest_again(bench: Bench) -> None:
    exporter = Ledger()
    for letter in "abc":
        bench.append(letter)
    async with bench.worker(exporter, bounds=BatchBounds(max_items=1)):
        await until(lambda: exporter.bodies == ["a", "b", "c"])
        (source,) = exporter.positions
        exporter.positions[source] = Position(1)
        bench.append("d")
        await until(lambda: exporter.bodies[-1:] == ["d"])
    assert exporter.bodies == ["a", "b", "c", "b", "c", "d"]


async def test_partial_success_is_counted_and_not_retried(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Picky(List):
        async def export(self, batch: Batch) -> PartialSuccess | None:
            await super().export(batch)
            return PartialSuccess(1, "too old")

    exporter = Picky()
    bench.append("a", "b")
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies == ["a", "b"])
    assert exporter.attempts == 1
    assert "partial success" in caplog.text


@pytest.mark.parametrize("make", [List, Ledger])
async def test_records_of_other_signals_are_passed_over_and_do_not_hold_the_trim(
    bench: Bench, make: type[List]
) -> None:
    exporter = make()
    bench.append("a")
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies == ["a"])
        for _ in range(5):
            bench.append("x", signal=Signal.TRACES)
        await until(lambda: bench.position() == Position(6))
        bench.append("b")
        await until(lambda: exporter.bodies == ["a", "b"])
    assert bench.position() == Position(7)


async def test_stop_lets_the_attempt_under_way_end_and_delivers_what_waits(bench: Bench) -> None:
    exporter = List()
    exporter.gate = asyncio.Event()
    bench.append("a")
    async with bench.worker(exporter, bounds=BatchBounds(max_items=1)) as worker:
        await until(lambda: exporter.attempts == 1)
        bench.append("b")
        worker.stop()
        exporter.gate.set()
    assert exporter.bodies == ["a", "b"]
    assert bench.position() == Position(2)


async def test_stop_does_not_wait_for_a_destination_that_is_down(bench: Bench) -> None:
    exporter = List()
    exporter.failures = [RetryableError("down")] * 100
    bench.append("a")
    started = time.monotonic()
    async with bench.worker(exporter, retry=RetryConfig(initial_interval="60s", max_interval="60s")):  # type: ignore[arg-type]
        await until(lambda: exporter.attempts == 1)
    assert time.monotonic() - started < 15
    assert bench.position() is None


async def test_worker_waits_for_company_as_long_as_it_is_told(bench: Bench) -> None:
    exporter = List()
    async with bench.worker(exporter, bounds=BatchBounds(min_items=3, timeout=60)):
        for letter in "abc":
            bench.append(letter)
        await until(lambda: exporter.bodies == ["a", "b", "c"], 15)
    assert exporter.attempts == 1


async def test_company_that_does_not_come_is_not_waited_for_longer(bench: Bench) -> None:
    exporter = List()
    bench.append("a")
    async with bench.worker(exporter, bounds=BatchBounds(min_items=3, timeout=0.1)):
        await until(lambda: exporter.bodies == ["a"], 15)


async def test_worker_that_dies_at_any_point_doubles_and_loses_nothing(bench: Bench) -> None:
    exporter, chance = Ledger(), random.Random(7)
    bodies = [f"{'bad' if number % 11 == 5 else 'ok'} {number}" for number in range(120)]
    for start in range(0, 120, 5):
        bench.append(*bodies[start : start + 5])
    for _ in range(60):
        await _die_somewhere(bench, exporter, chance)
    async with bench.worker(exporter):
        await until(lambda: exporter.bodies[-1:] == ["ok 119"])
    assert exporter.bodies == [body for body in bodies if body.startswith("ok")]
    assert bench.letters.count() == sum(body.startswith("bad") for body in bodies)


async def test_item_set_aside_just_before_a_crash_is_not_delivered_after_it(bench: Bench) -> None:
    exporter = Ledger()
    bench.append("a", "b", "c", "d")
    reader = open_reader(bench.journal, "logs/test")
    (record,), _ = reader.read(Position(), BatchBounds(), Signal.LOGS, {"otlp"})
    second = record.slice(1, 2)
    source = Source(reader.identity, "logs/test")
    reader.close()
    SetAside(bench.letters).put(Batch(Signal.LOGS, (second,), source, second.start, Position(0, 2)), "bad then")
    exporter.positions[source] = second.start
    async with bench.worker(exporter):
        await until(lambda: len(exporter.bodies) == 2)
    assert exporter.bodies == ["c", "d"]


async def _die_somewhere(bench: Bench, exporter: Ledger, chance: random.Random) -> None:
    reader = open_reader(bench.journal, "logs/test")
    attempts = Attempts(bench.folder / "dying", 4)
    delivery = Delivery(
        DeliverySettings(Signal.LOGS, "test", 5, QUICK), exporter, attempts, SetAside(bench.letters), bench.health
    )
    settings = TrackSettings("logs/test", "test", Signal.LOGS, {"otlp"}, BatchBounds(max_items=4), keeps_position=True)
    track = Track(settings, reader, delivery, attempts)
    running = asyncio.create_task(Worker([track], Doorbell(bench.reading)).run())
    for _ in range(chance.randrange(40)):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    reader.close()
    attempts.close()


def test_waits_grow_to_the_longest_and_are_spread() -> None:
    backoff = Backoff(RetryConfig(initial_interval="1s", multiplier=2, max_interval="4s", randomization_factor=0))  # type: ignore[arg-type]
    assert [backoff.next() for _ in range(4)] == [1, 2, 4, 4]
    assert backoff.next(retry_after=60) == 60
    spread = {Backoff(RetryConfig()).next() for _ in range(50)}
    assert min(spread) >= 2.5
    assert max(spread) <= 7.5
    assert len(spread) > 40
