"""The series store: what every series stands at, from the points of all senders."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ganglion_collector.metric_values import Value, add

from ganglion_exporters._prometheus.model import Family, Labels, Point, Series, Temporality
from ganglion_exporters.prometheus.families import SampleNames
from ganglion_exporters.prometheus.overflow import Overflow
from ganglion_exporters.prometheus.series import (
    USUAL_TEXT,
    Complaint,
    Kept,
    Reason,
    advanced,
    begun,
    bucket_count,
    weight,
)

__all__ = ["OVERFLOW", "Limits", "Metric", "Store"]

_logger = logging.getLogger(__name__)

OVERFLOW: Labels = (("otel_metric_overflow", "true"),)
"""Of the one series in which a metric's series past the limit are summed up."""
_FURTHEST_AHEAD = 600 * 10**9
"""Nanoseconds that a sender's clock may be ahead; a time further on would make every later point an old one."""
_MOST_COMPLAINTS = 1000
_ORIGIN = ("instance", "job")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many series are kept, and for how many seconds without a point; 0 seconds is for ever."""

    max_series: int
    gauge_expiration: float
    counter_expiration: float


@dataclass(slots=True)
class Metric:
    """A family and its series by their labels; those of resources (`is_target_info`) by job and instance alone."""

    family: Family
    is_target_info: bool
    series: dict[Labels, Kept] = field(default_factory=dict[Labels, Kept])


class Store:
    """Not for use by several threads; but what `families` returned never changes.

    `target_info` is the name of the family that describes resources, one series for each job and instance.
    """

    def __init__(
        self, limits: Limits, target_info: str = "target_info", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.overflowed = 0
        """Points of series past the limit, whether they were summed up or left out."""
        self.overflow = Overflow(limits.max_series)
        self._limits = limits
        self._target_info = target_info
        self._clock = clock
        self._metrics: dict[str, Metric] = {}
        self._names = SampleNames()
        self._count = 0
        self._weight = 0
        self._complaints: set[str] = set()

    def __len__(self) -> int:
        return self._count

    @property
    def now(self) -> float:
        """Seconds of the store's clock."""
        return self._clock()

    @property
    def metrics(self) -> Iterable[Metric]:
        return self._metrics.values()

    def families(self, *, open_metrics: bool = False) -> list[tuple[Family, list[Series]]]:
        """Return all families with their series as they are at this moment."""
        return [
            (self._names.for_open_metrics(metric.family) if open_metrics else metric.family, [*metric.series.values()])
            for metric in self._metrics.values()
        ]

    def take(self, points: Iterable[Point], received_at: int) -> Counter[str]:
        """Take points received at a time in Unix nanoseconds; return how many had no effect, by the reason."""
        dropped: Counter[str] = Counter()
        now = self._clock()
        for point in points:
            if (reason := self._take(point, received_at, now)) is not None:
                dropped[reason] += 1
        return dropped

    def insert(self, family: Family, series: Iterable[Kept]) -> None:
        """Put series in as they are; for a store that holds none of their names yet."""
        metric = self._add(family)
        self._names.claim(family)
        for kept in series:
            self._set(metric, _origin(kept.labels) if metric.is_target_info else kept.labels, kept)

    def expire(self) -> int:
        """Take out what had no point for too long; return how many series."""
        before, now = self._count, self._clock()
        for metric in list(self._metrics.values()):
            if not metric.is_target_info:
                self._remove(metric, self._old(metric, now))
        if (targets := self._metrics.get(self._target_info)) is not None:
            self._expire_targets(targets, now)
        if limit := self._limits.counter_expiration:
            self.overflow.expire(now - limit)
        return before - self._count

    def _expire_targets(self, targets: Metric, now: float) -> None:
        """A resource's description stays as long as any series of it does: queries join the two."""
        if old := self._old(targets, now):
            alive = set(self._origins())
            self._remove(targets, [key for key in old if key not in alive])

    def _origins(self) -> Iterator[Labels]:
        for metric in self._metrics.values():
            if not metric.is_target_info:
                yield from map(_origin, metric.series)

    def _old(self, metric: Metric, now: float) -> list[Labels]:
        counts = metric.family.kind in ("counter", "histogram", "summary")
        limit = self._limits.counter_expiration if counts else self._limits.gauge_expiration
        return [key for key, kept in metric.series.items() if 0 < limit < now - kept.updated]

    def _take(self, point: Point, received_at: int, now: float) -> Reason | None:
        family, value = point.family, point.value
        metric = self._metrics.get(family.name)
        if value is None:
            return self._end(metric, point)
        if metric is None:
            if self._has_no_room(_text_weight(family) + weight(point.labels, value)):
                return self._leave_out(family)
            if (owner := self._names.claim(family)) is not None:
                self._complain("name_conflict", family, owner)
                return "name_conflict"
            metric = self._add(family)
        elif metric.family.kind != family.kind:
            self._complain("type_conflict", family, metric.family.kind)
            return "type_conflict"
        time = point.time if 0 < point.time <= received_at + _FURTHEST_AHEAD else received_at
        if metric.is_target_info:
            return self._describe(metric, point, time, now)
        return self._put(metric, point, value, time, now)

    def _end(self, metric: Metric | None, point: Point) -> Reason | None:
        kept = metric.series.get(point.labels) if metric is not None else None
        if metric is None or kept is None:
            return None
        if 0 < point.time < kept.time:
            return "out_of_order"
        self._remove(metric, [point.labels])
        return None

    def _put(self, metric: Metric, point: Point, value: Value, time: int, now: float) -> Reason | None:
        kept = metric.series.get(point.labels)
        new = begun(point, value, point.labels, time, now) if kept is None else advanced(kept, point, value, time, now)
        if not isinstance(new, Kept):
            return new
        growth = _growth(kept, new)
        if self._has_no_room(growth):
            return self._overflow(metric, point, value, time, now) if kept is None else self._leave_out(point.family)
        if kept is not None and 0 < new.start < kept.start:
            # A sender that restarts begins later, so these are two.
            self._complain("two_senders", point.family, "another sender with the same labels")
        self._count += kept is None
        self._weight += growth
        metric.series[point.labels] = new
        return None

    def _set(self, metric: Metric, key: Labels, new: Kept) -> None:
        kept = metric.series.get(key)
        self._count += kept is None
        self._weight += _growth(kept, new)
        metric.series[key] = new

    def _has_no_room(self, more: int) -> bool:
        return more > 0 and self._weight + more > self._limits.max_series

    def _describe(self, metric: Metric, point: Point, time: int, now: float) -> Reason | None:
        """Keep the last description of a resource; one that is no news is none that was lost."""
        key = _origin(point.labels)
        kept = metric.series.get(key)
        labels = point.labels if kept is None or time >= kept.time else kept.labels
        new = begun(point, 1.0, labels, time if kept is None else max(time, kept.time), now)
        if self._has_no_room(_growth(kept, new)):
            return self._leave_out(point.family)
        self._set(metric, key, new)
        return None

    def _overflow(self, metric: Metric, point: Point, value: Value, time: int, now: float) -> Reason | None:
        """Add a point of a new series to the metric's overflow series; what is no total cannot be added."""
        kept = metric.series.get(OVERFLOW)
        if point.temporality != Temporality.DELTA:
            if point.family.kind not in ("counter", "histogram"):
                return self._leave_out(point.family)
            growth = self.overflow.growth(point, value, time, kept.start if kept else time, now)
            if isinstance(growth, str):
                return self._leave_out(point.family) if growth == "overflow" else growth
            value, point = growth, point._replace(start=time)
        if kept is None:
            self._set(metric, OVERFLOW, begun(point, value, OVERFLOW, time, now))
        else:
            added = add(kept.value, value)
            if added is None:
                return self._leave_out(point.family)
            # Of many senders: that their intervals overlap is no repetition.
            following = point._replace(start=kept.start, exemplars=(*kept.exemplars, *point.exemplars))
            self._set(metric, OVERFLOW, begun(following, added, OVERFLOW, max(time, kept.time), now))
        self._count_overflow(point.family)
        return None

    def _leave_out(self, family: Family) -> Reason:
        self._count_overflow(family)
        return "overflow"

    def _count_overflow(self, family: Family) -> None:
        self.overflowed += 1
        self._complain("overflow", family, f"max_series {self._limits.max_series}")

    def _add(self, family: Family) -> Metric:
        metric = self._metrics[family.name] = Metric(family, family.name == self._target_info)
        self._weight += _text_weight(family)
        return metric

    def _remove(self, metric: Metric, keys: Iterable[Labels]) -> None:
        for key in keys:
            if (kept := metric.series.pop(key, None)) is not None:
                self._count -= 1
                self._weight -= weight(kept.labels, kept.value)
        if not metric.series:
            del self._metrics[metric.family.name]
            self._weight -= _text_weight(metric.family)
            self._names.release(metric.family)

    def _complain(self, reason: Complaint, family: Family, found: str) -> None:
        """Say once what is wrong with a metric."""
        if family.name not in self._complaints and len(self._complaints) < _MOST_COMPLAINTS:
            self._complaints.add(family.name)
            about = {"metric": family.name, "type": family.kind, "reason": reason, "conflicts_with": found}
            _logger.warning("points of a metric cannot be shown as they are", extra=about)


def _growth(kept: Kept | None, new: Kept) -> int:
    """Return how much heavier the store becomes."""
    if kept is None:
        return weight(new.labels, new.value)
    if kept.labels is new.labels and bucket_count(kept.value) == bucket_count(new.value):
        return 0
    return weight(new.labels, new.value) - weight(kept.labels, kept.value)


def _text_weight(family: Family) -> int:
    return (len(family.name) + len(family.help) + len(family.unit)) // USUAL_TEXT


def _origin(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] in _ORIGIN)
