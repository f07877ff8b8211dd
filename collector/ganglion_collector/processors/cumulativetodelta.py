"""Takes cumulative points apart into what was added by each, for destinations that want deltas."""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
)
from pydantic import Field, model_validator

from ganglion_collector.component import Batch, Config, Duration, ProcessorFactory, Signal
from ganglion_collector.metric_values import Histogram, Value, subtract, write_point
from ganglion_collector.processors._streams import RefusedPointError, has_no_value, rewrite, value_of
from ganglion_collector.saved_state import read_state, write_state

__all__ = ["CumulativeToDelta", "CumulativeToDeltaConfig", "factory"]

_VERSION = 1
_TYPES = {"sum": "sum", "histogram": "histogram", "exponential_histogram": "exponentialhistogram"}


class MatchConfig(Config):
    """Which metrics are meant; both conditions must hold where both are written."""

    without_effect: ClassVar[Mapping[str, str]] = {"regexp": "patterns are compiled once and need no cache"}

    metrics: list[str] = Field(default=[])
    """Names, or patterns that occur in a name."""
    match_type: Literal["strict", "regexp"] | None = None
    """Whether `metrics` are names or patterns."""
    metric_types: list[Literal["sum", "histogram", "exponentialhistogram"]] = Field(default=[])
    """Types of metrics."""

    @model_validator(mode="after")
    def _is_complete(self) -> "MatchConfig":
        if self.metrics and self.match_type is None:
            raise ValueError("match_type is missing; write strict for names or regexp for patterns")
        if self.match_type is not None and not self.metrics:
            raise ValueError("metrics is missing; write which are meant, or leave match_type out")
        if self.match_type == "regexp":
            for pattern in self.metrics:
                _compile(pattern)
        return self

    def name_test(self) -> Callable[[str], object] | None:
        """Return what says whether a metric's name is meant, None where any is."""
        if not self.metrics:
            return None
        if self.match_type == "strict":
            return frozenset(self.metrics).__contains__
        patterns = [_compile(pattern) for pattern in self.metrics]
        return lambda name: any(pattern.search(name) for pattern in patterns)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}; write one, such as ^http\\.server\\.") from None


class CumulativeToDeltaConfig(Config):
    """The Collector's keys."""

    include: MatchConfig = MatchConfig()
    """Convert only these; all where nothing is written."""
    exclude: MatchConfig = MatchConfig()
    """Do not convert these, although included."""
    initial_value: Literal["auto", "keep", "drop"] = "auto"
    """A stream's first point: `keep` or `drop` it, or (`auto`) keep it if the stream began after this processor did."""
    max_staleness: Duration = Field(default=0.0, ge=0)
    """Forget a stream that has had no point for this long, by when points were received; 0 never does."""


class _Stream(msgspec.Struct, array_like=True):
    start: int
    time: int
    seen: int
    value: Value


class _State(msgspec.Struct, array_like=True):
    """`began`: when the first point of all was received."""

    version: int
    began: int = 0
    swept: int = 0
    streams: dict[bytes, _Stream] = {}


class CumulativeToDelta:
    """Keeps each stream's last point. Monotonic sums and histograms are converted, other sums are not."""

    component_type = "cumulativetodelta"

    def __init__(self, config: CumulativeToDeltaConfig) -> None:
        self._config = config
        self._max_staleness = int(config.max_staleness * 1e9)
        self._included, self._excluded = config.include.name_test(), config.exclude.name_test()
        self._state = _State(_VERSION)

    def state(self) -> bytes:
        return write_state(self._state)

    def restore(self, state: bytes) -> None:
        self._state = read_state(state, _State, _VERSION, self.component_type)

    def process(self, batch: Batch) -> Batch:
        if batch.records:
            self._state.began = self._state.began or batch.records[0].received_at
            self._sweep(batch.records[-1].received_at)
        return rewrite(batch, self)

    def wants(self, metric: Metric) -> bool:
        kind = metric.WhichOneof("data")
        if kind not in _TYPES or (kind == "sum" and not metric.sum.is_monotonic):
            return False
        if getattr(metric, kind).aggregation_temporality != AGGREGATION_TEMPORALITY_CUMULATIVE:
            return False
        include, exclude = self._config.include, self._config.exclude
        if self._included is not None and not self._included(metric.name):
            return False
        if include.metric_types and _TYPES[kind] not in include.metric_types:
            return False
        return not (
            (self._excluded is not None and self._excluded(metric.name)) or _TYPES[kind] in exclude.metric_types
        )

    def finish(self, metric: Metric) -> None:
        getattr(metric, metric.WhichOneof("data") or "").aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA

    def convert(self, stream: bytes, kind: str, point: Any, received_at: int) -> None:
        streams = self._state.streams
        if has_no_value(point):
            streams.pop(stream, None)
            raise RefusedPointError("no_recorded_value")
        value = value_of(kind, point)
        known = streams.get(stream)
        if known is not None and 0 < self._max_staleness < received_at - known.seen:
            known = None
        if known is not None and point.time_unix_nano <= known.time:
            raise RefusedPointError("out_of_order")
        streams[stream] = _Stream(point.start_time_unix_nano, point.time_unix_nano, received_at, value)
        if known is None:
            self._check_initial(point)
            return
        start, delta = _since(known, point, value)
        write_point(delta, point)
        point.start_time_unix_nano = start
        for name in {"min", "max"} & set(point.DESCRIPTOR.fields_by_name):
            # They are of the whole time, not of the part between the two points.
            point.ClearField(name)

    def _check_initial(self, point: Any) -> None:
        """Refuse a stream's first point unless it is wanted, which is then a delta from the stream's own start."""
        start, rule = point.start_time_unix_nano, self._config.initial_value
        began_before = start < self._state.began or start == point.time_unix_nano
        if rule == "drop" or (rule == "auto" and began_before):
            raise RefusedPointError("initial_value")

    def _sweep(self, now: int) -> None:
        """Forget stale streams, now and then; `convert` knows them as stale before."""
        if not self._max_staleness or now - self._state.swept < self._max_staleness // 5:
            return
        streams = self._state.streams
        self._state.streams = {key: known for key, known in streams.items() if now - known.seen <= self._max_staleness}
        self._state.swept = now


def _since(known: _Stream, point: Any, value: Value) -> tuple[int, Value]:
    """Return since when, and what, `value` adds to what is known.

    Where counting began anew it is all of `value`, as Prometheus' `rate` has it.
    """
    if known.start != point.start_time_unix_nano >= known.time:
        return point.start_time_unix_nano, value
    delta = subtract(value, known.value)
    if delta is not None:
        return known.time, delta
    if isinstance(value, Histogram) and isinstance(known.value, Histogram) and value.bounds != known.value.bounds:
        raise RefusedPointError("bucket_mismatch")
    return known.time, value


factory = ProcessorFactory(
    component_type="cumulativetodelta",
    config=CumulativeToDeltaConfig,
    create=CumulativeToDelta,
    signals=frozenset({Signal.METRICS}),
)
