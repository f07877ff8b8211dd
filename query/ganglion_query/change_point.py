"""When a mean fell: the stretch of a series that is lowest against the rest, and how surely. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

from ganglion_query.significance import normal_of_t

__all__ = ["Fall", "Weighed", "clearest_fall"]

# By chance the greatest of many comparisons is higher than any one of them.
_CERTAIN_LASTING = 4.0
_CERTAIN_PASSING = 5.0
_COARSE = 150


@dataclass(frozen=True, slots=True)
class Weighed:
    """Values that stand together: how many, their sum and the sum of their squares."""

    count: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class Fall:
    """From the point `start` up to and without `end` the mean is `after`, elsewhere `before`; `z` standard errors."""

    start: int
    end: int
    before: float
    after: float
    z: float


def clearest_fall(points: Sequence[Weighed], least: int = 5) -> Fall | None:
    """Return the stretch whose mean is lower than the rest with the greatest t, if that cannot be chance.

    It has `least` values and so many before it; it lasts to the end unless a recovery is much clearer. The two-sample
    t of every split is what the likelihood ratio of a change in the mean is (Hinkley 1970); of every stretch, that of
    a passing change (Levin and Kline 1985).
    """
    if not points:
        return None
    series = _Series(points, least)
    lasting = series.best((start, len(points)) for start in range(1, len(points)))
    passing = series.passing()
    chosen = passing if passing and passing.z > (lasting.z if lasting else 0.0) + 1 else lasting
    if chosen is None:
        return None
    certain = _CERTAIN_LASTING if chosen.end == len(points) else _CERTAIN_PASSING
    return chosen if chosen.z >= certain else None


class _Series:
    """Sums up to each point."""

    def __init__(self, points: Sequence[Weighed], least: int) -> None:
        self.length = len(points)
        self._least = least
        self._counts = [0, *accumulate(point.count for point in points)]
        centre = math.fsum(point.total for point in points) / max(1, self._counts[-1])
        # Around the mean, where squares lose no digits.
        self._totals = [0.0, *accumulate(point.total - point.count * centre for point in points)]
        squares = (point.squares - 2 * centre * point.total + point.count * centre**2 for point in points)
        self._squares = [0.0, *accumulate(squares)]
        self._centre = centre

    def best(self, stretches: Iterable[tuple[int, int]]) -> Fall | None:
        """Return the stretch of the greatest t, which is that of the greatest gap: what varies is the same for all."""
        start, end = max(stretches, key=self._gap, default=(0, 0))
        return self._fall(start, end) if self._gap((start, end)) > 0 else None

    def passing(self) -> Fall | None:
        """Return the best stretch with an end: looked for in large steps, then moved point by point."""
        step = max(1, self.length // _COARSE)
        found = self.best(combinations(range(step, self.length, step), 2))
        if found is None or step == 1:
            return found
        starts = range(max(1, found.start - step), min(self.length, found.start + step + 1))
        ends = range(max(1, found.end - step), min(self.length, found.end + step + 1))
        found = self.best((start, found.end) for start in starts if start < found.end) or found
        return self.best((found.start, end) for end in ends if found.start < end) or found

    def _gap(self, stretch: tuple[int, int]) -> float:
        """Return how far the stretch lies below the rest, weighed by how many both are; 0 if it is no fall."""
        start, end = stretch
        before = self._counts[start]
        within = self._counts[end] - before
        others = self._counts[-1] - within
        if within < self._least or before < self._least or others < 2:
            return 0.0
        total = self._totals[end] - self._totals[start]
        low, high = total / within, (self._totals[-1] - total) / others
        # What was as low before has not fallen; the rest may be higher only because it rose.
        if self._totals[start] / before - low < (high - low) / 2:
            return 0.0
        return max(0.0, (high - low) * math.sqrt(within * others))

    def _fall(self, start: int, end: int) -> Fall:
        count = self._counts[-1]
        within = self._counts[end] - self._counts[start]
        others = count - within
        total = self._totals[end] - self._totals[start]
        low, high = total / within, (self._totals[-1] - total) / others
        spread = self._squares[-1] - within * low**2 - others * high**2
        # Not less than what rounding leaves, so that a perfect step is not infinitely sure.
        deviation = math.sqrt(max(spread / (count - 2), 1e-6))
        t = (high - low) / (deviation * math.sqrt(1 / within + 1 / others))
        return Fall(start, end, high + self._centre, low + self._centre, normal_of_t(t, count - 2))
