"""Translate OTLP metrics to points of Prometheus' series.

    ResourceMetrics ──▶ Target ──▶ target_info
      ScopeMetrics  ──▶ Context ──┐
        Metric      ──▶ Family ───┤
          data point ─▶ value ────┴▶ Point

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", section "OTLP Metric
points to Prometheus".
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ganglion_collector.metric_values import Value
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ganglion_exporters._prometheus import values
from ganglion_exporters._prometheus.exemplars import exemplars_of
from ganglion_exporters._prometheus.labels import Context, Target, TranslationSettings, texts
from ganglion_exporters._prometheus.model import Family, Kind, Labels, Point, Temporality
from ganglion_exporters._prometheus.names import metric_name, unit_words
from ganglion_exporters._prometheus.recent import Recent
from ganglion_exporters._prometheus.values import InvalidPointError

__all__ = ["Translated", "TranslationSettings", "Translator"]

_NO_RECORDED_VALUE = 1
_HINTS: Mapping[str, Kind] = {"unknown": "unknown", "info": "info", "stateset": "stateset"}
_MIB = 1024 * 1024


class Translated(NamedTuple):
    """The points of a request, in its order, and how many of its data points were left out, by reason.

    A resource's `target_info` follows its points; it stands for no data point of the request.
    """

    points: list[Point]
    dropped: Counter[str]


@dataclass(frozen=True, slots=True)
class _Reader:
    """How the data points of a metric are read; `reserved` is the label that Prometheus gives such a metric itself."""

    kind: Kind
    value: Callable[[Any], Value]
    temporality: Temporality = Temporality.UNSPECIFIED
    exemplars: bool = False
    reserved: str = ""


_SeriesKey: TypeAlias = tuple[Context, str, bytes]
_FamilyKey: TypeAlias = tuple[str, str, str, Kind, bool]


class Translator:
    """Knows the names and labels of what it has seen lately, within bounds; each point needs little more than that."""

    def __init__(self, settings: TranslationSettings) -> None:
        self._settings = settings
        self._escaped = settings.naming.escaped
        self._targets = Recent[bytes, Target](4 * _MIB, _weight_of_bytes)
        self._contexts = Recent[tuple[Target, str, bytes], Context](4 * _MIB, _weight_of_context)
        self._families = Recent[_FamilyKey, Family](8 * _MIB, _weight_of_family)
        self._labels = Recent[_SeriesKey, Labels](64 * _MIB, _weight_of_series)
        self.target_info = self._target_family()
        """The family of `target_info`: of its series with one job and instance, the last replaces the others."""

    def points(self, request: ExportMetricsServiceRequest) -> Translated:
        """Return the points of `request`; what Prometheus cannot have is counted by reason."""
        done = Translated([], Counter())
        for resource_metrics in request.resource_metrics:
            first = len(done.points)
            target = self._target(resource_metrics.resource)
            self._read(resource_metrics, target, done)
            if self._settings.target_info and target.info and len(done.points) > first:
                done.points.append(self._describe(target, done.points[first:]))
        return done

    def _read(self, resource_metrics: ResourceMetrics, target: Target, done: Translated) -> None:
        for scope_metrics in resource_metrics.scope_metrics:
            context = self._context(target, scope_metrics.scope, scope_metrics.schema_url)
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    self._metric(metric, getattr(metric, kind), context, done)

    def _metric(self, metric: Metric, data: Any, context: Context, done: Translated) -> None:
        try:
            reader = _reader(metric, data)
            family = self._family(metric, reader)
        except InvalidPointError as reason:
            done.dropped[str(reason)] += len(data.data_points)
            return
        for point in data.data_points:
            try:
                done.points.append(self._point(point, family, reader, context))
            except InvalidPointError as reason:
                done.dropped[str(reason)] += 1

    def _point(self, point: Any, family: Family, reader: _Reader, context: Context) -> Point:
        has_ended = point.flags & _NO_RECORDED_VALUE
        return Point(
            family,
            self._labels_of(point.attributes, context, reader.reserved),
            None if has_ended else reader.value(point),
            reader.temporality,
            point.start_time_unix_nano if reader.temporality else 0,
            point.time_unix_nano,
            exemplars_of(point.exemplars, escaped=self._escaped) if reader.exemplars and point.exemplars else (),
        )

    def _labels_of(self, attributes: Any, context: Context, reserved: str) -> Labels:
        # No field has the tag 0, so that it marks where an attribute ends.
        key = (context, reserved, b"\0".join(map(KeyValue.SerializeToString, attributes)))
        labels = self._labels.get(key)
        if labels is None:
            labels = context.labels(texts(attributes), reserved)
            self._labels.put(key, labels)
        return labels

    def _target(self, resource: Resource) -> Target:
        key = resource.SerializeToString()
        target = self._targets.get(key)
        if target is None:
            target = Target.of(resource, self._settings)
            self._targets.put(key, target)
        return target

    def _context(self, target: Target, scope: InstrumentationScope, schema_url: str) -> Context:
        key = (target, schema_url, scope.SerializeToString())
        context = self._contexts.get(key)
        if context is None:
            context = Context.of(target, scope, schema_url, self._settings)
            self._contexts.put(key, context)
        return context

    def _family(self, metric: Metric, reader: _Reader) -> Family:
        is_gauge = metric.HasField("gauge")
        key = (metric.name, metric.unit, metric.description, reader.kind, is_gauge)
        family = self._families.get(key)
        if family is None:
            family = self._new_family(metric, reader.kind, is_gauge=is_gauge)
            self._families.put(key, family)
        return family

    def _new_family(self, metric: Metric, kind: Kind, *, is_gauge: bool) -> Family:
        words = ("ratio", "") if is_gauge and metric.unit == "1" else unit_words(metric.unit)
        if kind in {"info", "stateset"}:
            words = ("", "")
        naming = self._settings.naming
        try:
            name, unit = metric_name(metric.name, words, kind, naming, self._settings.namespace)
        except ValueError:
            raise InvalidPointError("invalid_name") from None
        # The exposition formats know an info by its suffix only.
        kind = "gauge" if kind == "info" and not name.endswith("_info") else kind
        return Family(name, kind, metric.description, unit)

    def _target_family(self) -> Family:
        name, _ = metric_name("target_info", ("", ""), "info", self._settings.naming, self._settings.namespace)
        return Family(name, "info", "Target metadata", "")

    def _describe(self, target: Target, points: list[Point]) -> Point:
        latest = max(point.time for point in points)
        return Point(self.target_info, target.info, 1.0, Temporality.UNSPECIFIED, 0, latest)


def _reader(metric: Metric, data: Any) -> _Reader:
    """Choose how a metric is read; raise InvalidPointError when Prometheus has nothing like it."""
    match metric.WhichOneof("data"):
        case "gauge":
            return _Reader(_hint(metric), values.gauge)
        case "summary":
            return _Reader("summary", values.summary, Temporality.CUMULATIVE, reserved="quantile")
        case kind:
            return _aggregated(metric, data, str(kind))


def _aggregated(metric: Metric, data: Any, kind: str) -> _Reader:
    if data.aggregation_temporality not in _TEMPORALITIES:
        raise InvalidPointError("no_temporality")
    temporality = Temporality(data.aggregation_temporality)
    if kind == "histogram":
        return _Reader("histogram", values.histogram, temporality, exemplars=True, reserved="le")
    if kind == "exponential_histogram":
        return _Reader("histogram", values.exponential_histogram, temporality, exemplars=True, reserved="le")
    if data.is_monotonic:
        return _Reader("counter", values.counter, temporality, exemplars=True)
    if temporality is Temporality.DELTA:
        raise InvalidPointError("delta_not_monotonic")
    return _Reader(_hint(metric), values.gauge)


_TEMPORALITIES = (Temporality.DELTA, Temporality.CUMULATIVE)


def _hint(metric: Metric) -> Kind:
    """Return what a metric was before it came to OTLP (`prometheus.type`), a gauge where it does not say."""
    hints = (item.value.string_value for item in metric.metadata if item.key == "prometheus.type")
    return _HINTS.get(next(hints, ""), "gauge")


# Bytes of memory for a key and what it stands for, as measured; generous for what is long.
def _weight_of_bytes(key: bytes) -> int:
    return 1000 + 4 * len(key)


def _weight_of_context(key: tuple[Target, str, bytes]) -> int:
    return 1000 + 4 * (len(key[1]) + len(key[2]))


def _weight_of_family(key: _FamilyKey) -> int:
    return 500 + 4 * (len(key[0]) + len(key[1]) + len(key[2]))


def _weight_of_series(key: _SeriesKey) -> int:
    return 400 + 3 * len(key[2])
