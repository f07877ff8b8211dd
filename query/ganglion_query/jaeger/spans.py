"""Stored spans and logs as a trace in Jaeger's JSON; a pure function of the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NotRequired, TypedDict

from ganglion_query.jaeger.doubts import doubts
from ganglion_query.jaeger.parameters import NO_SERVICE
from ganglion_query.jaeger.tags import KeyValue, pair, pairs
from ganglion_query.model import LogRow
from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["Rows", "Trace", "microseconds", "trace"]


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


@dataclass(frozen=True, slots=True)
class Rows:
    """What is stored of one trace: spans and logs in time order, attributes of resources by their id.

    `notes` say what is not here.
    """

    trace_id: str
    spans: Sequence[StoredSpan]
    resources: Mapping[int, Mapping[str, Any]]
    logs: Sequence[LogRow] = ()
    notes: Sequence[str] = field(default_factory=tuple[str, ...])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SAMPLED_FLAGS = 0xFF


def trace(rows: Rows, *, raw: bool = False) -> Trace:
    """Return a trace with its logs and with doubts about its spans as warnings; with `raw` only what was sent."""
    services = {span.resource_id: span.service_name for span in rows.spans}
    processes = {id_: f"p{number}" for number, id_ in enumerate(services, 1)}
    logs = {} if raw else _logs_by_span(rows)
    warnings = {} if raw else doubts(rows.spans, rows.resources)
    spans = [_span(span, processes[span.resource_id]) for span in rows.spans]
    for position, (span, stored) in enumerate(zip(spans, rows.spans, strict=True)):
        span["logs"] = sorted([*span["logs"], *logs.get(stored.span_id, ())], key=_time_of)
        told = [*(rows.notes if position == 0 else ()), *warnings.get(position, ())]
        span["warnings"] = told or None
    return {
        "traceID": rows.trace_id,
        "spans": spans,
        "processes": {name: _process(services[id_], rows.resources.get(id_, {})) for id_, name in processes.items()},
        "warnings": list(rows.notes) or None,
    }


def microseconds(time: datetime) -> int:
    """Return Unix time in µs."""
    return (time - _EPOCH) // _MICROSECOND


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
        "duration": max(0, round((span.duration_ms or 0) * 1000)),
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
        is_child = _attributes(link).get("opentracing.ref_type") == "child_of"
        key = parent if (trace_id, span_id) == parent else (trace_id, f"{span_id}/{number}")
        found[key] = {
            "refType": "CHILD_OF" if is_child else "FOLLOWS_FROM",
            "traceID": trace_id,
            "spanID": span_id,
        }
    return list(found.values())


def _event(event: Mapping[str, Any]) -> Log:
    attributes = _attributes(event)
    named = [pair("event", event["name"])] if event.get("name") and "event" not in attributes else []
    return {"timestamp": _event_time(event), "fields": [*named, *pairs(attributes)]}


def _attributes(of: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] | None = of.get("attributes")
    return attributes or {}


def _event_time(event: Mapping[str, Any]) -> int:
    """Return when it was; stored are nanoseconds, of which Python knows but six digits."""
    return microseconds(datetime.fromisoformat(str(event["timestamp"])))


def _logs_by_span(rows: Rows) -> dict[str, list[Log]]:
    """Return our logs by the span that they were written in, else that of the earliest span."""
    known = {span.span_id: span.service_name for span in rows.spans}
    first = rows.spans[0].span_id if rows.spans else ""
    found: dict[str, list[Log]] = {}
    for row in rows.logs:
        span_id = row.span_id if row.span_id in known else first
        found.setdefault(span_id or first, []).append(_log(row, known.get(span_id)))
    return found


def _log(row: LogRow, service: str | None) -> Log:
    told: dict[str, Any] = {
        "event": "log",
        "level": row.level,
        "message": row.message,
        "logger": row.logger,
        "service.name": row.service_name if row.service_name != service else None,
        "error": row.error,
        "stack": row.stack_trace,
    }
    fields = [pair(key, value) for key, value in told.items() if value is not None]
    rest = {key: value for key, value in {**row.context, **row.metrics}.items() if key not in told}
    return {"timestamp": microseconds(row.timestamp), "fields": [*fields, *pairs(rest)]}


def _time_of(log: Log) -> int:
    return log["timestamp"]
