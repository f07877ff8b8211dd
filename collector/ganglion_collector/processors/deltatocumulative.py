"""Adds delta points up to cumulative ones, for destinations that know no deltas."""

from typing import Any

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
)
from pydantic import Field

from ganglion_collector.component import Batch, Config, Duration, ProcessorFactory, Signal
from ganglion_collector.metric_values import Value, add, write_point
from ganglion_collector.processors._streams import RefusedPointError, has_no_value, rewrite, value_of
from ganglion_collector.saved_state import read_state, write_state

__all__ = ["DeltaToCumulative", "DeltaToCumulativeConfig", "factory"]

_VERSION = 1
_KINDS = ("sum", "histogram", "exponential_histogram")


class DeltaToCumulativeConfig(Config):
    """The Collector's keys."""

    max_stale: Duration = Field(default=300.0, ge=0)
    """Forget a stream that has had no point for this long, by when points were received; 0 never does."""
    max_streams: int = Field(default=100_000, ge=0)
    """Most streams; points of further ones are left out. 0 is no limit."""


class _Stream(msgspec.Struct, array_like=True):
    """A total: of the points from `start` to `time`; `low` and `high` are unknown where one point did not say."""

    start: int
    time: int
    seen: int
    value: Value
    low: float | None
    high: float | None


class _State(msgspec.Struct, array_like=True):
    version: int
    swept: int = 0
    streams: dict[bytes, _Stream] = {}


class DeltaToCumulative:
    """Keeps one total for each stream; time passes by when the points were received, so that it can be repeated."""

    component_type = "deltatocumulative"

    def __init__(self, config: DeltaToCumulativeConfig) -> None:
        self._max_stale = int(config.max_stale * 1e9)
        self._max_streams = config.max_streams
        self._state = _State(_VERSION)

    def state(self) -> bytes:
        return write_state(self._state)

    def restore(self, state: bytes) -> None:
        self._state = read_state(state, _State, _VERSION, self.component_type)

    def process(self, batch: Batch) -> Batch:
        if batch.records:
            self._sweep(batch.records[-1].received_at)
        return rewrite(batch, self)

    def wants(self, metric: Metric) -> bool:
        kind = metric.WhichOneof("data")
        return kind in _KINDS and getattr(metric, kind).aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA

    def finish(self, metric: Metric) -> None:
        getattr(metric, metric.WhichOneof("data") or "").aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE

    def convert(self, stream: bytes, kind: str, point: Any, received_at: int) -> None:
        if has_no_value(point):
            self._state.streams.pop(stream, None)
            return
        value = value_of(kind, point)
        known = self._state.streams.get(stream)
        if known is None or self._is_stale(known, received_at):
            self._begin(stream, point, value, received_at)
            return
        if point.time_unix_nano <= known.time:
            raise RefusedPointError("out_of_order")
        if 0 < point.start_time_unix_nano < known.start:
            raise RefusedPointError("older_start")
        total = add(known.value, value)
        if total is None:
            self._begin(stream, point, value, received_at)
            return
        known.value, known.time, known.seen = total, point.time_unix_nano, received_at
        self._add_extremes(known, point)
        write_point(total, point)
        point.start_time_unix_nano = known.start

    def _begin(self, stream: bytes, point: Any, value: Value, received_at: int) -> None:
        streams = self._state.streams
        if stream not in streams and self._max_streams and len(streams) >= self._max_streams:
            raise RefusedPointError("too_many_streams")
        low, high = _extremes(point)
        streams[stream] = _Stream(point.start_time_unix_nano, point.time_unix_nano, received_at, value, low, high)
        write_point(value, point)

    @staticmethod
    def _add_extremes(known: _Stream, point: Any) -> None:
        low, high = _extremes(point)
        known.low = None if low is None or known.low is None else min(low, known.low)
        known.high = None if high is None or known.high is None else max(high, known.high)
        for name, extreme in (("min", known.low), ("max", known.high)):
            if extreme is not None:
                setattr(point, name, extreme)
            elif name in point.DESCRIPTOR.fields_by_name:
                point.ClearField(name)

    def _is_stale(self, known: _Stream, now: int) -> bool:
        return 0 < self._max_stale < now - known.seen

    def _sweep(self, now: int) -> None:
        """Forget stale streams, now and then; `convert` knows them as stale before."""
        if not self._max_stale or now - self._state.swept < self._max_stale // 5:
            return
        streams = self._state.streams
        self._state.streams = {key: known for key, known in streams.items() if not self._is_stale(known, now)}
        self._state.swept = now


def _extremes(point: Any) -> tuple[float | None, float | None]:
    if "min" not in point.DESCRIPTOR.fields_by_name:
        return None, None
    return (point.min if point.HasField("min") else None, point.max if point.HasField("max") else None)


factory = ProcessorFactory(
    component_type="deltatocumulative",
    config=DeltaToCumulativeConfig,
    create=DeltaToCumulative,
    signals=frozenset({Signal.METRICS}),
)
