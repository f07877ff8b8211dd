"""The mapping of docs/schema.md, rule by rule, and as a property against a real server."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from math import inf, isfinite, isnan, nan
from typing import Any

import psycopg
import pytest
from ganglion_collector.component import Signal
from ganglion_exporters.postgresql import PostgreSQLConfig, PostgreSQLExporter
from ganglion_exporters.postgresql.log_lines import COLUMN_OF, LOG_COLUMNS
from ganglion_exporters.postgresql.rows import CHUNK_ROWS, Clock, Rows, logs_to_copy, spans_to_copy
from ganglion_exporters.postgresql.span_lines import SPAN_COLUMNS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from psycopg.rows import dict_row

from tests.exporters.batches import any_value, batch, key_values, log, logs_payload, span, spans_payload

NOW = 1_790_000_000_123_456_789
_NOON = "2026-09-21T14:13:20"
CLOCK = Clock.around(NOW, 400 * 86_400.0, 2 * 86_400.0)
_UNESCAPE = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def fields(line: str) -> list[str | None]:
    def unescape(field: str) -> str:
        parts = field.split("\\\\")
        for escape, character in list(_UNESCAPE.items())[1:]:
            parts = [part.replace(escape, character) for part in parts]
        return "\\".join(parts)

    return [None if field == "\\N" else unescape(field) for field in line.split("\t")]


def parsed(rows: Rows, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = [
        dict(zip(columns, fields(line), strict=True)) for line in rows.data.decode().splitlines()
    ]
    for row in result:
        for column in ("context", "metrics", "attributes", "events", "links", "scope"):
            if document := row.get(column):
                row[column] = json.loads(document)
    return result


def log_row(record: LogRecord, resource: Mapping[str, object] | None = None, scope: str = "") -> dict[str, Any]:
    (rows,) = logs_to_copy(logs_payload([record], resource, scope), CLOCK)
    return parsed(rows, LOG_COLUMNS)[0]


def span_row(item: Span, resource: Mapping[str, object] | None = None) -> dict[str, Any]:
    (rows,) = spans_to_copy(spans_payload([item], resource), CLOCK)
    return parsed(rows, SPAN_COLUMNS)[0]


def at_noon(message: object = "m", attributes: Mapping[str, object] | None = None, **more: object) -> LogRecord:
    return log(message, attributes, **{"time_unix_nano": NOW, **more})


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"user.id": "u"}, {"user_id": "u", "context": None}),
        ({"user_id": "u"}, {"user_id": "u"}),
        ({"enduser.id": "u"}, {"user_id": "u"}),
        ({"user.id": 42}, {"user_id": "42", "metrics": None}),
        ({"user.id": ""}, {"user_id": "", "context": None}),
        ({"user.id": True}, {"user_id": None, "context": {"user.id": True}}),
        ({"user.id": "a", "user_id": "b"}, {"user_id": "a", "context": {"user_id": "b"}}),
        ({"user.id": "a", "user_id": "a"}, {"user_id": "a", "context": None}),
        ({"user.id": "x" * 300}, {"user_id": "x" * 255 + "…", "context": {"user.id": "x" * 300}}),
        (
            {"session.id": "s", "tenant.id": "t", "request.id": "r"},
            {"session_id": "s", "tenant_id": "t", "request_id": "r"},
        ),
        ({"parent_span_id": "00f067aa0ba902b7"}, {"parent_span_id": "00f067aa0ba902b7"}),
        ({"exception.type": "E", "exception.message": "m"}, {"error": "E: m", "context": None}),
        ({"exception.type": "E"}, {"error": "E"}),
        ({"exception.message": "m"}, {"error": "m"}),
        ({"exception.stacktrace": "a\nb\tc\\d"}, {"stack_trace": "a\nb\tc\\d"}),
        ({"error": "x"}, {"error": "x", "context": None}),
        ({"error": "x", "exception.type": "E"}, {"error": "E", "context": {"error": "x"}}),
        ({"error": True}, {"error": None, "context": {"error": True}}),
        ({"stack_trace": "s" * 5000}, {"stack_trace": "s" * 5000, "context": None}),
        ({"deployment.environment.name": "prod"}, {"environment": "prod"}),
        ({"service.version": "2", "host.name": "h"}, {"version": "2", "host": "h"}),
        ({"n": 1, "x": 1.5}, {"metrics": {"n": 1, "x": 1.5}, "context": None}),
        (
            {"duration_ms": 2.5, "cost_usd": 1},
            {"duration_ms": "2.5", "cost_usd": "1", "metrics": {"duration_ms": 2.5, "cost_usd": 1}},
        ),
        ({"duration_ms": nan}, {"duration_ms": "NaN", "metrics": {"duration_ms": "NaN"}}),
        ({"duration_ms": "slow"}, {"duration_ms": None, "context": {"duration_ms": "slow"}}),
        ({"a": -inf, "b": inf}, {"metrics": {"a": "-Infinity", "b": "Infinity"}}),
        ({"a": 2**63 - 1, "b": -(2**63)}, {"metrics": {"a": 2**63 - 1, "b": -(2**63)}}),
        ({"b": False, "n": None}, {"context": {"b": False, "n": None}}),
        ({"l": [1, "x"], "m": {"k": [b"\0"]}}, {"context": {"l": [1, "x"], "m": {"k": ["AA=="]}}}),
        ({"s": "a\0b", "k\0": "\\u0000"}, {"context": {"s": "a␀b", "k␀": "\\u0000"}}),
        ({"a\0": "1", "a␀": "2"}, {"context": {"a␀": "1", "a␀#2": "2"}}),
        ({"": "x"}, {"context": {"": "x"}}),
    ],
    ids=lambda value: str(list(value))[:40],
)
def test_attribute_goes_where_the_schema_says(attributes: Mapping[str, object], expected: Mapping[str, object]) -> None:
    row = log_row(at_noon("m", attributes))
    assert {column: row[column] for column in expected} == expected


def test_attribute_given_twice_is_kept_twice() -> None:
    record = at_noon()
    for value in ("a", "b", "b"):
        record.attributes.extend(key_values({"k": value, "n": len(value)}))
    record.attributes.extend(key_values({"n": 7}))
    row = log_row(record)
    assert row["context"] == {"k": "a", "k#2": "b"}
    assert row["metrics"] == {"n": 1, "n#2": 7}


@pytest.mark.parametrize(
    ("number", "text", "level", "context"),
    [
        (1, "", "DEBUG", {"otel.severity_number": 1}),
        (5, "DEBUG", "DEBUG", None),
        (9, "INFO", "INFO", None),
        (10, "INFO2", "INFO", {"otel.severity_number": 10, "otel.severity_text": "INFO2"}),
        (13, "WARN", "WARNING", None),
        (13, "WARNING", "WARNING", None),
        (17, "error", "ERROR", None),
        (21, "FATAL", "CRITICAL", None),
        (21, "CRITICAL", "CRITICAL", None),
        (0, "Warn", "WARNING", None),
        (0, "panic", "CRITICAL", None),
        (0, "", "INFO", None),
        (0, "weird", "INFO", {"otel.severity_text": "weird"}),
        (99, "", "INFO", {"otel.severity_number": 99}),
    ],
)
def test_severity_becomes_a_level(number: int, text: str, level: str, context: object) -> None:
    row = log_row(at_noon(severity_number=number, severity_text=text))
    assert (row["level"], row["context"]) == (level, context)


@pytest.mark.parametrize(
    ("body", "event", "message", "context"),
    [
        ("text", "", "text", None),
        ("a\0b\r\n\\.", "", "a␀b\r\n\\.", None),
        (None, "upload.started", "upload.started", None),
        ("", "upload.started", "upload.started", {"otel.event_name": "upload.started"}),
        ("text", "e", "text", {"otel.event_name": "e"}),
        ("e", "e", "e", None),
        (None, "", "", None),
        ({"a": [1, None]}, "", '{"a":[1,null]}', None),
        (12, "", "12", None),
        (b"\xff", "", "/w==", None),
    ],
)
def test_body_becomes_the_message(body: object, event: str, message: str, context: object) -> None:
    row = log_row(at_noon(body, event_name=event))
    assert row["message"] == message
    if body != "":
        assert row["context"] == context


def test_columns_of_the_resource_and_scope() -> None:
    resource = {"service.name": "rag", "service.version": "1", "host.name": "h", "deployment.environment": "dev"}
    row = log_row(at_noon(), resource, "app.search")
    columns = ("service_name", "version", "host", "environment", "logger", "context")
    assert [row[column] for column in columns] == ["rag", "1", "h", "dev", "app.search", None]


@pytest.mark.parametrize(
    ("resource", "attributes", "expected"),
    [
        ({"service.name": "a"}, {"service.name": "b"}, {"service_name": "a", "context": {"service.name": "b"}}),
        ({"service.name": "a"}, {"service_name": 7}, {"service_name": "a", "context": {"service_name": "7"}}),
        ({"service.name": "a"}, {"service.name": "a"}, {"service_name": "a", "context": None}),
        ({}, {"service.name": "b"}, {"service_name": "b", "context": None}),
        ({"service.name": True}, {"service.name": "b"}, {"service_name": "b", "context": None}),
        (
            {"deployment.environment": "live", "service.version": "1", "host.name": "h"},
            {"environment": "dev", "version": "2", "host": "g", "service_name": "b"},
            {
                "environment": "live",
                "version": "1",
                "host": "h",
                "service_name": "b",
                "context": {"environment": "dev", "version": "2", "host": "g"},
            },
        ),
    ],
)
def test_a_record_fills_only_what_its_resource_leaves_open(
    resource: Mapping[str, object], attributes: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    row = log_row(at_noon("m", attributes), resource)
    assert {column: row[column] for column in expected} == expected


def test_same_resource_has_the_same_id_in_any_order_and_is_given_once() -> None:
    first = {"service.name": "a", "n": 1}
    ids = {
        log_row(at_noon(), resource)["resource_id"]
        for resource in (first, dict(reversed(first.items())), {**first, "n": 2}, {**first, "n": 1.0})
    }
    assert len(ids) == 3
    (rows,) = logs_to_copy(logs_payload([at_noon(), at_noon()], first), CLOCK)
    assert [resource.row for resource in rows.resources.values()] == [("a", '{"service.name":"a","n":1}', None)]


@pytest.mark.parametrize(
    ("time", "observed", "stored", "context"),
    [
        (NOW, 0, "2026-09-21 14:13:20.123456+00", None),
        (NOW, NOW + 10, "2026-09-21 14:13:20.123456+00", None),
        (
            NOW - 1_000_000_000,
            NOW,
            "2026-09-21 14:13:19.123456+00",
            {"otel.observed_timestamp": "2026-09-21T14:13:20.123456789Z"},
        ),
        (0, NOW + 1000, "2026-09-21 14:13:20.123457+00", None),
        (0, 0, "2026-09-21 14:13:20.123456+00", None),
        (
            1,
            2,
            "2026-09-21 14:13:20.123456+00",
            {
                "otel.timestamp": "1970-01-01T00:00:00.000000001Z",
                "otel.observed_timestamp": "1970-01-01T00:00:00.000000002Z",
            },
        ),
        (2**64 - 1, 0, "2026-09-21 14:13:20.123456+00", {"otel.timestamp": "2554-07-21T23:34:33.709551615Z"}),
        (CLOCK.oldest, 0, "2025-08-17 14:13:20.123456+00", None),
        (CLOCK.newest, 0, "2026-09-23 14:13:20.123456+00", None),
    ],
)
def test_time_is_its_own_else_observed_else_received(time: int, observed: int, stored: str, context: object) -> None:
    row = log_row(at_noon(time_unix_nano=time, observed_time_unix_nano=observed))
    assert (row["timestamp"], row["context"]) == (stored, context)


def test_log_keeps_what_has_no_column() -> None:
    record = at_noon(trace_id=b"\1", span_id=b"\2" * 9, flags=257, dropped_attributes_count=3)
    row = log_row(record)
    assert (row["trace_id"], row["span_id"]) == (None, None)
    assert row["context"] == {
        "otel.trace_id": "01",
        "otel.span_id": "02" * 9,
        "otel.flags": 257,
        "otel.dropped_attributes_count": 3,
    }


def test_large_scope_is_not_repeated_on_every_row() -> None:
    (rows,) = logs_to_copy(logs_payload([at_noon(), at_noon()], scope="s" * 5000), CLOCK)
    first, second = parsed(rows, LOG_COLUMNS)
    assert first["context"] == {"otel.scope.name": "s" * 5000}
    assert second["context"] is None
    assert first["logger"] == second["logger"] == "s" * 255 + "…"


def test_scope_is_kept_with_logs_and_spans() -> None:
    request = ExportLogsServiceRequest.FromString(logs_payload([at_noon()], scope="lib"))
    items = request.resource_logs[0].scope_logs[0]
    items.schema_url = "url"
    items.scope.version = "1.0"
    items.scope.attributes.extend(key_values({"k": True}))
    (rows,) = logs_to_copy(request.SerializeToString(), CLOCK)
    details = {"otel.scope.attributes": {"k": True}, "otel.scope.schema_url": "url"}
    assert parsed(rows, LOG_COLUMNS)[0]["context"] == {"otel.scope.version": "1.0", **details}
    traces = ExportTraceServiceRequest.FromString(spans_payload([span()]))
    traces.resource_spans[0].scope_spans[0].scope.CopyFrom(items.scope)
    traces.resource_spans[0].scope_spans[0].schema_url = "url"
    (rows,) = spans_to_copy(traces.SerializeToString(), CLOCK)
    row = parsed(rows, SPAN_COLUMNS)[0]
    assert (row["scope_name"], row["scope_version"], row["scope"]) == ("lib", "1.0", details)


def test_span_columns() -> None:
    item = span("search", {"user.id": "u", "n": 1}, trace_state="a=b", flags=1, parent_span_id=b"\1" * 8)
    item.start_time_unix_nano, item.end_time_unix_nano = NOW, NOW + 1_234_567
    item.status.code, item.status.message = 2, "bad"  # type: ignore[assignment]
    item.events.add(name="e", time_unix_nano=NOW, attributes=key_values({"k": 1}))
    item.links.add(trace_id=b"\2" * 16, span_id=b"\3" * 8, trace_state="x=y")
    row = span_row(item, {"service.name": "rag"})
    expected = {
        "start_time": "2026-09-21 14:13:20.123456+00",
        "end_time": "2026-09-21 14:13:20.124691+00",
        "duration_ms": "1.234567",
        "flags": "1",
        "parent_span_id": "01" * 8,
        "name": "search",
        "kind": "SERVER",
        "service_name": "rag",
        "status": "ERROR",
        "status_message": "bad",
        "trace_state": "a=b",
        "user_id": "u",
        "attributes": {"user.id": "u", "n": 1},
        "events": [{"name": "e", "timestamp": "2026-09-21T14:13:20.123456789Z", "attributes": {"k": 1}}],
        "links": [{"trace_id": "02" * 16, "span_id": "03" * 8, "trace_state": "x=y"}],
        "scope": None,
    }
    assert {column: row[column] for column in expected} == expected


def test_span_with_an_impossible_start_is_stored_when_it_was_received() -> None:
    row = span_row(span(start_time_unix_nano=5, end_time_unix_nano=7))
    assert (row["start_time"], row["end_time"], row["duration_ms"]) == ("2026-09-21 14:13:20.123456+00", None, "2e-06")
    assert row["attributes"] == {
        "otel.start_timestamp": "1970-01-01T00:00:00.000000005Z",
        "otel.end_timestamp": "1970-01-01T00:00:00.000000007Z",
    }


def test_span_that_has_not_ended_has_no_duration() -> None:
    row = span_row(span(start_time_unix_nano=NOW, end_time_unix_nano=0))
    assert (row["end_time"], row["duration_ms"]) == (None, None)


def test_large_request_comes_in_chunks_in_order() -> None:
    payload = logs_payload([at_noon(str(number)) for number in range(CHUNK_ROWS * 2 + 1)])
    chunks = list(logs_to_copy(payload, CLOCK))
    assert [chunk.count for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    rows = [row for chunk in chunks for row in parsed(chunk, LOG_COLUMNS)]
    assert [row["message"] for row in rows] == [str(number) for number in range(CHUNK_ROWS * 2 + 1)]


# What a receiver can accept: any protobuf message; its strings hold no surrogates.

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    _text,
    st.sampled_from(["", "\0", "\\", "\\N", "\\.", "\\u0000", "\t\n\r", "\x7f\x80", "'\"", "x" * 3000]),
    st.binary(max_size=8),
)
_value = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3), max_leaves=6
)
_attributes = st.dictionaries(_text | st.sampled_from([*COLUMN_OF, "duration_ms", "cost_usd"]), _value, max_size=6)
_uint64 = st.integers(0, 2**64 - 1) | st.just(NOW)
_uint32 = st.integers(0, 2**32 - 1)
_log_fields = st.fixed_dictionaries(
    {
        "time_unix_nano": _uint64,
        "observed_time_unix_nano": _uint64,
        "severity_number": st.integers(-(2**31), 2**31 - 1) | st.integers(0, 24),
        "severity_text": _text,
        "trace_id": st.binary(max_size=20) | st.binary(min_size=16, max_size=16),
        "span_id": st.binary(max_size=20),
        "flags": _uint32,
        "dropped_attributes_count": _uint32,
        "event_name": _text,
    }
)
_span_fields = st.fixed_dictionaries(
    {
        "name": _text,
        "start_time_unix_nano": _uint64,
        "end_time_unix_nano": _uint64,
        "kind": st.integers(-(2**31), 2**31 - 1) | st.integers(0, 5),
        "trace_state": _text,
        "parent_span_id": st.binary(max_size=9),
        "flags": _uint32,
        "dropped_events_count": _uint32,
    }
)


def stored(value: object) -> object:
    """The stated form of a value, as a reader of jsonb sees it."""
    match value:
        case str():
            return value.replace("\0", "␀")
        case bytes():
            return b64encode(value).decode()
        case float() if not isfinite(value):
            return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case float():
            # jsonb keeps the shortest decimal that reads as this double, and shows a whole one without exponent.
            exact = Decimal(repr(value))
            return int(exact) if exact == exact.to_integral_value() else value
        case list():
            return [stored(item) for item in value]
        case dict():
            clean: dict[str, object] = {}
            for key, item in value.items():
                name = key.replace("\0", "␀")
                clean[name if name not in clean else f"{name}#2"] = stored(item)
            return clean
        case _:
            return value


def values_of(places: list[Mapping[str, object] | None], key: str) -> list[object]:
    """Everything kept under `key`, also where it had to make way."""
    name = key.replace("\0", "␀")
    kept = [(place, value) for found in places if found for place, value in found.items()]
    return [value for place, value in kept if place == name or place.startswith(f"{name}#")]


def store(dsn: str, signal: Signal, payload: bytes, items: int) -> list[dict[str, Any]]:
    async def export() -> None:
        exporter = PostgreSQLExporter(PostgreSQLConfig.model_validate({"dsn": dsn}))
        start = (await exporter.position(batch(signal, payload, items).source)) or batch(signal, payload, items).start
        await exporter.export(batch(signal, payload, items, start.sequence, received_at=NOW))
        await exporter.shutdown()

    asyncio.run(export())
    table = {Signal.LOGS: "logs", Signal.TRACES: "spans"}[signal]
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        # ctid keeps the order of one COPY.
        found = connection.execute(f"SELECT * FROM {table} ORDER BY tableoid, ctid".encode()).fetchall()
        connection.execute(f"TRUNCATE {table}".encode())
    return found


_quick = settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_quick
@given(st.lists(st.tuples(_value, _attributes, _log_fields), min_size=1, max_size=8), _attributes, _text)
def test_any_log_is_stored_in_the_stated_form(
    postgresql: str,
    logs: list[tuple[object, dict[str, object], dict[str, Any]]],
    resource: dict[str, object],
    scope: str,
) -> None:
    records = [
        log(body, {**attributes, "test.number": n}, **fields) for n, (body, attributes, fields) in enumerate(logs)
    ]
    found = store(postgresql, Signal.LOGS, logs_payload(records, resource, scope), len(records))
    by_number = {row["metrics"]["test.number"]: row for row in found}
    assert sorted(by_number) == list(range(len(records)))
    for number, (body, attributes, fields) in enumerate(logs):
        row = by_number[number]
        if isinstance(body, str | bytes) and body:
            assert row["message"] == stored(body)
        for key, value in attributes.items():
            if key not in COLUMN_OF:
                assert stored(value) in values_of([row["context"], row["metrics"]], key), (key, value)
        if len(bytes(fields["trace_id"])) == 16:
            assert row["trace_id"].bytes == fields["trace_id"]


@_quick
@given(st.lists(st.tuples(_attributes, _attributes, _span_fields), min_size=1, max_size=8))
def test_any_span_is_stored_in_the_stated_form(
    postgresql: str, spans: list[tuple[dict[str, object], dict[str, object], dict[str, Any]]]
) -> None:
    items = [span(attributes=attributes, **fields) for attributes, _, fields in spans]
    for item, (_, event, _) in zip(items, spans, strict=True):
        item.events.add(name="\0", time_unix_nano=2**64 - 1, attributes=key_values(event))
    found = store(postgresql, Signal.TRACES, spans_payload(items), len(items))
    by_id = {row["span_id"]: row for row in found}
    for item, (attributes, event, fields) in zip(items, spans, strict=True):
        row = by_id[item.span_id.hex()]
        for key, value in attributes.items():
            assert stored(value) in values_of([row["attributes"]], key)
        assert row["events"][0].get("attributes", {}) == stored(event)
        assert row["name"] == stored(fields["name"])


def deepest(message: type[Any], wrap: Any) -> bytes:
    value: object = "bottom"
    payload = b""
    for _ in range(200):
        value = [value]
        candidate: bytes = wrap(value)
        try:
            message.FromString(candidate)
        except Exception:  # noqa: BLE001 (protobuf's own limit is what is looked for)
            return payload
        payload = candidate
    return payload


def test_deepest_and_largest_values_are_stored(postgresql: str) -> None:
    payload = deepest(ExportLogsServiceRequest, lambda value: logs_payload([at_noon(value, {"k": value})]))
    (row,) = store(postgresql, Signal.LOGS, payload, 1)
    assert row["message"].strip("[]") == '"bottom"'
    large = "word-" * 400_000
    attributes = {"k": large, large[:20_000]: "v", "user.id": large, "exception.stacktrace": "\x01" * 100_000}
    record = at_noon(" ".join(f"{n:x}-é" for n in range(300_000)), attributes)
    (row,) = store(postgresql, Signal.LOGS, logs_payload([record], {"service.name": large}, large), 1)
    assert (row["context"]["k"], row["context"]["user.id"]) == (large, large)
    traces = deepest(ExportTraceServiceRequest, lambda value: spans_payload([span(attributes={"k": value})]))
    assert len(store(postgresql, Signal.TRACES, traces, 1)) == 1
    assert any_value(None).WhichOneof("value") is None
