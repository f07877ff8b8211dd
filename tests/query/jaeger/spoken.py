"""Traces of every kind of thing that OTLP can say, and what a Jaeger is asked about them, theirs as ours.

`python -m tests.query.jaeger.spoken OTLP_URL QUERY_URL` asks a Jaeger that is running and empty, such as
`http://localhost:4318 http://localhost:16686`, and writes down what it answers in `spoken.json`.
"""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

__all__ = ["OTHER", "QUESTIONS", "RECORDED", "TRACE", "comparable", "questions", "request"]

RECORDED = Path(__file__).with_name("spoken.json")
TRACE, OTHER = "5b8efff798038103d269b633813fc60c", "0000000000000000eee19b7ec3c1b174"

QUESTIONS = (
    "/api/services",
    "/api/services/front/operations",
    "/api/services/nobody/operations",
    "/api/operations?service=front",
    "/api/operations?service=back&spanKind=client",
    f"/api/traces/{TRACE}",
    "/api/traces/eee19b7ec3c1b174",
    "/api/traces/1234",
    "/api/traces/xyz",
    f"/api/traces?traceID={OTHER}&traceID=77",
    "/api/traces?service=front&{time}",
    "/api/traces?service=front&operation=GET+%2F&{time}",
    "/api/traces?service=front&operation=call&{time}",
    "/api/traces?service=back&operation=query&minDuration=40ms&maxDuration=60ms&{time}",
    "/api/traces?service=back&minDuration=60ms&{time}",
    "/api/traces?service=front&tags=%7B%22text%22%3A%22t%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22whole%22%3A%227%22%2C%22yes%22%3A%22true%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22whole%22%3A%228%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22half%22%3A%220.5%22%7D&{time}",
    "/api/traces?service=back&tags=%7B%22error%22%3A%22true%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22error%22%3A%22true%22%7D&{time}",
    "/api/traces?service=back&tags=%7B%22otel.status_code%22%3A%22ERROR%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22span.kind%22%3A%22server%22%7D&{time}",
    "/api/traces?service=front&tags=%7B%22host.name%22%3A%22one%22%7D&{time}",
    "/api/traces?service=back&tags=%7B%22exception.type%22%3A%22E%22%7D&{time}",
    "/api/traces?service=back&tag=event:exception&{time}",
    "/api/traces?service=back&tag=otel.scope.name:library&{time}",
    "/api/traces?service=unknown&{time}",
    "/api/traces?service=front&limit=1&{time}",
    "/api/traces",
    "/api/traces?service=front&tags=nothing",
    "/api/traces?service=front&minDuration=2s&maxDuration=1s",
    "/api/operations",
    "/api/dependencies?endTs={end_ms}&lookback=3600000",
    "/api/metrics/calls?service=front",
    "/api/v3/services",
    "/api/v3/operations?service=back",
    "/api/v3/traces/xyz",
    f"/api/v3/traces/{TRACE}",
)


def _value(value: Any) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
        case _:
            return AnyValue(kvlist_value=KeyValueList(values=_attributes(value)))


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _span(name: str, id_: int, parent: int, start: int, milliseconds: float, **values: Any) -> Span:
    begins = start + id_ * 1_000_000
    return Span(
        trace_id=bytes.fromhex(TRACE),
        span_id=id_.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        start_time_unix_nano=begins,
        end_time_unix_nano=begins + round(milliseconds * 1e6),
        attributes=_attributes(values),
    )


def _front(start: int) -> ResourceSpans:
    found = ResourceSpans()
    found.resource.attributes.extend(_attributes({"service.name": "front", "host.name": "one", "cores": 4}))
    values = {
        "text": "t",
        "whole": 7,
        "large": 2**60,
        "half": 0.5,
        "yes": True,
        "items": [1, "b"],
        "map": {"k": [True]},
    }
    root = _span("GET /", 1, 0, start, 100, **values)
    root.kind = Span.SPAN_KIND_SERVER
    root.trace_state = "vendor=x"
    call = _span("call", 2, 1, start, 80.1234567)
    call.kind = Span.SPAN_KIND_CLIENT
    call.status.code = Status.STATUS_CODE_OK
    call.links.add(trace_id=bytes.fromhex(OTHER), span_id=b"\7" * 8)
    found.scope_spans.add().spans.extend([root, call])
    return found


