"""OTLP exemplars as those of Prometheus.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", section "Exemplar
Conversion"; the limit is that of OpenMetrics 1.0, section "Exemplars".
"""

from collections.abc import Iterable

from opentelemetry.proto.metrics.v1 import metrics_pb2

from ganglion_exporters._prometheus.labels import texts
from ganglion_exporters._prometheus.model import Exemplar, Labels
from ganglion_exporters._prometheus.names import label_name

__all__ = ["exemplars_of"]

_LIMIT = 128


def exemplars_of(exemplars: Iterable[metrics_pb2.Exemplar], *, escaped: bool) -> tuple[Exemplar, ...]:
    """Return those that have a value, in their order, each with the way to its trace first of all.

    Filtered attributes are left out where all labels together would have more than 128 characters.
    """
    return tuple(
        Exemplar(_labels(exemplar, escaped=escaped), _value(exemplar), exemplar.time_unix_nano)
        for exemplar in exemplars
        if exemplar.WhichOneof("value")
    )


def _value(exemplar: metrics_pb2.Exemplar) -> float:
    return exemplar.as_double if exemplar.HasField("as_double") else float(exemplar.as_int)


def _labels(exemplar: metrics_pb2.Exemplar, *, escaped: bool) -> Labels:
    ids: dict[str, str] = {}
    if len(exemplar.trace_id) == 16 and any(exemplar.trace_id):
        ids["trace_id"] = exemplar.trace_id.hex()
    if len(exemplar.span_id) == 8 and any(exemplar.span_id):
        ids["span_id"] = exemplar.span_id.hex()
    if not exemplar.filtered_attributes:
        return tuple(sorted(ids.items()))
    names = sorted(texts(exemplar.filtered_attributes).items())
    others = {label_name(key, escaped=escaped): value for key, value in names}
    labels = others | ids
    fits = sum(len(name) + len(value) for name, value in labels.items()) <= _LIMIT
    return tuple(sorted((labels if fits else ids).items()))
