"""What is remembered of cumulative series past the limit, so that their growth can be summed up."""

from hashlib import blake2b
from typing import NamedTuple

from ganglion_collector.metric_values import Value, subtract

from ganglion_exporters._prometheus.model import Point
from ganglion_exporters.prometheus.series import Reason

__all__ = ["Overflow", "Remembered"]


class Remembered(NamedTuple):
    """The last point of a series; `updated` in seconds of the store's clock."""

    start: int
    time: int
    value: Value
    updated: float


class Overflow:
    """Remembers `most` series, by a digest of their name and labels."""

    def __init__(self, most: int) -> None:
        self.known: dict[bytes, Remembered] = {}
        self._most = most

    def growth(self, point: Point, value: Value, time: int, since: int, now: float) -> Value | Reason:
        """Return what `point` adds to all that was counted `since` then, or why nothing can be told.

        Of a series that is new here and began before `since` only what follows counts, as in a query's `increase`.
        """
        key = _digest(point)
        before, start = self.known.get(key), min(point.start, time)
        if before is None and len(self.known) >= self._most:
            return "overflow"
        if before is not None and time <= before.time:
            return "duplicate" if time == before.time else "out_of_order"
        self.known[key] = Remembered(start, time, value, now)
        if before is None:
            return value if 0 < since <= start else _nothing(value)
        grown = subtract(value, before.value) if start == before.start else None
        return value if grown is None else grown

    def expire(self, before: float) -> None:
        """Forget what was not updated since `before`."""
        for key in [key for key, one in self.known.items() if one.updated < before]:
            del self.known[key]


def _nothing(value: Value) -> Value:
    nothing = subtract(value, value)
    return 0 if nothing is None else nothing


def _digest(point: Point) -> bytes:
    return blake2b(repr((point.family.name, point.labels)).encode(), digest_size=16).digest()
