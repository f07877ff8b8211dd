"""Stored rows as Jaeger's JSON and as OTLP."""

from datetime import timedelta
from typing import Any

import pytest
from ganglion_query.jaeger.otlp import resource_spans
from ganglion_query.jaeger.rows import Rows
from ganglion_query.jaeger.spans import Span, trace
from ganglion_query.jaeger.tags import pair
from ganglion_query.model import LogRow
from ganglion_query.reader.jaeger import StoredSpan

from tests.query.jaeger.rows import AT, log_row, stored

OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"
ONE, TWO = "0000000000000001", "0000000000000002"
HOSTS = {1: {"service.name": "shop", "host.name": "a"}, 2: {"service.name": "bank", "host.name": "b"}}


def _rows(*spans: StoredSpan, logs: list[LogRow] | None = None, **more: Any) -> Rows:
    return Rows(spans[0].trace_id, spans, HOSTS, logs or [], **more)


def _one(*spans: StoredSpan, position: int = 0, raw: bool = False, logs: list[LogRow] | None = None) -> Span:
    return trace(_rows(*spans, logs=logs), raw=raw)["spans"][position]


def _tags(span: Span) -> dict[str, tuple[str, Any]]:
    return {tag["key"]: (tag["type"], tag["value"]) for tag in span["tags"]}


def test_times_are_microseconds() -> None:
    span = _one(stored(duration_ms=12.3456))
    assert (span["startTime"], span["duration"]) == (1769871600123456, 12345)
    assert _one(stored(duration_ms=12.345))["duration"] == 12345


def test_what_has_columns_becomes_the_tags_that_jaeger_has_for_it() -> None:
    span = stored(
        kind="CLIENT",
        status="ERROR",
        status_message="no card",
        scope_name="shop.app",
        scope_version="2",
        trace_state="a=b",
        attributes={"user.id": "u-1", "retries": 2},
        flags=0x101,
    )
    assert _tags(_one(span)) == {
        "retries": ("int64", 2),
        "user.id": ("string", "u-1"),
        "span.kind": ("string", "client"),
        "otel.status_code": ("string", "ERROR"),
        "error": ("bool", True),
        "otel.status_description": ("string", "no card"),
        "otel.scope.name": ("string", "shop.app"),
        "otel.scope.version": ("string", "2"),
        "w3c.tracestate": ("string", "a=b"),
    }
    assert _one(span).get("flags") == 1
    plain = _one(stored())
    assert (plain["tags"], "flags" in plain) == ([], False)


def test_an_attribute_that_says_the_same_is_not_told_twice() -> None:
    span = _one(stored(status="ERROR", kind="SERVER", attributes={"error": True, "span.kind": "entry"}))
    assert [tag["value"] for tag in span["tags"] if tag["key"] == "error"] == [True]
    assert [tag["value"] for tag in span["tags"] if tag["key"] == "span.kind"] == ["entry", "server"]


@pytest.mark.parametrize(
    ("value", "type_", "told"),
    [
        ("text", "string", "text"),
        (True, "bool", True),
        (7, "int64", 7),
        (2**53 - 1, "int64", 2**53 - 1),
        (2**53, "int64", "9007199254740992"),
        (-(2**63), "int64", "-9223372036854775808"),
        (10**20, "float64", 1e20),
        (0.5, "float64", 0.5),
        (3.0, "float64", 3.0),
        (None, "string", ""),
        ([1, "b", None], "string", '[1,"b",null]'),
        ({"b": {"c": "ü"}, "a": 1}, "string", '{"a":1,"b":{"c":"ü"}}'),
    ],
)
def test_values_have_types(value: Any, type_: str, told: Any) -> None:
    found = pair("k", value)
    assert found == {"key": "k", "type": type_, "value": told}
    assert type(found["value"]) is type(told)


def test_the_parent_comes_first_and_links_after_it() -> None:
    links = [
        {"trace_id": OTHER_TRACE, "span_id": ONE},
        {"trace_id": OTHER_TRACE, "span_id": TWO, "attributes": {"opentracing.ref_type": "child_of"}},
        {"trace_id": stored().trace_id, "span_id": ONE},
        {"trace_id": "", "span_id": ""},
    ]
    references = _one(stored(), stored(span_id=TWO, parent_span_id=ONE, links=links), position=1)["references"]
    assert [(one["refType"], one["traceID"][:3], one["spanID"]) for one in references] == [
        ("FOLLOWS_FROM", "4bf", ONE),
        ("FOLLOWS_FROM", "0af", ONE),
        ("CHILD_OF", "0af", TWO),
    ]


