"""The same operation many times under one span, where usually it is there a few times (N+1). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ganglion_query.causes.past import LEAST, Operation, operation_of
from ganglion_query.causes.request import Request
from ganglion_query.critical_path import covered
from ganglion_query.time_axis import Bar

__all__ = ["Repetition", "find_repetitions"]

_FEWEST = 5
_MANY = 10
_TIMES = 3
_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Repetition:
    """`usually` is the median of usual requests, None where nothing is known; `ms` the time in which any of `bars` ran.

    `extra_ms` is the part of it that is more than usual.
    """

    parent: Bar
    bars: Sequence[Bar]
    operation: Operation
    usually: float | None
    ms: float
    extra_ms: float


def find_repetitions(request: Request) -> list[Repetition]:
    """Return those that are unusual, or that take much of a request of which nothing is known; the longest first."""
    found = [one for bar in request.axis.bars for one in _under(bar, request)]
    return sorted(found, key=lambda one: one.extra_ms, reverse=True)


def _under(parent: Bar, request: Request) -> Iterator[Repetition]:
    if len(parent.children) < _FEWEST:
        return
    groups: dict[Operation, list[Bar]] = {}
    for child in parent.children:
        groups.setdefault(operation_of(child.span), []).append(child)
    for operation, bars in groups.items():
        if len(bars) >= _FEWEST and (one := _judged(parent, bars, operation, request)):
            yield one


def _judged(parent: Bar, bars: Sequence[Bar], operation: Operation, request: Request) -> Repetition | None:
    usual = request.past.usual
    ms = covered((bar.start, bar.end) for bar in bars) / 1e6
    known = usual.operations.get(operation)
    if usual.requests < LEAST or (known is None and request.past.of(bars[0].span) is None):
        is_much = len(bars) >= _MANY and ms >= _SHARE * request.length / 1e6
        return Repetition(parent, bars, operation, None, ms, ms) if is_much else None
    if known is not None and (len(bars) <= known.most or len(bars) < _TIMES * known.times):
        return None
    times = known.times * known.share if known else 0.0
    return Repetition(parent, bars, operation, times, ms, ms * (1 - min(1.0, times / len(bars))))
