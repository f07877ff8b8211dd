"""What a span's resource, scope, links and place in OpenTelemetry say, as metadata."""

from collections.abc import Iterable
from functools import lru_cache

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ganglion_exporters._langsmith._values import JSON, Object, plain_map

__all__ = ["origin_of", "resource_metadata", "scope_metadata"]

_MOST_LINKS = 100
_LARGEST_KEPT = 1 << 14

_KINDS = {
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}


def resource_metadata(resource: Resource) -> Object:
    """Return a resource's attributes under their names; not to be changed, since they are shared."""
    encoded = resource.SerializeToString()
    return _resource(encoded) if len(encoded) <= _LARGEST_KEPT else plain_map(resource.attributes)


def scope_metadata(scope: InstrumentationScope) -> Object:
    named: Object = {"otel.scope.name": scope.name} if scope.name else {}
    return {**named, "otel.scope.version": scope.version} if scope.version else named


def origin_of(span: Span) -> Object:
    """Return ids, kind, trace state and links; LangSmith's own collector proxy names the ids so."""
    origin: Object = {"OTEL_TRACE_ID": span.trace_id.hex(), "OTEL_SPAN_ID": span.span_id.hex()}
    if span.kind in _KINDS:
        origin["otel.span.kind"] = _KINDS[span.kind]
    if span.trace_state:
        origin["otel.trace_state"] = span.trace_state
    if span.links:
        origin["otel.links"] = [_link(link) for link in _first(span.links)]
    if span.dropped_attributes_count:
        origin["otel.dropped_attributes_count"] = span.dropped_attributes_count
    if span.dropped_events_count:
        origin["otel.dropped_events_count"] = span.dropped_events_count
    return origin


def _first(links: Iterable[Span.Link]) -> Iterable[Span.Link]:
    return (link for _, link in zip(range(_MOST_LINKS), links, strict=False))


def _link(link: Span.Link) -> JSON:
    ids: Object = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
    return {**ids, "attributes": plain_map(link.attributes)} if link.attributes else ids


@lru_cache(maxsize=256)
def _resource(encoded: bytes) -> Object:
    return plain_map(Resource.FromString(encoded).attributes)
