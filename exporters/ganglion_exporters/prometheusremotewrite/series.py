"""Points as the series that Prometheus stores: a histogram is many of them, a native one a single one.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility"; OpenMetrics for the
names of a distribution's series.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ganglion_collector.metric_values import ExponentialHistogram, Histogram, Summary

from ganglion_exporters._prometheus.classic import bound_text, bound_texts, by_bucket, classic
from ganglion_exporters._prometheus.model import Exemplar, Family, Labels, Point, Temporality
from ganglion_exporters._prometheus.native import native

__all__ = ["Collected", "TimeSeries"]

_MILLISECOND = 1_000_000


@dataclass(slots=True)
class TimeSeries:
    """One series of a request. Samples and histograms by their time in Unix milliseconds; None marks its end."""

    family: Family
    labels: Labels
    start: int
    samples: dict[int, float | None] = field(default_factory=dict[int, "float | None"])
    histograms: dict[int, ExponentialHistogram] = field(default_factory=dict[int, ExponentialHistogram])
    exemplars: list[Exemplar] = field(default_factory=list[Exemplar])


class Collected:
    """The series of a batch, in the order in which they first came."""

    def __init__(self, target_info: Family, *, created: bool) -> None:
        self.dropped: Counter[str] = Counter()
        self._target_info = target_info
        self._created = created
        self._series: dict[tuple[str, Labels, str], TimeSeries] = {}

    @property
    def series(self) -> Iterable[TimeSeries]:
        return self._series.values()

    def take(self, points: Iterable[Point], received_at: int) -> None:
        """Add points that were received at a time in Unix nanoseconds; of two of one millisecond the last holds."""
        has_points = False
        for point in points:
            if point.value is not None and point.temporality == Temporality.DELTA:
                self.dropped["delta"] += 1
            elif point.family is not self._target_info:
                has_points = True
                self._add(point, (point.time or received_at) // _MILLISECOND)
            elif has_points:
                # It follows the points of its resource, and describes those that are sent.
                has_points = False
                self._add(point, (point.time or received_at) // _MILLISECOND)

    def _add(self, point: Point, time: int) -> None:
        name, value = point.family.name, point.value
        match value:
            case None:
                self._end(point, time)
                return
            case Histogram():
                self._histogram(point, value, time)
                self._totals(point, value, time)
            case ExponentialHistogram():
                series = self._of(point, name)
                series.histograms[time] = native(value)
                series.exemplars += point.exemplars
            case Summary():
                for quantile, size in value.quantiles:
                    self._of(point, name, ("quantile", bound_text(quantile))).samples[time] = size
                self._totals(point, value, time)
            case _:
                series = self._of(point, name)
                series.samples[time] = float(value)
                series.exemplars += point.exemplars
        if self._created and _start(point):
            base = name.removesuffix("_total")
            self._of(point, f"{base}_created").samples[time] = _start(point) / 1e9

    def _histogram(self, point: Point, value: Histogram, time: int) -> None:
        shape = classic(value, point.family.unit)
        marks = by_bucket(shape.bounds, point.exemplars)
        counts = (*shape.counts, shape.count)
        for place, (text, count) in enumerate(zip(bound_texts(shape.bounds), counts, strict=True)):
            series = self._of(point, f"{point.family.name}_bucket", ("le", text))
            series.samples[time] = float(count)
            if place in marks:
                series.exemplars.append(marks[place])

    def _totals(self, point: Point, value: Histogram | Summary, time: int) -> None:
        self._of(point, f"{point.family.name}_count").samples[time] = float(value.count)
        if value.sum is not None:
            self._of(point, f"{point.family.name}_sum").samples[time] = value.sum

    def _end(self, point: Point, time: int) -> None:
        """Mark the end of all series whose labels are known without a value: those of bounds and quantiles are not."""
        name = point.family.name
        is_distribution = point.family.kind in {"histogram", "summary"}
        names = (name, f"{name}_count", f"{name}_sum") if is_distribution else (name,)
        for one in names:
            self._of(point, one).samples[time] = None
        if point.family.kind == "histogram":
            self._of(point, f"{name}_bucket", ("le", "+Inf")).samples[time] = None

    def _of(self, point: Point, name: str, label: tuple[str, str] | None = None) -> TimeSeries:
        key = (name, point.labels, label[1] if label else "")
        series = self._series.get(key)
        if series is None:
            own = (("__name__", name), label) if label else (("__name__", name),)
            # An empty label is none; Prometheus finds no series for exemplars of one that has it.
            labels = tuple(sorted(label for label in (*point.labels, *own) if label[1]))
            series = self._series[key] = TimeSeries(point.family, labels, _start(point))
        series.start = _start(point) or series.start
        return series


def _start(point: Point) -> int:
    """Return when what counts began to count; nothing else has a beginning in Prometheus."""
    return point.start if point.family.kind in {"counter", "histogram", "summary"} else 0
