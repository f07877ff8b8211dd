"""Stored spans and logs as OTLP in the JSON of protobuf, which version 3 of Jaeger's API speaks; a pure function."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ganglion_query.jaeger.rows import Rows, SpanLog, attributes_of, logs_by_span, microseconds, moment_of, nanoseconds
from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["JSON", "resource_spans"]

_KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_STATUSES = {"OK": 1, "ERROR": 2}
_INT64 = 2**63

JSON = dict[str, Any]


def resource_spans(rows: Rows, *, raw: bool = False) -> list[JSON]:
    """Return a trace by what sent it, with our logs as events named `log`; with `raw` only what was sent."""
    logs = {} if raw else logs_by_span(rows)
    return [
        {
            "resource": {"attributes": _key_values(rows.resources.get(resource_id, {}))},
            "scopeSpans": [_scope_spans(list(spans), logs) for _, spans in groupby(of_resource, _origin)],
        }
        for resource_id, of_resource in groupby(sorted(rows.spans, key=_origin), lambda span: span.resource_id)
    ]


def _origin(span: StoredSpan) -> tuple[int, str, str]:
    return span.resource_id, span.scope_name or "", span.scope_version or ""


def _scope_spans(spans: Sequence[StoredSpan], logs: Mapping[str, Sequence[SpanLog]]) -> JSON:
    _, name, version = _origin(spans[0])
    scope = _given({"name": name, "version": version})
    return {"scope": scope, "spans": [_span(span, logs.get(span.span_id, ())) for span in spans]}


def _span(span: StoredSpan, logs: Sequence[SpanLog]) -> JSON:
    start = microseconds(span.start_time) * 1000
    events = [*map(_event, span.events), *map(_log, logs)]
    told = {
        "parentSpanId": span.parent_span_id,
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": _KINDS.get(span.kind),
        "attributes": _key_values(span.attributes),
        "events": sorted(events, key=lambda event: int(event["timeUnixNano"])),
        "links": [_link(link) for link in span.links],
    }
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + nanoseconds(span)),
        "status": _given({"code": _STATUSES.get(span.status), "message": span.status_message}),
        **_given(told),
    }


def _event(event: Mapping[str, Any]) -> JSON:
    attributes = _key_values(attributes_of(event))
    return {"timeUnixNano": str(moment_of(event) * 1000), "name": event.get("name", ""), "attributes": attributes}


def _log(log: SpanLog) -> JSON:
    fields = {key: value for key, value in log.fields.items() if key != "event"}
    return {"timeUnixNano": str(log.timestamp * 1000), "name": "log", "attributes": _key_values(fields)}


def _link(link: Mapping[str, Any]) -> JSON:
    ids = {"traceId": link.get("trace_id", ""), "spanId": link.get("span_id", "")}
    return {**ids, "attributes": _key_values(attributes_of(link))}


def _given(told: JSON) -> JSON:
    """Return what is not the default of its field, which protobuf leaves out."""
    return {key: value for key, value in told.items() if value}


def _key_values(attributes: Mapping[str, Any]) -> list[JSON]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: Any) -> JSON:
    match value:
        case None:
            return {}
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int() if -_INT64 <= value < _INT64:
            return {"intValue": str(value)}
        case int() | float():
            return {"doubleValue": float(value)}
        case _ if isinstance(value, list):
            return {"arrayValue": {"values": _any_values(value)}}
        case _:
            return {"kvlistValue": {"values": _key_values(value)}}


def _any_values(values: Any) -> list[JSON]:
    return [_any_value(value) for value in values]
