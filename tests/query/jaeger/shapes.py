# ruff: noqa: N815 (names as they are sent)
"""The fields that clients of Jaeger read, with the types they insist on.

Grafana decodes into Go's types: a number with a fraction for an integer, or a string for a number, is an error there;
null is the empty list. Jaeger's page checks version 3 with zod and takes the rest as its TypeScript says.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

__all__ = ["SHAPES", "check"]


class _Read(BaseModel):
    """Unknown fields are left alone, as JSON decoders do; a type is never bent."""

    model_config = ConfigDict(strict=True)


_Hex32 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
_Hex16 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]
_Digits = Annotated[str, StringConstraints(pattern=r"^\d+$")]
_Count = Annotated[int, Field(ge=0)]


class KeyValue(_Read):
    key: str
    type: Literal["string", "bool", "int64", "float64", "binary"]
    value: str | bool | int | float


class Reference(_Read):
    refType: Literal["CHILD_OF", "FOLLOWS_FROM"]
    traceID: _Hex32
    spanID: _Hex16


class SpanLog(_Read):
    timestamp: _Count
    fields: list[KeyValue]


class Process(_Read):
    serviceName: str
    tags: list[KeyValue]


class Span(_Read):
    traceID: _Hex32
    spanID: _Hex16
    processID: str
    operationName: str
    startTime: _Count
    duration: _Count
    logs: list[SpanLog]
    references: list[Reference]
    tags: list[KeyValue]
    warnings: list[str] | None
    flags: int = 0


class Trace(_Read):
    traceID: _Hex32
    spans: list[Span] = Field(min_length=1)
    processes: dict[str, Process]
    warnings: list[str] | None


class Dependency(_Read):
    parent: str
    child: str
    callCount: _Count


class TraceError(_Read):
    msg: str
    traceID: str


class Named(_Read):
    name: str
    spanKind: str


class GrafanaNames(_Read):
    data: list[str]
    total: int
    limit: int
    offset: int


class GrafanaTraces(_Read):
    data: list[Trace]
    total: int
    limit: int
    offset: int


class GrafanaDependencies(_Read):
    data: list[Dependency]
    errors: None


class PageTraces(_Read):
    data: list[Trace]
    errors: list[TraceError] | None


class PageOperations(_Read):
    data: list[Named]


class PageDependencies(_Read):
    data: list[Dependency]


class V3Services(_Read):
    services: list[str]


class V3Operations(_Read):
    operations: list[Named]


class ServiceSummary(_Read):
    name: str
    spanCount: _Count
    errorSpanCount: _Count


class Summary(_Read):
    traceId: _Hex32
    rootServiceName: str
    rootOperationName: str
    minStartTimeUnixNano: _Digits
    maxEndTimeUnixNano: _Digits
    spanCount: _Count
    errorSpanCount: _Count
    orphanSpanCount: _Count
    services: list[ServiceSummary]


class V3Summaries(_Read):
    summaries: list[Summary]


class AnyValue(_Read):
    stringValue: str = ""
    boolValue: bool = False
    intValue: str = "0"
    doubleValue: float = 0.0
    arrayValue: dict[str, Any] = {}
    kvlistValue: dict[str, Any] = {}


class OTLPKeyValue(_Read):
    key: str
    value: AnyValue


class OTLPEvent(_Read):
    timeUnixNano: _Digits
    name: str
    attributes: list[OTLPKeyValue] = []


class OTLPLink(_Read):
    traceId: _Hex32
    spanId: _Hex16
    attributes: list[OTLPKeyValue] = []


class OTLPStatus(_Read):
    code: int = 0
    message: str = ""


class OTLPSpan(_Read):
    traceId: _Hex32
    spanId: _Hex16
    parentSpanId: str = ""
    name: str
    kind: int = 0
    startTimeUnixNano: _Digits
    endTimeUnixNano: _Digits
    attributes: list[OTLPKeyValue] = []
    events: list[OTLPEvent] = []
    links: list[OTLPLink] = []
    status: OTLPStatus


class ScopeSpans(_Read):
    scope: dict[str, str]
    spans: list[OTLPSpan] = Field(min_length=1)


class Resource(_Read):
    attributes: list[OTLPKeyValue]


class ResourceSpans(_Read):
    resource: Resource
    scopeSpans: list[ScopeSpans]


class V3Result(_Read):
    resourceSpans: list[ResourceSpans] = Field(min_length=1)


class V3Trace(_Read):
    result: V3Result


_Shape: TypeAlias = type[_Read]

SHAPES: dict[str, _Shape] = {
    "grafana_names": GrafanaNames,
    "grafana_traces": GrafanaTraces,
    "grafana_dependencies": GrafanaDependencies,
    "page_traces": PageTraces,
    "page_operations": PageOperations,
    "page_dependencies": PageDependencies,
    "v3_services": V3Services,
    "v3_operations": V3Operations,
    "v3_summaries": V3Summaries,
    "v3_trace": V3Trace,
}


def check(shape: str, body: bytes) -> Any:
    """Return what a client has after reading `body`; a ValidationError is what it could not read."""
    return TypeAdapter(SHAPES[shape]).validate_json(body)
