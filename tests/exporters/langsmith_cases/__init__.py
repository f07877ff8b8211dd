"""Spans of every convention, and what their runs say: one module for each convention, one case for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.exporters.batches import key_values

START = 1_795_187_488_441_948_928
TRACE_ID = bytes.fromhex("d1a2515cf141d84290745fc1bb483b54")
SPAN_ID = bytes.fromhex("00d948886c0ebd6d")


@dataclass(frozen=True)
class Case:
    """`expected` is by field of the draft, or by `field:key` for one key of it; None: the key is not there."""

    name: str
    attributes: Mapping[str, Any]
    expected: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    status: "Status.StatusCode.ValueType" = Status.STATUS_CODE_UNSET
    message: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)


def span_of(attributes: Mapping[str, Any], **fields: Any) -> Span:
    given: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "a span",
        "kind": Span.SPAN_KIND_INTERNAL,
        "start_time_unix_nano": START,
        "end_time_unix_nano": START + 1_000_000,
        "attributes": key_values(attributes),
    }
    return Span(**{**given, **fields})


def span_of_case(case: Case) -> Span:
    events = [
        Span.Event(name=name, time_unix_nano=START + 1000 * (number + 1), attributes=key_values(values))
        for number, (name, values) in enumerate(case.events)
    ]
    return span_of(case.attributes, events=events, status=Status(code=case.status, message=case.message))


def resource_of(attributes: Mapping[str, Any]) -> Resource:
    return Resource(attributes=key_values(attributes))


def scope(name: str = "", version: str = "") -> InstrumentationScope:
    return InstrumentationScope(name=name, version=version)
