"""Stored spans and logs as a trace in Jaeger's JSON; a pure function of the rows."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from ganglion_query.jaeger.doubts import doubts
from ganglion_query.jaeger.parameters import NO_SERVICE
from ganglion_query.jaeger.rows import Rows, SpanLog, attributes_of, logs_by_span, microseconds, moment_of, nanoseconds
from ganglion_query.jaeger.tags import KeyValue, pair, pairs
from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["Trace", "trace"]


class Reference(TypedDict):
    """Another span that this one depends on."""

    refType: Literal["CHILD_OF", "FOLLOWS_FROM"]
    traceID: str
    spanID: str


class Log(TypedDict):
    """What happened at one time, in µs, while a span ran."""

    timestamp: int
    fields: list[KeyValue]


class Span(TypedDict):
    """Times in µs."""

    traceID: str
    spanID: str
    flags: NotRequired[int]
    operationName: str
    references: list[Reference]
    startTime: int
    duration: int
    tags: list[KeyValue]
    logs: list[Log]
    processID: str
    warnings: list[str] | None


class Process(TypedDict):
    """What sent spans."""

    serviceName: str
    tags: list[KeyValue]


class Trace(TypedDict):
    """One trace."""

    traceID: str
    spans: list[Span]
    processes: dict[str, Process]
    warnings: list[str] | None


_SAMPLED_FLAGS = 0xFF


def trace(rows: Rows, *, raw: bool = False) -> Trace:
    """Return a trace with its logs and with doubts about its spans as warnings; with `raw` only what was sent."""
    services = {span.resource_id: span.service_name for span in rows.spans}
    processes = {id_: f"p{number}" for number, id_ in enumerate(services, 1)}
    logs = {} if raw else logs_by_span(rows)
    warnings = {} if raw else doubts(rows.spans, rows.resources)
    spans = [_span(span, processes[span.resource_id]) for span in rows.spans]
    for position, (span, stored) in enumerate(zip(spans, rows.spans, strict=True)):
        ours = [_log(log) for log in logs.get(stored.span_id, ())]
        span["logs"] = sorted([*span["logs"], *ours], key=_time_of)
        told = [*(rows.notes if position == 0 else ()), *warnings.get(position, ())]
        span["warnings"] = told or None
    return {
        "traceID": rows.trace_id,
        "spans": spans,
        "processes": {name: _process(services[id_], rows.resources.get(id_, {})) for id_, name in processes.items()},
        "warnings": list(rows.notes) or None,
    }


def _process(service: str | None, attributes: Mapping[str, Any]) -> Process:
    tags = {key: value for key, value in attributes.items() if key != "service.name"}
    return {"serviceName": service or NO_SERVICE, "tags": pairs(tags)}


def _span(span: StoredSpan, process: str) -> Span:
    result: Span = {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": _references(span),
        "startTime": microseconds(span.start_time),
        "duration": nanoseconds(span) // 1000,
        "tags": _tags(span),
        "logs": [_event(event) for event in span.events],
        "processID": process,
        "warnings": None,
    }
    if flags := span.flags & _SAMPLED_FLAGS:
        result["flags"] = flags
    return result


def _tags(span: StoredSpan) -> list[KeyValue]:
    tags = pairs(span.attributes)
    told: dict[str, Any] = {
        "otel.scope.name": span.scope_name,
        "otel.scope.version": span.scope_version,
        "span.kind": None if span.kind == "UNSPECIFIED" else span.kind.lower(),
        "otel.status_code": None if span.status == "UNSET" else span.status,
        "error": True if span.status == "ERROR" else None,
        "otel.status_description": span.status_message,
        "w3c.tracestate": span.trace_state,
    }
    given = span.attributes
    tags += [pair(key, value) for key, value in told.items() if value is not None and given.get(key) != value]
    return [*tags, *pairs({key: value for key, value in span.scope.items() if key not in told})]


def _references(span: StoredSpan) -> list[Reference]:
    """Return the parent first, where clients look for it, then what links name."""
    parent = (span.trace_id, span.parent_span_id)
    found: dict[tuple[str, str | None], Reference] = {}
    if span.parent_span_id:
        found[parent] = {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_span_id}
    for number, link in enumerate(span.links):
        trace_id, span_id = str(link.get("trace_id", "")), str(link.get("span_id", ""))
        if not trace_id and not span_id:
            continue
        is_child = attributes_of(link).get("opentracing.ref_type") == "child_of"
        key = parent if (trace_id, span_id) == parent else (trace_id, f"{span_id}/{number}")
        found[key] = {
            "refType": "CHILD_OF" if is_child else "FOLLOWS_FROM",
            "traceID": trace_id,
            "spanID": span_id,
        }
    return list(found.values())


def _event(event: Mapping[str, Any]) -> Log:
    attributes = attributes_of(event)
    named = [pair("event", event["name"])] if event.get("name") and "event" not in attributes else []
    return {"timestamp": moment_of(event), "fields": [*named, *pairs(attributes)]}


def _log(log: SpanLog) -> Log:
    return {"timestamp": log.timestamp, "fields": [pair(key, value) for key, value in log.fields.items()]}


def _time_of(log: Log) -> int:
    return log["timestamp"]
