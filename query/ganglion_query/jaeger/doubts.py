"""What cannot be right about the times and parents of spans: the warnings that clients of Jaeger show at a span."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["doubts"]

# By which two processes share a clock, the surest first.
_HOST_KEYS = ("host.id", "host.ip", "host.name", "k8s.node.name")


def doubts(spans: Sequence[StoredSpan], resources: Mapping[int, Mapping[str, Any]]) -> dict[int, list[str]]:
    """Return warnings by the position of the span they are about."""
    known = {span.span_id: span for span in spans}
    hosts = {id_: _host(attributes) for id_, attributes in resources.items()}
    found = {position: list(_of_span(span, known, hosts)) for position, span in enumerate(spans)}
    return {position: warnings for position, warnings in found.items() if warnings}


def _of_span(span: StoredSpan, known: Mapping[str, StoredSpan], hosts: Mapping[int, str]) -> Iterator[str]:
    if span.duration_ms is None:
        yield "this span has no end: it still ran when it was sent, or its process ended before it"
    elif span.duration_ms < 0:
        yield f"this span ends {-span.duration_ms:g} ms before it starts"
    if not span.parent_span_id:
        return
    parent = known.get(span.parent_span_id)
    if parent is None:
        yield f"the parent span {span.parent_span_id} is not here: not sent, not sampled, or not stored yet"
        return
    early = parent.start_time - span.start_time
    if early > timedelta(0) and not _one_clock(span, parent, hosts):
        milliseconds = early / timedelta(milliseconds=1)
        yield f"this span starts {milliseconds:g} ms before its parent on another host: their clocks differ"


def _one_clock(span: StoredSpan, parent: StoredSpan, hosts: Mapping[int, str]) -> bool:
    host = hosts.get(span.resource_id, "")
    return span.resource_id == parent.resource_id or (bool(host) and host == hosts.get(parent.resource_id))


def _host(attributes: Mapping[str, Any]) -> str:
    return next((f"{key}={attributes[key]}" for key in _HOST_KEYS if attributes.get(key)), "")
