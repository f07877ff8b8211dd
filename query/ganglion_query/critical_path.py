"""Where the time of a trace went: each span's own share of it, and the path that kept it from its end. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ganglion_query.time_axis import Axis, Bar

__all__ = ["Stretch", "covered", "critical_path", "gaps", "idle", "self_time"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` to `end`, in nanoseconds of the axis, the trace waited for `bar` itself."""

    bar: Bar
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(slots=True)
class _Walk:
    """On the way back through a span, from `cursor` to `low`; `waiting` are children, the last to end last."""

    bar: Bar
    low: int
    cursor: int
    waiting: list[Bar]


def self_time(bar: Bar) -> int:
    """Return the time in which none of the span's children ran."""
    if not bar.children:
        return bar.length
    clipped = ((max(child.start, bar.start), min(child.end, bar.end)) for child in bar.children)
    return bar.length - covered(clipped)


def covered(intervals: Iterable[tuple[int, int]]) -> int:
    """Return how long any of them ran."""
    return sum(end - start for start, end in _union(intervals))


def idle(bar: Bar) -> list[tuple[int, int]]:
    """Return the stretches of a span in which none of its children ran."""
    edges = [(bar.start, bar.start), (bar.end, bar.end)]
    return _between(
        sorted([*edges, *_union((max(one.start, bar.start), min(one.end, bar.end)) for one in bar.children)])
    )


def gaps(axis: Axis) -> list[tuple[int, int]]:
    """Return the stretches of the trace in which no span of it ran."""
    return _between(_union((bar.start, bar.end) for bar in axis.bars))


def _between(ran: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(end, start) for (_, end), (start, _) in pairwise(ran) if start > end]


def _union(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(one for one in intervals if one[1] > one[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def critical_path(axis: Axis) -> list[Stretch]:
    """Return the path in time order: back from the end, through whichever child was the last to finish.

    A child that overlaps a later one counts up to that one's start; one that its parent did not wait for never.
    """
    found: list[Stretch] = []
    cursor = axis.length
    for top in sorted(axis.tops, key=_by_end, reverse=True):
        end = min(cursor, top.end)
        if top.start < end:
            found += _through(top, end)
            cursor = top.start
    found.reverse()
    return _joined(found)


def _through(top: Bar, end: int) -> Iterator[Stretch]:
    """Yield the stretches of a span and those below it up to `end`, from the last to the first."""
    walks = [_Walk(top, top.start, end, _waited(top))]
    while walks:
        walk = walks[-1]
        child = walk.waiting.pop() if walk.waiting and walk.cursor > walk.low else None
        if child is None:
            if walk.cursor > walk.low:
                yield Stretch(walk.bar, walk.low, walk.cursor)
            walks.pop()
            continue
        start, end = max(child.start, walk.low), min(child.end, walk.cursor)
        if start >= end:
            continue
        if end < walk.cursor:
            yield Stretch(walk.bar, end, walk.cursor)
        walk.cursor = start
        walks.append(_Walk(child, start, end, _waited(child)))


def _waited(bar: Bar) -> list[Bar]:
    return sorted((child for child in bar.children if not child.detached), key=_by_end)


def _by_end(bar: Bar) -> tuple[int, int]:
    return bar.end, -bar.start


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for one in stretches:
        if joined and joined[-1].bar is one.bar and joined[-1].end == one.start:
            joined[-1] = Stretch(one.bar, joined[-1].start, one.end)
        else:
            joined.append(one)
    return joined
