"""prometheus-client alone: `python -m bench.prometheus_client_page SERIES PORT` fills a registry and serves it.

It prints one JSON object: bytes of memory that the series took, updates a second of series that are there. Then the
line `start` on its input makes a thread update all series over and over, any other line lets it rest.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from itertools import cycle

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from bench.metric_data import BOUNDS, LABELS, Measured, measured
from bench.processes import anonymous_bytes

__all__ = ["Registry"]

_AT_ONCE = 1000


class Registry:
    """The series of `measured` in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}

    def update(self, series: Sequence[Measured]) -> None:
        """Add one measurement to each of `series`."""
        for one in series:
            match one.kind:
                case "counter":
                    self._counter(one.name).labels(*one.labels).inc()
                case "gauge":
                    self._gauge(one.name).labels(*one.labels).set(0.375)
                case "histogram":
                    self._histogram(one.name).labels(*one.labels).observe(0.07)

    def _counter(self, name: str) -> Counter:
        if name not in self._counters:
            self._counters[name] = Counter(name, "", LABELS, registry=self.registry)
        return self._counters[name]

    def _gauge(self, name: str) -> Gauge:
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, "", LABELS, registry=self.registry)
        return self._gauges[name]

    def _histogram(self, name: str) -> Histogram:
        if name not in self._histograms:
            self._histograms[name] = Histogram(name, "", LABELS, buckets=BOUNDS, registry=self.registry)
        return self._histograms[name]


def _update_while(wanted: threading.Event, registry: Registry, series: Sequence[Measured]) -> None:
    for first in cycle(range(0, len(series), _AT_ONCE)):
        wanted.wait()
        registry.update(series[first : first + _AT_ONCE])


def _main() -> None:
    count, port = int(sys.argv[1]), int(sys.argv[2])
    series, registry = list(measured(count)), Registry()
    before = anonymous_bytes(os.getpid())
    registry.update(series)
    after, begin = anonymous_bytes(os.getpid()), time.perf_counter()
    registry.update(series)
    rate = count / (time.perf_counter() - begin)
    start_http_server(port, "127.0.0.1", registry.registry)
    print(json.dumps({"memory": after - before, "rate": rate}), flush=True)
    wanted = threading.Event()
    threading.Thread(target=_update_while, args=(wanted, registry, series), daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "start":
            wanted.set()
        else:
            wanted.clear()


if __name__ == "__main__":
    _main()
