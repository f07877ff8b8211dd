"""The prometheus exporter alone in this process: what a point costs, and how long a worker stands still to save."""

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import Batch, Position, Record, Signal, Source
from ganglion_collector.otlp import parse_request
from ganglion_exporters._prometheus.translate import Translator
from ganglion_exporters.prometheus import PrometheusConfig, PrometheusExporter
from ganglion_exporters.prometheus.configuration import translation_settings
from ganglion_exporters.prometheus.store import Limits, Store
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bench.metric_data import MetricRequests, measured
from bench.processes import free_port
from bench.prometheus_client_page import Registry
from bench.report import Budget, Figure, median

__all__ = ["parts"]

_POINTS = 500
_ROUNDS = 5
_STANDSTILL = Budget(1000, 250, "less")
_SOURCE = Source(UUID(int=1), "bench")


def parts(directory: Path, series: int) -> Iterator[Figure]:
    """Yield points a second by part against updates of prometheus-client, then the cost of a save."""
    requests = MetricRequests(_POINTS, series)
    reference = _reference_rate(series)
    yield Figure(f"{series:,} series: store alone", _store_rate(requests, series), "points/s", reference)
    exporter = PrometheusExporter(PrometheusConfig(endpoint=f"127.0.0.1:{free_port()}"))
    rate = asyncio.run(_exporter_rate(exporter, requests, series))
    yield Figure(f"{series:,} series: parse, translate, store", rate, "points/s", reference)
    yield from _save(directory, exporter, series)


def _reference_rate(series: int) -> float:
    registry, known = Registry(), list(measured(series))
    registry.update(known)
    times = list[float]()
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        registry.update(known)
        times.append(time.perf_counter() - begin)
    return series / median(times)


def _store_rate(requests: MetricRequests, series: int) -> float:
    config = PrometheusConfig()
    translator = Translator(translation_settings(config))
    store = Store(Limits(config.max_series, config.metric_expiration, config.longest_without_point))
    times = list[float]()
    for turn in range(_ROUNDS + 1):
        taken = 0.0
        for number in range(len(requests)):
            request = parse_request(Signal.METRICS, requests.payload(number))
            assert isinstance(request, ExportMetricsServiceRequest)
            points, _ = translator.points(request)
            begin = time.perf_counter()
            dropped = store.take(points, time.time_ns())
            taken += time.perf_counter() - begin
            if dropped:
                raise RuntimeError(f"points were dropped: {dropped}")
        if turn:  # the first makes the series
            times.append(taken)
    return series / median(times)


async def _exporter_rate(exporter: PrometheusExporter, requests: MetricRequests, series: int) -> float:
    await exporter.start()
    try:
        times = list[float]()
        for turn in range(_ROUNDS + 1):
            batches = _batches(requests)
            begin = time.perf_counter()
            for batch in batches:
                await exporter.export(batch)
            if turn:
                times.append(time.perf_counter() - begin)
        return series / median(times)
    finally:
        await exporter.shutdown()


def _batches(requests: MetricRequests) -> Sequence[Batch]:
    now = time.time_ns()
    records = [
        Record(number, Signal.METRICS, "otlp", now, requests.records, requests.payload(number))
        for number in range(len(requests))
    ]
    return [
        Batch(Signal.METRICS, (record,), _SOURCE, Position(record.sequence), Position(record.sequence + 1))
        for record in records
    ]


def _save(directory: Path, exporter: PrometheusExporter, series: int) -> Iterator[Figure]:
    checkpoint = Checkpoint(directory / "state.sqlite", "bench")
    encoding, saving, state = list[float](), list[float](), b""
    try:
        for turn in range(_ROUNDS):
            begin = time.perf_counter()
            state = exporter.state()
            middle = time.perf_counter()
            checkpoint.save({"bench": state}, {_SOURCE: Position(turn)})
            encoding.append(middle - begin)
            saving.append(time.perf_counter() - middle)
    finally:
        checkpoint.close()
    both = (median(encoding) + median(saving)) * 1e3
    note = (
        f"{median(encoding) * 1e3:.0f} ms to encode, in which no scrape is answered either; {len(state) / 1e6:.1f} MB"
    )
    yield Figure(f"{series:,} series: worker stands still to save", both, "ms", budget=_STANDSTILL, note=note)
    # A worker that starts has nothing else in memory to be looked through for garbage.
    gc.freeze()
    begin = time.perf_counter()
    PrometheusExporter(PrometheusConfig(endpoint=f"127.0.0.1:{free_port()}")).restore(state)
    yield Figure(f"{series:,} series: to read it at the start", (time.perf_counter() - begin) * 1e3, "ms")
