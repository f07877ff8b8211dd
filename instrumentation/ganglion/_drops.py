"""What was sent and what was dropped, as metrics and as a line now and then."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Protocol
from weakref import WeakSet

from opentelemetry import metrics

__all__ = ["Drops", "dropped", "observe"]

_logger = logging.getLogger("ganglion")

_SILENCE = 30.0
"""Seconds between two lines about dropped items of one signal."""

_REASONS = {
    "queue_full": "the queue is full",
    "export_failed": "the collector did not take them",
    "shutdown": "they came, or still waited, at shutdown",
}


class Drops:
    """The counts of one queue.

    `add` may be called anywhere, also in a signal handler; the lines are written by who calls `report`.
    """

    def __init__(self, signal: str) -> None:
        self.signal = signal
        self.reset()

    def reset(self) -> None:
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._sent = 0
        self._reported: Counter[str] = Counter()
        self._last_report = float("-inf")

    def add(self, reason: str, items: int = 1) -> None:
        if items:
            with self._lock:
                self._counts[reason] += items

    def sent(self, items: int) -> None:
        with self._lock:
            self._sent += items

    @property
    def sent_total(self) -> int:
        return self._sent

    @property
    def counts(self) -> Mapping[str, int]:
        """Return the dropped items by reason."""
        return self._counts

    @property
    def total(self) -> int:
        return self._counts.total()

    def report_sometimes(self) -> None:
        """Say what was dropped since it was last said, if that is long ago."""
        if self.total != self._reported.total() and time.monotonic() - self._last_report >= _SILENCE:
            self.report()

    def report(self) -> None:
        """Say what was dropped since it was last said."""
        with self._lock:
            counts = Counter(self._counts)
            news = counts - self._reported
            self._reported = counts
            self._last_report = time.monotonic()
        for reason, items in news.items():
            _logger.warning(
                "%d items of %s dropped: %s (%d in all)", items, self.signal, _REASONS[reason], counts[reason]
            )


class Observed(Protocol):
    """A queue whose state is shown as metrics."""

    @property
    def drops(self) -> Drops: ...
    @property
    def limits(self) -> "HasSize": ...
    def __len__(self) -> int: ...


class HasSize(Protocol):
    @property
    def queue_size(self) -> int: ...


_queues: WeakSet[Observed] = WeakSet()

_Observations = Iterable[metrics.Observation]
_SIGNALS = {"traces": ("span", "batching_span_processor"), "logs": ("log", "batching_log_processor")}


def observe(queue: Observed) -> None:
    """Show a queue as `otel.sdk.processor.*` (semantic conventions) and its drops as `ganglion_dropped_items`."""
    _queues.add(queue)
    _create_instruments()


@cache
def _create_instruments() -> None:
    meter = metrics.get_meter("ganglion")
    meter.create_observable_counter(
        "ganglion_dropped_items", [dropped], description="Items that did not reach the collector, by signal and reason"
    )
    for signal, (kind, component) in _SIGNALS.items():
        prefix, unit, where = f"otel.sdk.processor.{kind}", f"{{{kind}}}", {"otel.component.type": component}
        meter.create_observable_up_down_counter(f"{prefix}.queue.size", [_sizes(signal, where)], unit=unit)
        meter.create_observable_up_down_counter(f"{prefix}.queue.capacity", [_capacities(signal, where)], unit=unit)
        meter.create_observable_counter(f"{prefix}.processed", [_processed(signal, where)], unit=unit)


def _of(signal: str) -> list[Observed]:
    return [queue for queue in _queues if queue.drops.signal == signal]


def _sizes(signal: str, where: Mapping[str, str]) -> Callable[[metrics.CallbackOptions], _Observations]:
    return lambda _options: [metrics.Observation(sum(map(len, _of(signal))), where)]


def _capacities(signal: str, where: Mapping[str, str]) -> Callable[[metrics.CallbackOptions], _Observations]:
    return lambda _options: [metrics.Observation(sum(queue.limits.queue_size for queue in _of(signal)), where)]


def _processed(signal: str, where: Mapping[str, str]) -> Callable[[metrics.CallbackOptions], _Observations]:
    def observe_all(_options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        yield metrics.Observation(sum(queue.drops.sent_total for queue in _of(signal)), where)
        for reason, items in _dropped_of(signal).items():
            yield metrics.Observation(items, {**where, "error.type": reason})

    return observe_all


def dropped(_options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
    """Observe the dropped items of this process, by signal and reason."""
    for signal in _SIGNALS:
        for reason, items in _dropped_of(signal).items():
            yield metrics.Observation(items, {"signal": signal, "reason": reason})


def _dropped_of(signal: str) -> Counter[str]:
    return sum((Counter(queue.drops.counts) for queue in _of(signal)), Counter[str]())