def test_processes_are_what_sent_spans_without_their_name() -> None:
    found = trace(
        _rows(
            stored(), stored(span_id=TWO, resource_id=2, service_name="bank"), stored(resource_id=3, service_name=None)
        )
    )
    assert found["processes"] == {
        "p1": {"serviceName": "shop", "tags": [pair("host.name", "a")]},
        "p2": {"serviceName": "bank", "tags": [pair("host.name", "b")]},
        "p3": {"serviceName": "OTLPResourceNoServiceName", "tags": []},
    }
    assert [span["processID"] for span in found["spans"]] == ["p1", "p2", "p3"]


def test_events_and_our_logs_stand_in_their_span_in_time_order() -> None:
    events = [{"name": "exception", "timestamp": "2026-01-31T15:00:00.300000999Z", "attributes": {"a": 1}}]
    logs = [
        log_row(timestamp=AT + timedelta(seconds=1), message="late", error="E: m", stack_trace="at x", level="ERROR"),
        log_row(message="early", logger="shop.app", context={"z": "1", "message": "kept out"}, metrics={"amount": 3}),
        log_row(message="elsewhere", span_id=TWO),
        log_row(message="of no span", span_id=None, service_name="cron"),
    ]
    first = _one(stored(events=events), stored(span_id=TWO), logs=logs)
    told = [
        (log["timestamp"] - first["startTime"], {one["key"]: one["value"] for one in log["fields"]})
        for log in first["logs"]
    ]
    assert told == [
        (0, {"event": "log", "level": "INFO", "message": "early", "logger": "shop.app", "amount": 3, "z": "1"}),
        (0, {"event": "log", "level": "INFO", "message": "of no span", "service.name": "cron"}),
        (176544, {"event": "exception", "a": 1}),
        (1000000, {"event": "log", "level": "ERROR", "message": "late", "error": "E: m", "stack": "at x"}),
    ]
    assert len(_one(stored(events=events), raw=True, logs=logs)["logs"]) == 1


def test_an_event_may_name_itself() -> None:
    event = {"name": "log", "timestamp": "2026-01-31T15:00:00.000000000Z", "attributes": {"event": "retry"}}
    assert _one(stored(events=[event]))["logs"][0]["fields"] == [pair("event", "retry")]


def test_doubts_are_warnings() -> None:
    child = stored(span_id=TWO, parent_span_id=ONE, resource_id=2, start_time=AT - timedelta(milliseconds=250))
    assert _one(stored(), child, position=1)["warnings"] == [
        "this span starts 250 ms before its parent on another host: their clocks differ"
    ]
    assert (
        _one(stored(), stored(span_id=TWO, parent_span_id=ONE, start_time=child.start_time), position=1)["warnings"]
        is None
    )
    assert _one(stored(), child, position=1, raw=True)["warnings"] is None
    (orphan,) = _one(stored(parent_span_id="00000000000000ff"))["warnings"] or ["none"]
    assert orphan.startswith("the parent span 00000000000000ff is not here")
    (endless,) = _one(stored(duration_ms=None, end_time=None))["warnings"] or ["none"]
    assert endless.startswith("this span has no end")
    backwards = _one(stored(duration_ms=-2.5))
    assert (backwards["warnings"], backwards["duration"]) == (["this span ends 2.5 ms before it starts"], 0)


def test_what_is_not_here_is_said_of_the_trace_and_of_its_first_span() -> None:
    found = trace(_rows(stored(), stored(span_id=TWO), notes=("only the first 2",)))
    assert (found["warnings"], [span["warnings"] for span in found["spans"]]) == (
        ["only the first 2"],
        [["only the first 2"], None],
    )


def test_otlp_has_every_kind_of_value() -> None:
    attributes = {"s": "t", "b": True, "i": 2**62, "d": 0.5, "n": None, "l": [1, {"k": "v"}], "huge": 10**20}
    span = resource_spans(_rows(stored(attributes=attributes, kind="CONSUMER", status="ERROR", status_message="m")))[0][
        "scopeSpans"
    ][0]["spans"][0]
    assert {one["key"]: one["value"] for one in span["attributes"]} == {
        "s": {"stringValue": "t"},
        "b": {"boolValue": True},
        "i": {"intValue": str(2**62)},
        "d": {"doubleValue": 0.5},
        "n": {},
        "l": {
            "arrayValue": {
                "values": [
                    {"intValue": "1"},
                    {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
                ]
            }
        },
        "huge": {"doubleValue": 1e20},
    }
    assert (span["kind"], span["status"]) == (5, {"code": 2, "message": "m"})
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1769871600123456000", "1769871600124956000")


def test_otlp_is_grouped_by_resource_and_scope() -> None:
    spans = (stored(scope_name="a"), stored(span_id=TWO, resource_id=2), stored(scope_name="b"), stored(scope_name="a"))
    found = [
        (one["resource"]["attributes"][0]["value"]["stringValue"], [len(scope["spans"]) for scope in one["scopeSpans"]])
        for one in resource_spans(_rows(*spans))
    ]
    assert found == [("shop", [2, 1]), ("bank", [1])]
