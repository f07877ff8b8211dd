"""The page that Prometheus scrapes: what all processes counted, and what only the supervisor knows."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ganglion_collector.board import OK, Board
from ganglion_collector.errors import RetryableError

__all__ = ["CONTENT_TYPE", "MetricsPage", "ReaderPosition", "forget_gauges"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The Collector's own exposition has no such suffix; ganglion_* keeps Prometheus' convention.
_TOTAL = re.compile(rb"^((?:# (?:HELP|TYPE) )?otelcol_\w+?)_total(?=[ {])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """How far a reader of the journal has come, and whose it is; of a derived stream, how many records wait for it."""

    reader: str
    exporter: str
    data_type: str
    sequence: int = 0
    waiting: int | None = None


def forget_gauges(folder: Path, process: str) -> None:
    """Drop the gauges of a process that has ended; its counters stay."""
    for file in folder.glob(f"gauge_live*_{process}.db"):
        file.unlink(missing_ok=True)


class MetricsPage:
    """Renders the metrics; `folder` is where the processes count (`PROMETHEUS_MULTIPROC_DIR`)."""

    def __init__(
        self,
        folder: Path,
        board: Board,
        dead_letters: Callable[[], int],
        positions: Callable[[], Iterable[ReaderPosition]],
    ) -> None:
        self._registry = CollectorRegistry()
        counted = _Counted(folder)
        self._registry.register(counted)
        self._registry.register(_Supervised(board, dead_letters))
        self._registry.register(_Readers(counted, positions))

    def render(self) -> bytes:
        """Return the page in Prometheus' text format 0.0.4; blocking."""
        return _TOTAL.sub(rb"\1", generate_latest(self._registry))


class _Counted:
    """What the processes counted; remembers the gauges without labels, which describe the journal."""

    def __init__(self, folder: Path) -> None:
        make = cast("Callable[[None, str], Collector]", MultiProcessCollector)  # the library leaves it untyped
        self._collector = make(None, str(folder))
        self.gauges: dict[str, float] = {}

    def collect(self) -> Iterator[Metric]:
        for metric in sorted(self._collector.collect(), key=lambda one: one.name):
            for sample in metric.samples:
                if metric.type == "gauge" and not sample.labels:
                    self.gauges[sample.name] = sample.value
            yield metric


class _Readers:
    """How far the readers are behind."""

    def __init__(self, counted: _Counted, positions: Callable[[], Iterable[ReaderPosition]]) -> None:
        self._counted = counted
        self._positions = positions

    def collect(self) -> Iterator[Metric]:
        gauges = self._counted.gauges
        following = gauges.get("ganglion_journal_next_sequence", 0)
        held = max(1, following - gauges.get("ganglion_journal_oldest_sequence", 0))
        lags: Counter[str] = Counter()
        shares: Counter[tuple[str, str]] = Counter()
        for position in self._positions():
            if position.waiting is not None:
                lags[position.reader] += position.waiting
                continue
            waiting = int(min(held, max(0, following - position.sequence)))
            lags[position.reader] += waiting
            share = waiting / held * gauges.get("ganglion_journal_size_bytes", 0)
            shares[position.exporter, position.data_type] += int(share)
        yield from _families(lags, shares, gauges.get("ganglion_journal_quota_bytes", 0))


def _families(
    lags: Mapping[str, int], shares: Mapping[tuple[str, str], int], quota: float
) -> Iterator[GaugeMetricFamily]:
    lag = GaugeMetricFamily("ganglion_reader_lag_requests", "Requests that wait.", labels=["reader"])
    for reader, waiting in lags.items():
        lag.add_metric([reader], waiting)
    labels = ["exporter", "data_type"]
    size = GaugeMetricFamily("otelcol_exporter_queue_size", "About how many bytes wait in the journal.", labels=labels)
    capacity = GaugeMetricFamily("otelcol_exporter_queue_capacity", "The journal's quota in bytes.", labels=labels)
    for exporter, share in shares.items():
        size.add_metric(exporter, share)
        capacity.add_metric(exporter, quota)
    yield from (lag, size, capacity)


class _Supervised:
    """What the supervisor sees: processes, components, dead letters."""

    def __init__(self, board: Board, dead_letters: Callable[[], int]) -> None:
        self._board = board
        self._dead_letters = dead_letters

    def collect(self) -> Iterator[Metric]:
        yield from self._processes()
        letters = GaugeMetricFamily("ganglion_dead_letters", "Items set aside and neither replayed nor deleted.")
        with suppress(RetryableError):
            letters.add_metric([], self._dead_letters())
        yield letters
        healthy = GaugeMetricFamily("ganglion_component_healthy", "1 if the component works.", labels=["component"])
        for name, component in self._board.components.items():
            healthy.add_metric([name], component.status == OK)
        yield healthy

    def _processes(self) -> Iterator[Metric]:
        uptime = CounterMetricFamily("otelcol_process_uptime", "Seconds since the start.", labels=["process"])
        cpu = CounterMetricFamily("otelcol_process_cpu_seconds", "CPU time used.", labels=["process"])
        memory = GaugeMetricFamily("otelcol_process_memory_rss", "Resident memory in bytes.", labels=["process"])
        restarts = CounterMetricFamily("ganglion_process_restarts", "Restarts after an end.", labels=["process"])
        for process in self._board.processes:
            restarts.add_metric([process.name], process.restarts)
            if process.pid is None or (figures := _figures(process.pid)) is None:
                continue
            up, used, resident = figures
            uptime.add_metric([process.name], up)
            cpu.add_metric([process.name], used)
            memory.add_metric([process.name], resident)
        yield from (uptime, cpu, memory, restarts)


def _figures(pid: int) -> tuple[float, float, float] | None:
    """Return uptime, CPU seconds and resident bytes; None if the process is gone."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            started = process.create_time()
            memory = process.memory_info().rss
    except psutil.Error:
        return None
    return time.time() - started, times.user + times.system, memory
