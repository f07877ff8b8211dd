"""How a series goes on: its last value, what the next point makes of it, and which exemplars stay."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from math import frexp
from typing import Literal, TypeAlias

from ganglion_collector.metric_values import ExponentialHistogram, Histogram, Summary, Value, add

from ganglion_exporters._prometheus.model import Exemplar, Labels, Point, Series, Temporality

__all__ = [
    "USUAL_TEXT",
    "Complaint",
    "Kept",
    "Reason",
    "advanced",
    "begun",
    "bucket_count",
    "weight",
]

Reason: TypeAlias = Literal["duplicate", "out_of_order", "overlap", "overflow", "type_conflict", "name_conflict"]
"""Why a point has no effect."""
Complaint: TypeAlias = Literal["overflow", "type_conflict", "name_conflict", "two_senders"]
"""What is worth a line in the log."""

_MOST_EXEMPLARS = 20
"""Of an exponential histogram, whose buckets are many."""
USUAL_TEXT = 2048
"""Characters."""
_USUAL_BUCKETS = 512


@dataclass(slots=True)
class Kept(Series):
    """A series in the store; never changed but replaced, so that a scrape sees each one whole.

    `updated`: seconds of the store's clock at its last point.
    """

    updated: float = 0.0


def weight(labels: Labels, value: Value) -> int:
    """Return as how many series one counts against a limit: each 2048 characters and each 512 buckets are one more."""
    text = sum([len(name) + len(text) for name, text in labels])
    return 1 + text // USUAL_TEXT + bucket_count(value) // _USUAL_BUCKETS


def bucket_count(value: Value) -> int:
    """Return how many numbers a value holds besides its sum and count."""
    match value:
        case int() | float():
            return 0
        case Histogram():
            return len(value.counts)
        case ExponentialHistogram():
            return len(value.positive.counts) + len(value.negative.counts)
        case Summary():
            return len(value.quantiles)


def begun(point: Point, value: Value, labels: Labels, time: int, now: float) -> Kept:
    """Return the series that `point` begins; `time` is the point's own where it is sane."""
    exemplars = _exemplars((), point, value, time)
    return Kept(labels, value, min(point.start, time), time, exemplars, now)


def advanced(kept: Kept, point: Point, value: Value, time: int, now: float) -> Kept | Reason:
    """Return the series after `point`, or why the point has no effect.

    A cumulative value replaces the one before; another start time is a restart of its sender. A delta is added; one
    that begins before the last one ended was counted already, at least in part. After a gap the sum goes on.
    """
    if time <= kept.time:
        return "duplicate" if time == kept.time else "out_of_order"
    exemplars = _exemplars(kept.exemplars, point, value, time)
    if point.temporality != Temporality.DELTA:
        start = min(point.start, time) or kept.start
        return Kept(kept.labels, value, start, time, exemplars, now)
    if 0 < point.start < kept.time:
        return "overlap"
    added = add(kept.value, value)
    if added is None:
        return begun(point, value, kept.labels, time, now)
    return Kept(kept.labels, added, kept.start, time, exemplars, now)


def _exemplars(before: tuple[Exemplar, ...], point: Point, value: Value, time: int) -> tuple[Exemplar, ...]:
    if point.family.kind not in ("counter", "histogram"):
        return ()
    # One of a wrong clock, later than its point, would stand before all that follow.
    new = [exemplar if exemplar.time <= time else exemplar._replace(time=time) for exemplar in point.exemplars]
    # Other bounds make other buckets.
    return _latest_exemplars((*before, *new), value) if new or (before and isinstance(value, Histogram)) else before


def _latest_exemplars(exemplars: Iterable[Exemplar], value: Value) -> tuple[Exemplar, ...]:
    """Return of a number the latest, of a histogram the latest of each bucket, in ascending order of their values.

    In an exponential histogram the powers of two stand for its buckets, and there are at most 20.
    """
    in_order = sorted(exemplars, key=_time)
    match value:
        case Histogram():
            by_bucket = {bisect_left(value.bounds, exemplar.value): exemplar for exemplar in in_order}
            return tuple(sorted(by_bucket.values(), key=_value))
        case ExponentialHistogram():
            by_power = {_power(exemplar.value): exemplar for exemplar in in_order}
            latest = sorted(by_power.values(), key=_time)[-_MOST_EXEMPLARS:]
            return tuple(sorted(latest, key=_value))
        case _:
            return tuple(in_order[-1:])


def _power(value: float) -> tuple[bool, int]:
    return value < 0, frexp(value)[1]


def _time(exemplar: Exemplar) -> int:
    return exemplar.time


def _value(exemplar: Exemplar) -> float:
    return exemplar.value
