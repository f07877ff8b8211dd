"""The span_metrics connector alone: spans a second beside prometheus-client counting and timing the same; its flush."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import Batch, Position, Record, Signal, Source
from ganglion_collector.connectors.span_metrics.config import Dimension, SpanMetricsConfig
from ganglion_collector.connectors.span_metrics.connector import SpanMetricsConnector
from ganglion_collector.otlp import item_lists, parse_request
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import CollectorRegistry, Counter, Histogram

from bench.data import span_template
from bench.report import Budget, Figure, Scale, median

__all__ = ["run"]

_SPANS = 500
_SOURCE = Source(UUID(int=1), "bench")
_NAMES = ("span_name", "span_kind", "status_code")
_STANDSTILL = Budget(1000, 250, "less")
_QUOTA = 1 << 30


def _batches(requests: int) -> list[Batch]:
    now = time.time_ns()
    payloads = (span_template(_SPANS, seed=number).stamp(number, now) for number in range(requests))
    records = (Record(number, Signal.TRACES, "otlp", now, _SPANS, payload) for number, payload in enumerate(payloads))
    return [Batch(Signal.TRACES, (record,), _SOURCE, Position(), Position(record.sequence + 1)) for record in records]


class _Reference:
    """What one would write by hand with prometheus-client."""

    def __init__(self, config: SpanMetricsConfig) -> None:
        registry = CollectorRegistry()
        self._calls = Counter("calls", "", _NAMES, registry=registry)
        self._duration = Histogram("duration", "", _NAMES, buckets=config.histogram.bounds, registry=registry)

    def consume(self, batch: Batch) -> None:
        for record in batch.records:
            for spans in item_lists(Signal.TRACES, parse_request(Signal.TRACES, record.payload)):
                self._take(spans)

    def _take(self, spans: Sequence[Span]) -> None:
        for span in spans:
            values = (span.name, Span.SpanKind.Name(span.kind), str(span.status.code))
            self._calls.labels(*values).inc()
            duration = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
            self._duration.labels(*values).observe(duration)


def _rate(end: SpanMetricsConnector | _Reference, batches: Sequence[Batch]) -> float:
    times = list[float]()
    for _ in range(5):
        begin = time.perf_counter()
        for batch in batches:
            end.consume(batch)
        times.append(time.perf_counter() - begin)
    return len(batches) * _SPANS / median(times)


def _flush(directory: Path, requests: int) -> Iterator[Figure]:
    """A flush, from memory to the disk, with a series for nearly every span."""
    config = SpanMetricsConfig(dimensions=[Dimension(name="items")], aggregation_cardinality_limit=0)
    connector, batches = SpanMetricsConnector(config), _batches(requests)
    flushing, saving, derived, state = list[float](), list[float](), 0, b""
    checkpoint = Checkpoint(directory / f"{requests}.sqlite", "bench", quota_bytes=_QUOTA, readers=["bench"])
    try:
        for turn in range(5):
            for batch in batches:
                connector.consume(batch)
            begin = time.perf_counter()
            output = connector.flush(time.time_ns())
            middle = time.perf_counter()
            state = connector.state()
            checkpoint.save({"bench": state}, {_SOURCE: Position(turn)}, output)
            flushing.append(middle - begin)
            saving.append(time.perf_counter() - middle)
            derived = sum(one.item_count for one in output)
    finally:
        checkpoint.close()
    both = (median(flushing) + median(saving)) * 1e3
    note = f"{median(flushing) * 1e3:.0f} ms to make {derived:,} points; state {len(state) / 1e6:.1f} MB"
    yield Figure(f"a flush of {derived:,} points, saved", both, "ms", budget=_STANDSTILL, note=note)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield spans a second, then how long the worker stands still for a flush at two sizes."""
    directory = scale.directory / "span_metrics"
    directory.mkdir()
    batches, config = _batches(scale.pick(4, 40)), SpanMetricsConfig()
    reference = _rate(_Reference(config), batches)
    yield Figure("spans consumed", _rate(SpanMetricsConnector(config), batches), "spans/s", reference)
    by_items = SpanMetricsConfig(dimensions=[Dimension(name="items")], aggregation_cardinality_limit=0)
    yield Figure("spans consumed, a series for each", _rate(SpanMetricsConnector(by_items), batches), "spans/s")
    for requests in scale.pick(1, 1), scale.pick(2, 10), scale.pick(4, 100):
        yield from _flush(directory, requests)
