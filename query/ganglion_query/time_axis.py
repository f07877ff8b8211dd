"""Spans of a trace on one time axis, in whole nanoseconds: which clocks are wrong, who waits for whom. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ganglion_query.model import SpanRow
from ganglion_query.tree import Branch, Forest, Root, walk

__all__ = ["Axis", "Bar", "lay_out", "top_down"]

_MICROSECOND = timedelta(microseconds=1)
_SLACK_NS = 1_000_000
_SLACK_SHARE = 20


@dataclass(eq=False, slots=True)
class Bar:
    """A span from `start` to `end`, both since the start of the trace.

    `skew` was added to what its `clock`, that of a service on a host, said. One without an end ends where the last span
    below it does. `children` are those below it, and orphans in its time if it is the only root. `detached`: it runs on
    after its parent, which so did not wait for it.
    """

    branch: Branch
    depth: int
    why: Root
    start: int
    end: int
    clock: tuple[object, ...]
    skew: int = 0
    detached: bool = False
    children: "list[Bar]" = field(default_factory=list["Bar"])

    @property
    def span(self) -> SpanRow:
        return self.branch.span

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Axis:
    """`bars` in tree order; `tops` are those below none; `origin` is the time of 0, `length` up to the last end."""

    origin: datetime
    length: int
    bars: Sequence[Bar]
    tops: Sequence[Bar]


def top_down(axis: Axis) -> Iterator[Bar]:
    """Yield every bar after the one whose child it is, also adopted ones."""
    waiting = list(axis.tops)
    while waiting:
        bar = waiting.pop()
        yield bar
        waiting += bar.children


def lay_out(forest: Forest) -> Axis:
    """Place every span; a forest without any is refused with a ValueError."""
    placed = list(walk(forest))
    origin = min(one.branch.span.start_time for one in placed)
    bars = [_bar(one.branch, one.depth, one.why, origin) for one in placed]
    by_branch = {id(bar.branch): bar for bar in bars}
    for bar in bars:
        bar.children = [by_branch[id(child)] for child in bar.branch.children]
    _straighten(bars)
    _close(bars)
    tops = _adopt([bar for bar in bars if bar.depth == 0])
    for bar in bars:
        for child in bar.children:
            child.detached = _is_detached(child, bar)
    return _from_zero(Axis(origin, 0, bars, tops))


def _bar(branch: Branch, depth: int, why: Root, origin: datetime) -> Bar:
    span = branch.span
    start = (span.start_time - origin) // _MICROSECOND * 1000
    return Bar(branch, depth, why, start, start + _length(span), (span.service_name, span.resource.get("host.name")))


def _length(span: SpanRow) -> int:
    if span.duration_ms is not None and 0 <= span.duration_ms < 1e15:
        return round(span.duration_ms * 1_000_000)
    if span.end_time is None:
        return 0
    return max(0, (span.end_time - span.start_time) // _MICROSECOND * 1000)


def _straighten(bars: Sequence[Bar]) -> None:
    """Move what another clock says to have begun before its parent, and all below that on the same clock.

    To the middle of the parent where it fits (as NTP assumes it: both ways take as long), else to the parent's start.
    """
    for bar in bars:
        for child in bar.children:
            if child.clock == bar.clock:
                _move(child, bar.skew)
            elif child.start < bar.start:
                _move(child, bar.start + max(0, bar.length - child.length) // 2 - child.start)


def _move(bar: Bar, by: int) -> None:
    bar.start += by
    bar.end += by
    bar.skew = by


def _close(bars: Sequence[Bar]) -> None:
    for bar in reversed(bars):
        if bar.span.end_time is None:
            bar.end = max([bar.start, *(child.end for child in bar.children)])


def _adopt(roots: Sequence[Bar]) -> Sequence[Bar]:
    """Put orphans under the only root that has no parent, where they began in its time."""
    real = [bar for bar in roots if bar.why is Root.REAL]
    if len(real) != 1:
        return roots
    (root,) = real
    root.children += [bar for bar in roots if bar is not root and root.start <= bar.start < root.end]
    return [bar for bar in roots if bar is root or not root.start <= bar.start < root.end]


def _is_detached(child: Bar, parent: Bar) -> bool:
    over = child.end - parent.end
    if over > 0 and child.span.kind == "CONSUMER":
        return True
    return over > _SLACK_NS and child.clock == parent.clock and over > parent.length // _SLACK_SHARE


def _from_zero(axis: Axis) -> Axis:
    """Let 0 be the earliest start, also after clocks were put right."""
    first = min(bar.start for bar in axis.bars)
    for bar in axis.bars:
        bar.start -= first
        bar.end -= first
    origin = axis.origin + timedelta(microseconds=first // 1000)
    return Axis(origin, max(bar.end for bar in axis.bars), axis.bars, axis.tops)
