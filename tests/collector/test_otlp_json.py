"""OTLP/JSON means the same as the protobuf it stands for."""

import base64
import math
from typing import Any

import orjson
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.errors import InvalidRequestError
from ganglion_collector.otlp import Request, parse_request, request_type
from ganglion_collector.receivers.otlp.json_request import json_to_protobuf
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

TRACES = orjson.dumps(
    {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "my.library", "version": "1.0.0"},
                        "spans": [
                            {
                                "traceId": "5B8EFFF798038103D269B633813FC60C",
                                "spanId": "EEE19B7EC3C1B174",
                                "parentSpanId": "eee19b7ec3c1b173",
                                "name": "I'm a server span",
                                "startTimeUnixNano": "1544712660000000000",
                                "endTimeUnixNano": 1544712661000000000,
                                "kind": 2,
                                "status": {"code": "STATUS_CODE_ERROR"},
                                "attributes": [{"key": "my.span.attr", "value": {"intValue": "-42"}}],
                            }
                        ],
                    }
                ],
            }
        ]
    }
)


def convert(signal: Signal, document: Any) -> Request:
    return parse_request(signal, json_to_protobuf(signal, orjson.dumps(document)))


def log_record(fields: dict[str, Any]) -> LogRecord:
    request: Any = convert(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [fields]}]}]})
    record: LogRecord = request.resource_logs[0].scope_logs[0].log_records[0]
    return record


def data(fields: dict[str, Any]) -> Any:
    scope = {"metrics": [{"name": "m", **fields}]}
    request: Any = convert(Signal.METRICS, {"resourceMetrics": [{"scopeMetrics": [scope]}]})
    return request.resource_metrics[0].scope_metrics[0].metrics[0]


def test_ids_are_hexadecimal_enums_names_or_numbers_integers_texts_or_numbers() -> None:
    request: Any = parse_request(Signal.TRACES, json_to_protobuf(Signal.TRACES, TRACES))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.span_id.hex(), span.parent_span_id.hex()) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")
    assert (span.kind, span.status.code) == (2, 2)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1544712660000000000, 1544712661000000000)
    assert span.attributes[0].value.int_value == -42


any_value: Any = AnyValue  # its stub knows nothing of dictionaries


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, any_value()),
        ({"stringValue": None}, any_value()),
        ({"stringValue": ""}, any_value(string_value="")),
        ({"string_value": "snake"}, any_value(string_value="snake")),
        ({"boolValue": False}, any_value(bool_value=False)),
        ({"intValue": 7.0}, any_value(int_value=7)),
        ({"intValue": str(-(2**63))}, any_value(int_value=-(2**63))),
        ({"doubleValue": "Infinity"}, any_value(double_value=math.inf)),
        ({"doubleValue": "1.5e3"}, any_value(double_value=1500)),
        ({"doubleValue": 3}, any_value(double_value=3)),
        ({"bytesValue": "-_8="}, any_value(bytes_value=b"\xfb\xff")),
        ({"bytesValue": "+/8"}, any_value(bytes_value=b"\xfb\xff")),
        ({"arrayValue": {}}, any_value(array_value={})),
        (
            {"arrayValue": {"values": [None, {"intValue": 1}]}},
            any_value(array_value={"values": [{}, {"int_value": 1}]}),
        ),
        (
            {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{"boolValue": True}]}}}]}},
            any_value(
                kvlist_value={"values": [{"key": "k", "value": {"array_value": {"values": [{"bool_value": True}]}}}]}
            ),
        ),
    ],
)
def test_every_form_of_a_value(value: dict[str, Any], expected: AnyValue) -> None:
    assert log_record({"body": value}).body == expected


def test_nan_and_unknown_fields_and_repeated_keys() -> None:
    assert math.isnan(log_record({"body": {"doubleValue": "NaN"}, "later": {"x": [1]}}).body.double_value)
    body = (
        b'{"resourceLogs":[],"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"A","severityText":"B"}]}]}]}'
    )
    request: Any = parse_request(Signal.LOGS, json_to_protobuf(Signal.LOGS, body))
    assert request.resource_logs[0].scope_logs[0].log_records[0].severity_text == "B"


def test_all_kinds_of_metrics() -> None:
    point = {
        "timeUnixNano": "1",
        "asInt": "3",
        "exemplars": [{"traceId": "0a" * 16, "spanId": "0b" * 8, "asDouble": 1}],
    }
    gauge = data({"gauge": {"dataPoints": [point]}}).gauge.data_points[0]
    assert (gauge.as_int, gauge.exemplars[0].trace_id, gauge.exemplars[0].span_id) == (3, b"\n" * 16, b"\x0b" * 8)
    total = data({"sum": {"dataPoints": [{"asDouble": 1.5}], "aggregationTemporality": 2, "isMonotonic": True}}).sum
    assert (total.aggregation_temporality, total.is_monotonic, total.data_points[0].as_double) == (2, True, 1.5)
    buckets = {"count": "3", "sum": 0, "bucketCounts": ["1", 2], "explicitBounds": [1], "min": -1}
    histogram = data({"histogram": {"dataPoints": [buckets]}}).histogram.data_points[0]
    assert (list(histogram.bucket_counts), histogram.HasField("sum"), histogram.HasField("max")) == (
        [1, 2],
        True,
        False,
    )
    scaled = {"scale": -1, "zeroCount": 1, "positive": {"offset": -2, "bucketCounts": ["5"]}}
    exponential = data({"exponentialHistogram": {"dataPoints": [scaled]}}).exponential_histogram.data_points[0]
    assert (exponential.scale, exponential.positive.offset) == (-1, -2)
    summary = data({"summary": {"dataPoints": [{"quantileValues": [{"quantile": 0.5, "value": 2}]}]}}).summary
    assert summary.data_points[0].quantile_values[0].value == 2


