"""The delimited protobuf format, messages of io.prometheus.client: exemplars, start times, native histograms.

Field numbers: https://github.com/prometheus/client_model, metrics.proto.
"""

from collections.abc import Iterable, Iterator, Sequence

from ganglion_collector.metric_values import ExponentialHistogram, Histogram, Summary

from ganglion_exporters._prometheus.classic import by_bucket, classic
from ganglion_exporters._prometheus.escaping import Escaping, Names
from ganglion_exporters._prometheus.model import Exemplar, Family, Kind, Labels, Series
from ganglion_exporters._prometheus.native import has_native, native, span_fields
from ganglion_exporters._prometheus.wire import (
    delimited,
    double,
    message,
    signed,
    timestamp,
    timestamp_ms,
    unsigned,
    varint,
)

__all__ = ["render_protobuf"]

_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM = range(5)
_TYPES: dict[Kind, int] = {
    "counter": _COUNTER,
    "gauge": _GAUGE,
    "info": _GAUGE,
    "stateset": _GAUGE,
    "summary": _SUMMARY,
    "unknown": _UNTYPED,
    "histogram": _HISTOGRAM,
}
_FIELDS = {_GAUGE: 2, _COUNTER: 3, _UNTYPED: 5}
_MOST_KEPT = 20_000


def render_protobuf(
    families: Iterable[tuple[Family, Sequence[Series]]], escaping: Escaping, *, timestamps: bool
) -> Iterator[bytes]:
    """Write each family that has series as one message, its length before it."""
    labels = _LabelBytes(Names(escaping))
    for family, series in families:
        if series:
            yield _family(labels, family, series, timestamps=timestamps)


class _LabelBytes(dict[tuple[str, str], bytes]):
    """The bytes of each label seen lately, as a field of a metric."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self.names = names

    def __missing__(self, label: tuple[str, str]) -> bytes:
        if len(self) > _MOST_KEPT:
            self.clear()
        found = self[label] = message(1, delimited(1, label[0]) + delimited(2, label[1]))
        return found

    def of(self, labels: Labels) -> bytes:
        return b"".join([self[label] for label in self.names.labels(labels)])


def _family(labels: _LabelBytes, family: Family, series: Sequence[Series], *, timestamps: bool) -> bytes:
    kind = _TYPES[family.kind]
    about = delimited(1, labels.names.metric(family)) + delimited(2, family.help) + unsigned(3, kind)
    unit = delimited(5, family.unit) if family.unit else b""
    parts = [about]
    for one in series:
        time = timestamp_ms(6, one.time) if timestamps and one.time else b""
        parts.append(message(4, labels.of(one.labels) + _value(labels, kind, family.unit, one) + time))
    body = b"".join([*parts, unit])
    return varint(len(body)) + body


def _value(labels: _LabelBytes, kind: int, unit: str, series: Series) -> bytes:
    match series.value:
        case Histogram():
            return message(7, _histogram(labels, series.value, unit, series))
        case ExponentialHistogram():
            return message(7, _histogram(labels, series.value, unit, series) + _native(labels, series.value, series))
        case Summary() as value:
            pairs = b"".join(message(3, double(1, quantile) + double(2, size)) for quantile, size in value.quantiles)
            return message(4, unsigned(1, value.count) + double(2, value.sum) + pairs + _created(4, series))
        case number:
            body = double(1, number)
            if kind == _COUNTER and (series.exemplars or series.start):
                mark = b"".join(message(2, _exemplar(labels, one)) for one in series.exemplars[-1:])
                body += mark + _created(3, series)
            return message(_FIELDS.get(kind, 5), body)


def _histogram(labels: _LabelBytes, value: Histogram | ExponentialHistogram, unit: str, series: Series) -> bytes:
    """Write classic buckets; beside native ones they serve readers that want them, and older ones their exemplars."""
    shape = classic(value, unit)
    marks = by_bucket(shape.bounds, series.exemplars) if series.exemplars else {}
    pairs = zip((*shape.bounds, float("inf")), (*shape.counts, shape.count), strict=True)
    buckets = [
        message(
            3,
            unsigned(1, count)
            + double(2, bound)
            + (message(3, _exemplar(labels, marks[place])) if place in marks else b""),
        )
        for place, (bound, count) in enumerate(pairs)
    ]
    total = b"" if value.sum is None else double(2, value.sum)
    return unsigned(1, value.count) + total + b"".join(buckets) + _created(15, series)


def _native(labels: _LabelBytes, value: ExponentialHistogram, series: Series) -> bytes:
    if not has_native(value):
        return b""
    value = native(value)
    parts = [message(16, _exemplar(labels, one)) for one in series.exemplars if one.time]
    parts += [span_fields(9, 10, value.negative), span_fields(12, 13, value.positive)]
    is_empty = not (value.zero_threshold or value.zero_count or value.positive.counts or value.negative.counts)
    # A span without buckets is what tells a native histogram that holds nothing yet from a classic one.
    parts.append(message(12, b"\x08\x00\x10\x00") if is_empty else b"")
    zero = double(6, value.zero_threshold) + unsigned(7, value.zero_count)
    return varint(5 << 3) + signed(value.scale) + zero + b"".join(parts)


def _created(field: int, series: Series) -> bytes:
    return timestamp(field, series.start) if series.start else b""


def _exemplar(labels: _LabelBytes, exemplar: Exemplar) -> bytes:
    time = timestamp(3, exemplar.time) if exemplar.time else b""
    return labels.of(exemplar.labels) + double(2, exemplar.value) + time