def _back(start: int) -> ResourceSpans:
    found = ResourceSpans()
    found.resource.attributes.extend(_attributes({"service.name": "back", "host.name": "two"}))
    scope = found.scope_spans.add()
    scope.scope.name, scope.scope.version = "library", "1.0"
    query = _span("query", 3, 2, start, 50, **{"db.system": "postgresql"})
    query.kind = Span.SPAN_KIND_CLIENT
    query.status.code, query.status.message = Status.STATUS_CODE_ERROR, "gone"
    query.events.add(
        name="exception",
        time_unix_nano=query.start_time_unix_nano + 5_000_000,
        attributes=_attributes({"exception.type": "E", "n": 1}),
    )
    lost = _span("lost", 4, 99, start, 1)
    lost.kind = Span.SPAN_KIND_INTERNAL
    scope.spans.extend([query, lost])
    return found


def request(at: datetime) -> ExportTraceServiceRequest:
    """Return two traces that begin at `at`."""
    start = round(at.timestamp()) * 1_000_000_000
    other = _span("GET /", 5, 0, start, 10)
    other.trace_id, other.kind = bytes.fromhex(OTHER), Span.SPAN_KIND_SERVER
    front, back = _front(start), _back(start)
    front.scope_spans[0].spans.append(other)
    return ExportTraceServiceRequest(resource_spans=[front, back])


def questions(at: datetime) -> dict[str, str]:
    """Return each question as it is written down and as it is asked."""
    since, until = at - timedelta(minutes=1), at + timedelta(minutes=1)
    time = "&".join(f"{name}={round(one.timestamp() * 1e6)}" for name, one in (("start", since), ("end", until)))
    end_ms = str(round(until.timestamp() * 1e3))
    return {written: written.replace("{time}", time).replace("{end_ms}", end_ms) for written in QUESTIONS}


def comparable(asked: str, answer: Any, at: datetime) -> Any:
    """Return an answer without what two right ones may differ in: order, words of errors, names of processes.

    Times count from `at`. Of traces that were searched for only the ids are left.
    """
    if asked.startswith("/api/traces?service") and answer["data"]:
        answer = {"data": [trace["traceID"].zfill(32) for trace in answer["data"]]}
    return _plain(answer, round(at.timestamp()))


def _plain(value: Any, start: int) -> Any:
    if isinstance(value, dict):
        return _plain_object(value, start)
    if isinstance(value, list):
        plain = [_plain(one, start) for one in value if not _is_warning(one)]
        return sorted(plain, key=lambda one: json.dumps(one, sort_keys=True))
    return value


def _is_warning(value: Any) -> bool:
    """Tell whether it is what Jaeger puts its warnings into in OTLP."""
    return isinstance(value, dict) and value.get("key") == "@jaeger@warnings"


def _plain_object(value: dict[str, Any], start: int) -> dict[str, Any]:
    plain = {key: _plain(one, start) for key, one in value.items()}
    found = {key: one for key, one in plain.items() if one not in (None, [], "", 0, {})}
    if "traceID" in found:
        found["traceID"] = found["traceID"].zfill(32)
    processes = found.pop("processes", None)
    if processes:
        found["spans"] = [{**span, "processID": processes[span["processID"]]} for span in found["spans"]]
    for key in found.keys() & {"startTime", "timestamp"}:
        found[key] -= start * 1_000_000
    for key in found.keys() & {"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"}:
        found[key] = int(found[key]) - start * 1_000_000_000
    told: dict[str, Callable[[Any], Any]] = {"warnings": bool, "msg": bool, "message": bool}
    return {key: told[key](one) if key in told else one for key, one in found.items()}


def _record(otlp: str, query: str) -> None:
    at = datetime.now(UTC)
    headers = {"content-type": "application/x-protobuf"}
    httpx.post(f"{otlp}/v1/traces", content=request(at).SerializeToString(), headers=headers).raise_for_status()
    answers: dict[str, Any] = {}
    for written, asked in questions(at).items():
        response = httpx.get(f"{query}{asked}")
        answers[written] = {"status": response.status_code, "answer": comparable(written, response.json(), at)}
    RECORDED.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _record(*sys.argv[1:3])
