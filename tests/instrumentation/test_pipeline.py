"""The queue between a caller and an exporter: bounded, counting, off the caller's thread."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest
from ganglion import _drops
from ganglion._pipeline import Limits, Queue
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.metrics import CallbackOptions


class Collector:
    """Takes batches when it is open, on the thread that calls it; `answers` are given first."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.answers: list[bool | Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.called = threading.Semaphore(0)
        self.threads: set[int] = set()
        self.instrumented: set[bool] = set()
        self.closed = 0

    def export(self, batch: Sequence[int]) -> bool:
        self.called.release()
        self.threads.add(threading.get_ident())
        self.instrumented.add(is_instrumentation_enabled())
        assert self.open.wait(10)
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.batches.append(list(batch))
        return answer

    def close(self) -> None:
        self.closed += 1
        self.open.set()

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def collector() -> Collector:
    return Collector()


MakeQueue = Callable[..., Queue[int]]


@pytest.fixture
def make_queue(collector: Collector) -> Iterator[MakeQueue]:
    made: list[Queue[int]] = []

    def make(queue_size: int = 100, batch_size: int = 10, delay: float = 0.01) -> Queue[int]:
        made.append(Queue("logs", Limits(queue_size, batch_size, delay), collector.export, collector.close))
        return made[-1]

    yield make
    collector.open.set()
    for queue in made:
        queue.close(1)


def test_what_is_put_arrives_in_order_and_in_batches(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue(delay=10)
    for number in range(25):
        queue.put(number)

    assert queue.flush(5)
    assert collector.items == list(range(25))
    assert max(map(len, collector.batches)) <= 10
    assert queue.drops.sent_total == 25
    assert queue.drops.total == 0


def test_a_batch_that_is_full_does_not_wait(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue(delay=1000)
    for number in range(10):
        queue.put(number)

    assert collector.called.acquire(timeout=5)


def test_a_batch_that_is_not_full_waits_for_its_delay_only(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue(delay=0.05)
    start = time.monotonic()
    queue.put(1)

    assert collector.called.acquire(timeout=5)
    assert time.monotonic() - start >= 0.05


def test_exporting_is_off_the_callers_thread_and_not_instrumented(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue()
    queue.put(1)

    assert queue.flush(5)
    assert threading.get_ident() not in collector.threads
    assert collector.instrumented == {False}


def test_what_does_not_fit_is_dropped_and_counted(make_queue: MakeQueue, collector: Collector) -> None:
    collector.open.clear()
    queue = make_queue(queue_size=100)
    queue.put(0)
    assert collector.called.acquire(timeout=5)
    for number in range(1, 1001):
        queue.put(number)

    assert len(queue) == 100
    assert queue.drops.counts == {"queue_full": 900}
    collector.open.set()
    assert queue.flush(5)
    assert collector.items == list(range(101))


def test_many_threads_lose_nothing(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue(queue_size=100_000, batch_size=512)
    numbers = count()

    def put_many() -> None:
        for _ in range(2000):
            queue.put(next(numbers))

    threads = [threading.Thread(target=put_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert queue.flush(5)
    assert sorted(collector.items) == list(range(16_000))


def test_a_batch_that_was_not_taken_is_tried_again(make_queue: MakeQueue, collector: Collector) -> None:
    collector.answers = [False, RuntimeError("no"), True]
    queue = make_queue()
    queue.put(1)

    assert queue.flush(5)
    assert collector.items == [1]
    assert queue.drops.total == 0


def test_a_batch_that_is_never_taken_is_counted_and_the_next_goes_on(
    make_queue: MakeQueue, collector: Collector
) -> None:
    collector.answers = [False] * 5
    queue = make_queue()
    queue.put(1)

    assert not queue.flush(5)
    assert queue.drops.counts == {"export_failed": 1}
    queue.put(2)
    assert queue.flush(5)
    assert collector.items == [2]


def test_a_flush_is_over_in_its_time(make_queue: MakeQueue, collector: Collector) -> None:
    collector.open.clear()
    queue = make_queue()
    queue.put(1)

    assert not queue.flush(0.05)


def test_a_flush_of_nothing_is_true(make_queue: MakeQueue) -> None:
    assert make_queue().flush(5)


def test_close_sends_what_waits(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue(delay=1000)
    for number in range(25):
        queue.put(number)

    assert queue.close(5)
    assert collector.items == list(range(25))
    assert collector.closed == 1


def test_close_is_bounded_and_counts_what_is_left(
    make_queue: MakeQueue, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.open.clear()
    collector.close = lambda: None  # type: ignore[method-assign] # an exporter that nothing can interrupt
    queue = make_queue(batch_size=10)
    for number in range(25):
        queue.put(number)
    assert collector.called.acquire(timeout=5)
    start = time.monotonic()

    assert not queue.close(0.3)
    assert time.monotonic() - start < 2
    assert queue.drops.counts == {"shutdown": 25}
    assert "25 items of logs dropped" in caplog.text
    collector.open.set()


def test_a_closed_queue_takes_nothing_and_counts_it(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue()
    queue.close(5)
    queue.put(1)

    assert queue.drops.counts == {"shutdown": 1}
    assert not queue.close(5)
    assert collector.items == []


def test_drops_are_said_at_once_and_then_now_and_then(
    make_queue: MakeQueue, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answers = [False] * 50
    queue = make_queue(batch_size=1)
    for number in range(10):
        queue.put(number)
    queue.flush(5)

    lines = [record for record in caplog.records if record.name == "ganglion" and record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert queue.drops.counts == {"export_failed": 10}
    queue.close(5)
    assert "(10 in all)" in caplog.text


def test_the_metrics_say_what_waits_what_went_and_what_was_dropped(make_queue: MakeQueue, collector: Collector) -> None:
    queue = make_queue()
    before = {(*point.attributes.items(),): point.value for point in _drops.dropped(CallbackOptions())}  # type: ignore[union-attr]
    collector.answers = [False] * 5
    queue.put(1)
    queue.flush(5)
    after = {(*point.attributes.items(),): point.value for point in _drops.dropped(CallbackOptions())}  # type: ignore[union-attr]

    key = (("signal", "logs"), ("reason", "export_failed"))
    assert after[key] - before.get(key, 0) == 1


@pytest.mark.parametrize(
    ("variables", "limits"),
    [
        ({}, Limits(7, 3, 0.5)),
        (
            {"X_MAX_QUEUE_SIZE": "1000", "X_MAX_EXPORT_BATCH_SIZE": "50", "X_SCHEDULE_DELAY": "200"},
            Limits(1000, 50, 0.2),
        ),
        ({"X_MAX_QUEUE_SIZE": "2"}, Limits(2, 2, 0.5)),
        ({"X_MAX_QUEUE_SIZE": "many", "X_SCHEDULE_DELAY": "-1", "X_MAX_EXPORT_BATCH_SIZE": ""}, Limits(7, 3, 0.5)),
    ],
    ids=["none", "all", "a batch is no larger than the queue", "nonsense"],
)
def test_limits_come_from_the_variables(variables: dict[str, str], limits: Limits) -> None:
    assert Limits.from_environment(variables, "X", Limits(7, 3, 0.5)) == limits


def test_twenty_thousand_records_fit_by_default() -> None:
    assert Limits().queue_size >= 20_000
