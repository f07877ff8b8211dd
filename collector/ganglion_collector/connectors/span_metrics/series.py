"""What the connector remembers; msgspec writes and reads it as it stands."""

from bisect import bisect_left
from typing import TypeAlias

import msgspec

from ganglion_collector.attributes import Attributes
from ganglion_collector.metric_values import MAX_SCALE, Buckets, ExponentialHistogram, Histogram, bucket_index

__all__ = ["Durations", "Exemplar", "Explicit", "Exponential", "Resource", "State", "Sum"]


class Exemplar(msgspec.Struct, array_like=True, gc=False):
    """One span that a number stands for; `value` is what was measured, `time` Unix nanoseconds."""

    trace_id: bytes
    span_id: bytes
    value: float
    time: int


class _Series(msgspec.Struct, array_like=True):
    """`start` is when it began to count, `seen` the last flush that found it `touched`; all Unix nanoseconds."""

    start: int
    seen: int = 0
    touched: bool = True


class Sum(_Series, array_like=True):
    """A number of spans or events, with the latest of them."""

    count: int = 0
    exemplar: Exemplar | None = None


class Explicit(_Series, array_like=True, tag="explicit"):
    """Durations in buckets with given bounds; exemplars by bucket."""

    sum: float = 0.0
    counts: list[int] = []
    exemplars: dict[int, Exemplar] = {}

    def observe(self, duration: float, bounds: tuple[float, ...]) -> int:
        """Count `duration`; return its bucket."""
        bucket = bisect_left(bounds, duration)
        self.counts[bucket] += 1
        self.sum += duration
        return bucket

    def value(self, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(sum(self.counts), self.sum, bounds, tuple(self.counts))


class Exponential(_Series, array_like=True, tag="exponential"):
    """Durations in exponential buckets by index, at the finest scale at which `max_size` hold them all.

    Exemplars are by bucket too; -2 ** 31 stands for the bucket of zero.
    """

    max_size: int = 160
    scale: int = MAX_SCALE
    zeros: int = 0
    sum: float = 0.0
    low: float = 0.0
    high: float = 0.0
    counts: dict[int, int] = {}
    exemplars: dict[int, Exemplar] = {}

    def observe(self, duration: float, _bounds: tuple[float, ...]) -> int:
        """Count `duration`; return its bucket."""
        self.low = duration if not (self.zeros or self.counts) else min(self.low, duration)
        self.high = max(self.high, duration)
        if not duration:
            self.zeros += 1
            return -(2**31)
        self.sum += duration
        index = bucket_index(duration, self.scale)
        if index not in self.counts:
            index = self._make_room(index)
        self.counts[index] = self.counts.get(index, 0) + 1
        return index

    def _make_room(self, index: int) -> int:
        """Lower the scale until `index` and all others fit; return what `index` became."""
        low, high, shift = min(self.counts, default=index), max(self.counts, default=index), 0
        low, high = min(low, index), max(high, index)
        while (high >> shift) - (low >> shift) >= self.max_size:
            shift += 1
        if shift:
            counts: dict[int, int] = {}
            for place, count in self.counts.items():
                counts[place >> shift] = counts.get(place >> shift, 0) + count
            self.counts = counts
            self.exemplars = {
                place >> shift if place > -(2**31) else place: found for place, found in self.exemplars.items()
            }
            self.scale -= shift
        return index >> shift

    def value(self, _bounds: tuple[float, ...]) -> ExponentialHistogram:
        offset = min(self.counts, default=0)
        counts = tuple(self.counts.get(index, 0) for index in range(offset, max(self.counts, default=offset - 1) + 1))
        count = self.zeros + sum(counts)
        return ExponentialHistogram(
            count, self.sum, self.scale, 0.0, self.zeros, Buckets(offset, counts), Buckets(0, ())
        )


Durations: TypeAlias = Explicit | Exponential


class Resource(msgspec.Struct, array_like=True):
    """The series of one resource by their attributes; `message` is its serialized `Resource`."""

    message: bytes
    seen: int = 0
    touched: bool = True
    calls: dict[Attributes, Sum] = {}
    durations: dict[Attributes, Durations] = {}
    events: dict[Attributes, Sum] = {}


class State(msgspec.Struct, array_like=True):
    """Everything, by the resources' canonical attributes, the most recently seen last.

    `shape` is of the settings that the series depend on. `ended`: when the last delta of a series ended, by resource,
    metric and attributes, the latest last. `flushed` is when the last deltas ended.
    """

    version: int
    shape: str
    resources: dict[bytes, Resource] = {}
    ended: dict[tuple[bytes, str, Attributes], int] = {}
    flushed: int = 0
