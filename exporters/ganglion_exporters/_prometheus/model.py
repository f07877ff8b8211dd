"""Metrics in Prometheus' terms: families, labels, points, and series as they are exposed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

from ganglion_collector.metric_values import Value

__all__ = ["Exemplar", "Family", "Kind", "Labels", "Point", "Series", "Temporality"]

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary", "info", "stateset", "unknown"]
"""A type of the exposition format; an exponential histogram is a `histogram` too."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, sorted by name, no name twice."""


class Temporality(IntEnum):
    """As OTLP numbers them; a gauge has none."""

    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "summary": ("_count", "_sum", "_created"),
}


class Family(NamedTuple):
    """A metric: `name` is that of its samples, suffixes included (`_total` of a counter, where they are wanted)."""

    name: str
    kind: Kind
    help: str
    unit: str

    @property
    def sample_names(self) -> Sequence[str]:
        """All names that its samples may have in a scrape, its own first."""
        return [self.name, *(self.name + suffix for suffix in _SUFFIXES.get(self.kind, ()))]


class Exemplar(NamedTuple):
    """One measurement that a point stands for; `labels` lead to its trace. `time` is Unix nanoseconds."""

    labels: Labels
    value: float
    time: int


class Point(NamedTuple):
    """One data point of one series; `value` None says that the series has ended (no recorded value).

    `start` and `time` are Unix nanoseconds, 0 where unknown. A delta is not accumulated yet.
    """

    family: Family
    labels: Labels
    value: Value | None
    temporality: Temporality
    start: int
    time: int
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(slots=True)
class Series:
    """A series as it is exposed: its last, cumulative value.

    `exemplars`: of a counter at most one, of a histogram the latest of each bucket that has one, in ascending order of
    their values. `start` is when it began to count, 0 where unknown or for a gauge.
    """

    labels: Labels
    value: Value
    start: int = 0
    time: int = 0
    exemplars: tuple[Exemplar, ...] = field(default=())
