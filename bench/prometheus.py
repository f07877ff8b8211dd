"""Metrics to a page for Prometheus, beside prometheus-client alone with the same series in a process of its own.

Ours takes points over gRPC, acknowledges them from the journal, and shows what the worker has taken from there;
prometheus-client is updated in memory by the process that shows it. Both pages are asked for in turns.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.request import Request, urlopen

from bench.collector import Collector, Flow, running_collector
from bench.load import Load
from bench.load import run as send
from bench.processes import anonymous_bytes, free_port, wait_until
from bench.prometheus_parts import parts
from bench.report import Budget, Figure, Scale, median

__all__ = ["run"]

_POINTS = 500
_TEXT = "text/plain;version=0.0.4"
_OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
_PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
_FORMATS = {"text": _TEXT, "OpenMetrics": _OPEN_METRICS, "protobuf": _PROTOBUF}
_SCRAPE = Budget(2000, 1000, "less")
_WORKER = "worker:prometheus"


@dataclass(frozen=True, slots=True)
class _Reference:
    """prometheus-client with its series: bytes they took, updates a second, its page."""

    memory: int
    rate: float
    page: str
    input: IO[str]

    def tell(self, what: str) -> None:
        self.input.write(f"{what}\n")
        self.input.flush()


@contextmanager
def _reference(series: int) -> Iterator[_Reference]:
    port = free_port()
    # It ends with its input, so also when this process does.
    command = [sys.executable, "-m", "bench.prometheus_client_page", str(series), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            told = json.loads(process.stdout.readline())
            yield _Reference(told["memory"], told["rate"], f"127.0.0.1:{port}", process.stdin)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class _Scrape:
    seconds: float
    size: int


def _scrape(page: str, accept: str) -> _Scrape:
    request = Request(f"http://{page}/metrics", headers={"Accept": accept})
    begin = time.perf_counter()
    with urlopen(request, timeout=120) as answer:
        body = answer.read()
    return _Scrape(time.perf_counter() - begin, len(body))


def _scrape_figure(what: str, ours: Sequence[_Scrape], other: Sequence[_Scrape]) -> Figure:
    mine, theirs = (median(one.seconds for one in scrapes) * 1e3 for scrapes in (ours, other))
    note = f"slowest {max(one.seconds for one in ours) * 1e3:,.0f} ms against prometheus-client's"
    note += f" {max(one.seconds for one in other) * 1e3:,.0f}; {ours[-1].size / 1e6:.1f} MB against"
    note += f" {other[-1].size / 1e6:.1f}"
    return Figure(what, mine, "ms", theirs, note=note)


def _scrapes(page: str, reference: _Reference, rounds: int, series: int) -> Iterator[Figure]:
    for name, accept in _FORMATS.items():
        # It has no protobuf; what it shows instead is its text.
        theirs = _TEXT if accept == _PROTOBUF else accept
        ours, other = list[_Scrape](), list[_Scrape]()
        for _ in range(rounds):
            ours.append(_scrape(page, accept))
            other.append(_scrape(reference.page, theirs))
        yield _scrape_figure(f"{series:,} series: scrape, {name}", ours, other)


@contextmanager
def _meanwhile(act: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _loaded_scrapes(
    collector: Collector, page: str, reference: _Reference, scale: Scale, series: int
) -> Iterator[Figure]:
    """Ours while points arrive as fast as they are acknowledged, the other while it is updated as fast as it can."""
    load = Load(collector.grpc, signal="metrics", records=_POINTS, series=series, seconds=scale.pick(4, 10))
    slowest = 0.0
    for name, accept in _FORMATS.items():
        ours, other = list[_Scrape](), list[_Scrape]()
        with _meanwhile(lambda: send(load)):
            time.sleep(1.0)
            end = time.monotonic() + load.seconds - 1.0
            while time.monotonic() < end:
                ours.append(_scrape(page, accept))
        reference.tell("start")
        for _ in range(scale.pick(2, 5)):
            other.append(_scrape(reference.page, _TEXT if accept == _PROTOBUF else accept))
        reference.tell("stop")
        slowest = max(slowest, *(one.seconds for one in ours))
        yield _scrape_figure(f"{series:,} series: scrape, {name}, points arriving", ours, other)
    yield Figure(f"{series:,} series: slowest scrape, points arriving", slowest * 1e3, "ms", budget=_SCRAPE)


def _taken(collector: Collector) -> float:
    return collector.metric("otelcol_exporter_sent_metric_points")


def _fill(collector: Collector, series: int) -> None:
    before, requests = _taken(collector), series // _POINTS
    outcome = send(Load(collector.grpc, signal="metrics", records=_POINTS, series=series, requests=requests))
    if outcome.records != series:
        raise RuntimeError(f"{series} points were sent, {outcome.records} acknowledged")
    wait_until(lambda: _taken(collector) >= before + series, "the series to be on the page", 120, 0.1)


def _rates(collector: Collector, reference: _Reference, scale: Scale, series: int) -> Iterator[Figure]:
    before, begin = _taken(collector), time.perf_counter()
    load = Load(collector.grpc, signal="metrics", records=_POINTS, series=series, seconds=scale.pick(2, 6), warm_up=0.0)
    outcome = send(load)
    wait_until(lambda: _taken(collector) >= before + outcome.all_records, "all points to be in the store", 300, 0.1)
    through = outcome.all_records / (time.perf_counter() - begin)
    note = f"the generator used {outcome.client_cpu / outcome.all_records * 1e6:.2f} µs a point"
    yield Figure(f"{series:,} series: points acknowledged", outcome.rate, "/s", reference.rate, note=note)
    yield Figure(f"{series:,} series: points into the store, whole way", through, "/s", reference.rate)


def _whole(directory: Path, scale: Scale, series: int) -> Iterator[Figure]:
    page = f"127.0.0.1:{free_port()}"
    flow = Flow({"prometheus": {"endpoint": page}}, {}, {"metrics": ["prometheus"]})
    with _reference(series) as reference, running_collector(directory, flow) as collector:
        worker = collector.processes()[_WORKER]
        before = anonymous_bytes(worker)
        _fill(collector, series)
        memory = (anonymous_bytes(worker) - before) / series
        yield Figure(f"{series:,} series: memory of the worker", memory, "bytes a series", reference.memory / series)
        yield from _scrapes(page, reference, scale.pick(3, 7), series)
        yield from _rates(collector, reference, scale, series)
        yield from _loaded_scrapes(collector, page, reference, scale, series)
        after = (anonymous_bytes(worker) - before) / series
        yield Figure(f"{series:,} series: the same after all of this", after, "bytes a series")


def run(scale: Scale) -> Iterator[Figure]:
    """Yield scrape times, rates, memory and the cost of a save, at 10,000 and 100,000 series."""
    for series in scale.pick(1000, 10_000), scale.pick(10_000, 100_000):
        directory = scale.directory / f"prometheus-{series}"
        directory.mkdir()
        yield from parts(directory, series)
        yield from _whole(directory / "collector", scale, series)
