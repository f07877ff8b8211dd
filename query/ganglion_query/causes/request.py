"""One request as its causes are looked for in it: its rows on the time axis, with what is usual."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ganglion_query.causes.past import Operation, Past, operation_of
from ganglion_query.critical_path import Stretch, critical_path
from ganglion_query.model import LogRow, Trace
from ganglion_query.time_axis import Axis, Bar, lay_out
from ganglion_query.tree import Root, grow

__all__ = ["Request", "label", "requested"]


@dataclass(frozen=True, slots=True)
class Request:
    """`root` is the span that the request is: the first without a parent, else the first of all.

    `length` is how long it took, in nanoseconds: to the end of `root`, or to the last end where it `outlasts` that:
    in several roots, or in what takes messages.
    `critical`: nanoseconds on the critical path, by `id` of the bar. `loose` are logs of no span that is here.
    """

    trace: Trace
    axis: Axis
    root: Bar
    length: int
    outlasts: bool
    path: Sequence[Stretch]
    critical: Mapping[int, int]
    loose: Sequence[LogRow]
    past: Past

    @property
    def operations(self) -> set[Operation]:
        return {operation_of(bar.span) for bar in self.axis.bars}

    def at(self, nanoseconds: int) -> datetime:
        return self.axis.origin + timedelta(microseconds=nanoseconds / 1000)


def requested(trace: Trace, past: Past) -> Request:
    """Lay out a trace of one span at least."""
    forest = grow(trace)
    axis = lay_out(forest)
    root = root_of(axis)
    path = critical_path(axis)
    critical: dict[int, int] = {}
    for one in path:
        critical[id(one.bar)] = critical.get(id(one.bar), 0) + one.length
    outlasts = len(axis.tops) > 1 or any(bar.detached and bar.span.kind == "CONSUMER" for bar in axis.bars)
    length = axis.length if outlasts else root.length
    return Request(trace, axis, root, length, outlasts, path, critical, forest.loose, past)


def root_of(axis: Axis) -> Bar:
    real = [bar for bar in axis.tops if bar.why is Root.REAL]
    return min(real or axis.tops, key=lambda bar: bar.start)


def label(bar: Bar, request: Request) -> str:
    """Return a span's name, with its service where that is not the root's."""
    name = bar.span.name or "a span without name"
    service = bar.span.service_name
    return name if not service or service == request.root.span.service_name else f"{name} ({service})"
