"""Prometheus' protobuf messages as the protobuf library reads them, from a table of the public .proto files' fields."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "double": _Field.TYPE_DOUBLE,
    "uint64": _Field.TYPE_UINT64,
    "uint32": _Field.TYPE_UINT32,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "sint32": _Field.TYPE_SINT32,
    "sint64": _Field.TYPE_SINT64,
}

_CLIENT = """
Timestamp: 1 int64 seconds, 2 int32 nanos
LabelPair: 1 string name, 2 string value
Exemplar: 1 *LabelPair label, 2 double value, 3 Timestamp timestamp
Gauge: 1 double value
Untyped: 1 double value
Counter: 1 double value, 2 Exemplar exemplar, 3 Timestamp created_timestamp
Quantile: 1 double quantile, 2 double value
Summary: 1 uint64 sample_count, 2 double sample_sum, 3 *Quantile quantile, 4 Timestamp created_timestamp
Bucket: 1 uint64 cumulative_count, 2 double upper_bound, 3 Exemplar exemplar
BucketSpan: 1 sint32 offset, 2 uint32 length
Histogram: 1 uint64 sample_count, 2 double sample_sum, 3 *Bucket bucket, 5 sint32 schema, 6 double zero_threshold, \
7 uint64 zero_count, 9 *BucketSpan negative_span, 10 *sint64 negative_delta, 12 *BucketSpan positive_span, \
13 *sint64 positive_delta, 15 Timestamp created_timestamp, 16 *Exemplar exemplars
Metric: 1 *LabelPair label, 2 Gauge gauge, 3 Counter counter, 4 Summary summary, 5 Untyped untyped, \
6 int64 timestamp_ms, 7 Histogram histogram
MetricFamily: 1 string name, 2 string help, 3 int32 type, 4 *Metric metric, 5 string unit
"""
_HISTOGRAM = """
Sample: 1 double value, 2 int64 timestamp
BucketSpan: 1 sint32 offset, 2 uint32 length
Histogram: 1 uint64 count_int, 3 double sum, 4 sint32 schema, 5 double zero_threshold, 6 uint64 zero_count_int, \
8 *BucketSpan negative_spans, 9 *sint64 negative_deltas, 11 *BucketSpan positive_spans, 12 *sint64 positive_deltas, \
14 int32 reset_hint, 15 int64 timestamp
"""
_WRITE_1 = f"""{_HISTOGRAM}
Label: 1 string name, 2 string value
Exemplar: 1 *Label labels, 2 double value, 3 int64 timestamp
TimeSeries: 1 *Label labels, 2 *Sample samples, 3 *Exemplar exemplars, 4 *Histogram histograms
MetricMetadata: 1 int32 type, 2 string metric_family_name, 4 string help, 5 string unit
WriteRequest: 1 *TimeSeries timeseries, 3 *MetricMetadata metadata
"""
_WRITE_2 = f"""{_HISTOGRAM}
Exemplar: 1 *uint32 labels_refs, 2 double value, 3 int64 timestamp
Metadata: 1 int32 type, 3 uint32 help_ref, 4 uint32 unit_ref
TimeSeries: 1 *uint32 labels_refs, 2 *Sample samples, 3 *Histogram histograms, 4 *Exemplar exemplars, \
5 Metadata metadata, 6 int64 created_timestamp
Request: 4 *string symbols, 5 *TimeSeries timeseries
"""


def _message_class(package: str, table: str, name: str) -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for line in filter(None, table.splitlines()):
        title, _, fields = line.partition(": ")
        message = file.message_type.add(name=title)
        for text in fields.split(", "):
            number, kind, field_name = text.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


_MetricFamily = _message_class("io.prometheus.client", _CLIENT, "MetricFamily")
_WriteRequest = _message_class("prometheus", _WRITE_1, "WriteRequest")
_Request = _message_class("io.prometheus.write.v2", _WRITE_2, "Request")


def read_families(data: bytes) -> list[Any]:
    """Return the `MetricFamily` messages of a delimited stream."""
    found, at = [], 0
    while at < len(data):
        size, at = _varint(data, at)
        assert at + size <= len(data)
        found.append(_MetricFamily.FromString(data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    end = at
    while data[end] > 127:
        end += 1
    return sum((byte & 127) << 7 * place for place, byte in enumerate(data[at : end + 1])), end + 1


def read_write_request(data: bytes) -> Any:
    """Return a `prometheus.WriteRequest`."""
    return _WriteRequest.FromString(data)


def read_write_request_2(data: bytes) -> Any:
    """Return an `io.prometheus.write.v2.Request`."""
    return _Request.FromString(data)