RECORD = "resourceLogs[0].scopeLogs[0].logRecords[0]"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"body": "text"}, ".body: an object (AnyValue) is expected"),
        ({"body": {"stringValue": 1}}, ".body.stringValue: a string is expected, not this number"),
        ({"body": {"boolValue": "true"}}, ".body.boolValue: true or false is expected, not this string"),
        ({"body": {"intValue": True}}, ".body.intValue: an integer is expected"),
        ({"body": {"intValue": 1.5}}, ".body.intValue: an integer is expected"),
        ({"body": {"intValue": " 1"}}, ".body.intValue: an integer is expected"),
        ({"body": {"intValue": "1_000"}}, ".body.intValue: an integer is expected"),
        ({"body": {"intValue": str(2**63)}}, ".body.intValue: an integer between -9223372036854775808 and"),
        ({"body": {"doubleValue": "inf"}}, ".body.doubleValue: a number, NaN, Infinity or -Infinity is expected"),
        ({"body": {"bytesValue": "a"}}, ".body.bytesValue: bytes are written in base64"),
        ({"body": {"bytesValue": "ä==="}}, ".body.bytesValue: bytes are written in base64"),
        (
            {"body": {"stringValue": "a", "intValue": 1}},
            ".body: only one of int_value, string_value may be set",
        ),
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, ".traceId: an id is written in hexadecimal digits"),
        ({"traceId": "5b 8e"}, ".traceId: an id is written in hexadecimal digits"),
        ({"traceId": 12}, ".traceId: a string is expected, not this number"),
        ({"timeUnixNano": -1}, ".timeUnixNano: an integer between 0 and 18446744073709551615 is expected"),
        ({"severityNumber": "SEVERITY_NUMBER_WRONG"}, ".severityNumber: an integer is expected"),
        ({"severityNumber": 2**31}, ".severityNumber: an integer between -2147483648 and 2147483647 is expected"),
        ({"attributes": {}}, ".attributes: an array is expected"),
        ({"attributes": [{"key": "a"}, None]}, ".attributes[1]: an object (KeyValue) is expected"),
        ({"attributes": [{"key": "a"}, {"key": 3}]}, ".attributes[1].key: a string is expected, not this number"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        log_record(fields)
    assert str(caught.value).startswith(RECORD + message)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rb'{"resourceLogs":[{"schemaUrl":"\ud800"}]}', id="lone surrogate"),
        pytest.param(b'{"resourceLogs":[{"schemaUrl":"\xff"}]}', id="not UTF-8"),
        pytest.param(b'{"resourceLogs":[{"schemaUrl":NaN}]}', id="bare NaN"),
        pytest.param(b'{"resourceLogs":' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"unknown":1}', id="nothing known"),
        pytest.param(
            b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":'
            + b'{"arrayValue":{"values":[' * 300
            + b"]}}" * 300
            + b"}]}]}]}",
            id="deep values",
        ),
        pytest.param(
            b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"intValue":123456789012345678901}}]}]}]}',
            id="integer past 64 bits",
        ),
    ],
)
def test_what_json_cannot_mean_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        json_to_protobuf(Signal.LOGS, body)


@pytest.mark.parametrize(("levels", "taken"), [(40, True), (60, False), (80, False)])
def test_what_is_nested_too_deep_to_be_read_again_is_refused(levels: int, taken: bool) -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    if taken:
        assert log_record({"body": value})
        return
    with pytest.raises(InvalidRequestError, match="nested deeper than 100 messages"):
        log_record({"body": value})


IDS = {"trace_id", "span_id", "parent_span_id"}
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 5),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
}


def fill(draw: st.DrawFn, message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        taken = oneof is not None and message.WhichOneof(oneof.name) is not None
        if taken or draw(st.integers(0, 2)) == 0 or (field.message_type is not None and depth == 0):
            continue
        if field.message_type is not None:
            inner = getattr(message, field.name)
            target = inner.add() if field.is_repeated else inner
            target.SetInParent()
            fill(draw, target, depth - 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(SCALARS[field.type], max_size=2)))
        else:
            setattr(message, field.name, draw(SCALARS[field.type]))


def as_json(message: Message) -> dict[str, Any]:
    """Write a message in OTLP/JSON, in the simplest way."""
    return {
        field.json_name: [single(field, value) for value in content] if field.is_repeated else single(field, content)
        for field, content in message.ListFields()
    }


def single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return as_json(value)
    if isinstance(value, bytes):
        return value.hex() if field.name in IDS else base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value) if type(value) is int and field.type != FieldDescriptor.TYPE_ENUM else value


@st.composite
def requests(draw: st.DrawFn) -> tuple[Signal, Request]:
    signal = draw(st.sampled_from(Signal))
    request = request_type(signal)()
    fill(draw, request, 7)
    return signal, request


@settings(max_examples=150)
@given(requests())
def test_json_and_protobuf_of_a_request_are_the_same(drawn: tuple[Signal, Request]) -> None:
    signal, request = drawn
    assert parse_request(signal, json_to_protobuf(signal, orjson.dumps(as_json(request)))) == request
