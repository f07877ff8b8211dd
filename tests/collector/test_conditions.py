from typing import Any

import pytest
from ganglion_collector.conditions import CONTEXTS, Scene, compile_condition
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector.deriving import set_attributes


def scene(item: Any, parent: Any = None) -> Scene:
    resource = Resource()
    set_attributes(resource, {"service.name": "shop"})
    return Scene(item, InstrumentationScope(name="http", version="1"), resource, parent)


def span() -> Span:
    found = Span(name="GET /", kind=Span.SPAN_KIND_SERVER, trace_id=bytes(range(16)), start_time_unix_nano=5)
    found.status.code = Status.STATUS_CODE_ERROR
    set_attributes(found, {"env": "prod", "code": 404, "ratio": 0.5, "cached": True, "empty": ""})
    return found


SPAN_SCENE = scene(span())


@pytest.mark.parametrize(
    "text",
    [
        'name == "GET /"',
        'span.name == "GET /"',
        "kind == SPAN_KIND_SERVER",
        "status.code == STATUS_CODE_ERROR",
        "span.status.code != STATUS_CODE_OK",
        'attributes["env"] == "prod"',
        'span.attributes["code"] >= 400 and attributes["code"] < 500',
        'attributes["code"] == 404.0',
        'attributes["ratio"] <= 0.5',
        'attributes["cached"] == true',
        'attributes["cached"] != 1',
        'attributes["empty"] == ""',
        'attributes["missing"] == nil',
        'nil != attributes["env"]',
        'attributes["missing"] != "prod"',
        'resource.attributes["service.name"] == "shop"',
        'scope.name == "http"',
        'instrumentation_scope.version == "1"',
        'IsMatch(name, "^GET")',
        'IsMatch(attributes["code"], "^4..$")',
        'not IsMatch(attributes["missing"], ".*")',
        'not (name == "POST" or name == "PUT")',
        'name == "x" or kind == 2 and true',
        "true",
        "not false",
        'trace_id.string == "000102030405060708090a0b0c0d0e0f"',
        "start_time_unix_nano == 5",
        r'"a\"b" == "a\"b"',
        "-1 < 0",
        "1e3 > 999.5",
    ],
)
def test_a_span_meets(text: str) -> None:
    assert compile_condition(text, "span")(SPAN_SCENE)


@pytest.mark.parametrize(
    "text",
    [
        'attributes["code"] == "404"',
        'attributes["env"] > 1',
        'attributes["missing"] < 1',
        'attributes["cached"] > 0',
        'name == "x" and true',
        "false",
        'IsMatch(name, "^POST")',
        "nil == false",
        "1 == true",
        "0 < true",
    ],
)
def test_a_span_does_not_meet(text: str) -> None:
    assert not compile_condition(text, "span")(SPAN_SCENE)


def test_and_binds_before_or() -> None:
    assert compile_condition("true or true and false", "span")(SPAN_SCENE)
    assert not compile_condition("(true or true) and false", "span")(SPAN_SCENE)


def test_logs_by_severity_and_body() -> None:
    log = scene(LogRecord(severity_number=SeverityNumber.SEVERITY_NUMBER_ERROR, severity_text="ERROR"))
    log.item.body.string_value = "no connection"
    assert compile_condition('severity_number >= SEVERITY_NUMBER_ERROR and severity_text == "ERROR"', "log")(log)
    assert compile_condition('IsMatch(log.body, "connection") and body.string != ""', "log")(log)


def test_an_event_knows_its_span() -> None:
    event = scene(Span.Event(name="exception"), span())
    assert compile_condition('spanevent.name == "exception" and span.name == "GET /"', "spanevent")(event)


def test_points_know_their_metric() -> None:
    metric = Metric(name="requests", unit="1")
    metric.sum.SetInParent()
    point = scene(NumberDataPoint(as_int=5), metric)
    assert compile_condition('metric.name == "requests" and metric.type == METRIC_DATA_TYPE_SUM', "datapoint")(point)
    assert compile_condition("value_int == 5 and value_double == nil", "datapoint")(point)
    assert compile_condition("value_int == nil", "datapoint")(scene(HistogramDataPoint(), metric))
    assert compile_condition('type == METRIC_DATA_TYPE_SUM and unit == "1"', "metric")(scene(metric))


@pytest.mark.parametrize(
    ("text", "context", "reason"),
    [
        ("", "span", "ends too early"),
        ("name", "span", "comparison is expected"),
        ('name = "x"', "span", "cannot be read"),
        ('name == "x', "span", "cannot be read"),
        ('name == "x" extra', "span", "not expected"),
        ("colour == 1", "span", "no field of a span"),
        ("severity_number == 1", "span", "no field of a span"),
        ('attributes["a"] == nil', "metric", "no field of a metric"),
        ("attributes == nil", "span", "expected"),
        ('attributes["a"]["b"] == 1', "span", "comparison is expected"),
        ('Concat(name, "x") == "x"', "span", "Concat is not supported"),
        ('IsMatch(name, "(")', "span", "not a regular expression"),
        ("IsMatch(name, name)", "span", "double quotes"),
        ("(true", "span", "ends too early"),
        ("5s > 1", "span", "cannot be read"),
        ("not " * 1000 + "true", "span", "nested too deeply"),
        ("(" * 1000, "span", "nested too deeply"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, context: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_condition(text, context)


PIECES = st.sampled_from(
    [
        "name",
        '"x"',
        "==",
        "<",
        "and",
        "or",
        "not",
        "(",
        ")",
        "nil",
        "1",
        "attributes",
        '["env"]',
        "IsMatch",
        ",",
        "true",
        "§",
    ]
)


@given(st.lists(PIECES, max_size=12).map(" ".join), st.sampled_from(CONTEXTS))
def test_no_text_does_anything_but_decide_or_be_refused(text: str, context: str) -> None:
    try:
        condition = compile_condition(text, context)
    except ValueError:
        return
    items = {
        "span": span(),
        "spanevent": Span.Event(),
        "metric": Metric(),
        "datapoint": NumberDataPoint(),
        "log": LogRecord(),
    }
    assert condition(scene(items[context], span())) in {True, False}
