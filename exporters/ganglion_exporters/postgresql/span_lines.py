"""One span as one line of COPY text: the mapping of docs/schema.md."""

from collections.abc import Mapping
from itertools import chain

from ganglion_collector.errors import PermanentError
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ganglion_exporters.postgresql.origins import LONGEST_NAME, Resource, Scope, short
from ganglion_exporters.postgresql.times import NANOSECONDS_PER_DAY, Clock, iso_time, timestamp
from ganglion_exporters.postgresql.values import JSON, NULL, json_text, keep, plain_map, text

__all__ = ["SPAN_COLUMNS", "span_line"]

SPAN_COLUMNS = (
    "start_time",
    "end_time",
    "duration_ms",
    "resource_id",
    "trace_id",
    "flags",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "service_name",
    "status",
    "status_message",
    "trace_state",
    "scope_name",
    "scope_version",
    "user_id",
    "session_id",
    "tenant_id",
    "request_id",
    "attributes",
    "events",
    "links",
    "scope",
)

# Where the columns user_id, session_id, tenant_id and request_id come from.
_IDENTITIES = (
    ("user.id", "user_id", "enduser.id"),
    ("session.id", "session_id"),
    ("tenant.id", "tenant_id"),
    ("request.id", "request_id"),
)
_IDENTITY_KEYS = frozenset(chain.from_iterable(_IDENTITIES))
_NO_IDENTITIES = "\t".join([NULL] * len(_IDENTITIES))
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")


def span_line(span: Span, resource: Resource, scope: Scope, clock: Clock, days: set[int]) -> str:
    """Return `span` as a line of COPY text in the order of SPAN_COLUMNS; its UTC day (since 1970) joins `days`.

    Raises:
        PermanentError: its trace id or span id is not 16 or 8 bytes, so that it could be stored twice.
    """
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        raise PermanentError("a span without a trace id of 16 bytes and a span id of 8 bytes")
    attributes = plain_map(span.attributes)
    times, start = _times(span, clock, attributes)
    days.add(start // NANOSECONDS_PER_DAY)
    _keep_the_rest(span, attributes)
    status = span.status
    code, message, trace_state = status.code, status.message, span.trace_state
    return (
        f"{times}\t{resource.id}\t{span.trace_id.hex()}\t{span.flags}\t{span.span_id.hex()}\t"
        f"{span.parent_span_id.hex() or NULL}\t{short(span.name)}\t{_name(_KINDS, span.kind)}\t"
        f"{resource.service_name}\t{_name(_STATUSES, code)}\t{text(message) if message else NULL}\t"
        f"{text(trace_state) if trace_state else NULL}\t{scope.name}\t{scope.version}\t{_identities(attributes)}\t"
        f"{json_text(attributes) if attributes else NULL}\t{_events(span) if span.events else NULL}\t"
        f"{_links(span) if span.links else NULL}\t{json_text(dict(scope.details)) if scope.details else NULL}\n"
    )


def _times(span: Span, clock: Clock, attributes: dict[str, JSON]) -> tuple[str, int]:
    """Return start, end and duration as COPY text, and the start.

    A start out of bounds becomes the time of receipt; an end that is not given, or not a time PostgreSQL and Python
    share, none. What was sent then stays in the attributes.
    """
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if clock.oldest <= start <= clock.newest:
        if start and end:
            return f"{timestamp(start)}\t{timestamp(end)}\t{(end - start) / 1_000_000}", start
        return f"{timestamp(start)}\t{timestamp(end) if end else NULL}\t{NULL}", start
    if start:
        keep(attributes, "otel.start_timestamp", iso_time(start))
    if end:
        keep(attributes, "otel.end_timestamp", iso_time(end))
    duration = (end - start) / 1_000_000 if start and end else NULL
    return f"{timestamp(clock.received)}\t{NULL}\t{duration}", clock.received


def _name(names: tuple[str, ...], code: int) -> str:
    return names[code] if 0 <= code < len(names) else str(code)


def _identities(attributes: Mapping[str, JSON]) -> str:
    if _IDENTITY_KEYS.isdisjoint(attributes):
        return _NO_IDENTITIES
    return "\t".join([_identity(attributes, keys) for keys in _IDENTITIES])


def _identity(attributes: Mapping[str, JSON], keys: tuple[str, ...]) -> str:
    for key in keys:
        if key not in attributes:
            continue
        value = attributes[key]
        if isinstance(value, str):
            return short(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return NULL


def _keep_the_rest(span: Span, attributes: dict[str, JSON]) -> None:
    """Put into the attributes what has no column, where it says something."""
    if len(span.name) > LONGEST_NAME:
        keep(attributes, "otel.name", span.name)
    if span.dropped_attributes_count:
        keep(attributes, "otel.dropped_attributes_count", span.dropped_attributes_count)
    if span.dropped_events_count:
        keep(attributes, "otel.dropped_events_count", span.dropped_events_count)
    if span.dropped_links_count:
        keep(attributes, "otel.dropped_links_count", span.dropped_links_count)


def _events(span: Span) -> str:
    return json_text([_event(event) for event in span.events])


def _event(event: Span.Event) -> dict[str, JSON]:
    result: dict[str, JSON] = {"name": event.name, "timestamp": iso_time(event.time_unix_nano)}
    if event.attributes:
        result["attributes"] = plain_map(event.attributes)
    if event.dropped_attributes_count:
        result["dropped_attributes_count"] = event.dropped_attributes_count
    return result


def _links(span: Span) -> str:
    return json_text([_link(link) for link in span.links])


def _link(link: Span.Link) -> dict[str, JSON]:
    result: dict[str, JSON] = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
    if link.trace_state:
        result["trace_state"] = link.trace_state
    if link.flags:
        result["flags"] = link.flags
    if link.attributes:
        result["attributes"] = plain_map(link.attributes)
    if link.dropped_attributes_count:
        result["dropped_attributes_count"] = link.dropped_attributes_count
    return result
