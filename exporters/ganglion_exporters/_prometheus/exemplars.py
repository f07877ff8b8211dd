"""OTLP exemplars as those of Prometheus.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", section "Exemplar
Conversion"; the limit is that of OpenMetrics 1.0, section "Exemplars".
"""

from collections.abc import Iterable

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from ganglion_exporters._prometheus.labels import texts
from ganglion_exporters._prometheus.model import Exemplar, Labels
from ganglion_exporters._prometheus.names import label_name

__all__ = ["exemplars_of"]

_LIMIT = 128
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)


def exemplars_of(exemplars: Iterable[metrics_pb2.Exemplar], *, escaped: bool) -> tuple[Exemplar, ...]:
    """Return those that have a value, in their order, each with the way to its trace first of all.

    Filtered attributes are left out where all labels together would have more than 128 characters.
    """
    return tuple([_exemplar(one, kind, escaped=escaped) for one in exemplars if (kind := one.WhichOneof("value"))])


def _exemplar(exemplar: metrics_pb2.Exemplar, kind: str, *, escaped: bool) -> Exemplar:
    value = exemplar.as_double if kind == "as_double" else float(exemplar.as_int)
    labels = _ids(exemplar.trace_id, exemplar.span_id)
    if exemplar.filtered_attributes:
        labels = _with_attributes(labels, exemplar.filtered_attributes, escaped=escaped)
    return Exemplar(labels, value, exemplar.time_unix_nano)


def _ids(trace_id: bytes, span_id: bytes) -> Labels:
    trace = (("trace_id", trace_id.hex()),) if len(trace_id) == 16 and trace_id != _NO_TRACE else ()
    span = (("span_id", span_id.hex()),) if len(span_id) == 8 and span_id != _NO_SPAN else ()
    return span + trace


def _with_attributes(ids: Labels, attributes: Iterable[KeyValue], *, escaped: bool) -> Labels:
    named = {label_name(key, escaped=escaped): value for key, value in sorted(texts(attributes).items())}
    labels = named | dict(ids)
    if sum(len(name) + len(value) for name, value in labels.items()) > _LIMIT:
        return ids
    return tuple(sorted(labels.items()))
