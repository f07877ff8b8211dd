"""The conversion seam: from the bytes of an OTLP request to the bytes of a COPY, and nothing else.

    payload ──▶ logs_to_copy / spans_to_copy ──▶ Rows: COPY text, the days and the resources it needs

Pure functions: a compiled version may take their place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ganglion_collector.component import Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ganglion_exporters.postgresql.log_lines import LOG_COLUMNS, log_line
from ganglion_exporters.postgresql.origins import Resource, Scope, read_resource, read_scope
from ganglion_exporters.postgresql.span_lines import SPAN_COLUMNS, span_line
from ganglion_exporters.postgresql.times import Clock

__all__ = ["CHUNK_ROWS", "TABLES", "Clock", "Resource", "Rows", "Table", "logs_to_copy", "spans_to_copy"]

CHUNK_ROWS = 512
"""Rows converted at a time: PostgreSQL takes one chunk in while Python converts the next."""
CHUNK_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows in COPY's text format, encoding UTF-8; `days` are UTC days since 1970, `resources` are by id."""

    data: bytes
    count: int
    days: frozenset[int]
    resources: Mapping[int, Resource]


@dataclass(slots=True)
class _Chunk:
    lines: list[str] = field(default_factory=list[str])
    days: set[int] = field(default_factory=set[int])
    resources: dict[int, Resource] = field(default_factory=dict[int, Resource])
    characters: int = 0

    def is_full(self, line: str) -> bool:
        self.characters += len(line)
        return len(self.lines) >= CHUNK_ROWS or self.characters >= CHUNK_CHARACTERS

    def rows(self) -> Rows:
        data = "".join(self.lines).encode()
        return Rows(data, len(self.lines), frozenset(self.days), self.resources)


_Line: TypeAlias = Callable[[Any, Resource, Scope, Clock, set[int]], str]
_Part: TypeAlias = tuple[Resource, Scope, Iterable[Any]]


def logs_to_copy(payload: bytes, clock: Clock) -> Iterator[Rows]:
    """Convert an `ExportLogsServiceRequest`; the columns are LOG_COLUMNS, the rows in wire order."""
    return _to_copy(_log_parts(payload), log_line, clock)


def spans_to_copy(payload: bytes, clock: Clock) -> Iterator[Rows]:
    """Convert an `ExportTraceServiceRequest`; the columns are SPAN_COLUMNS, the rows in wire order.

    Raises:
        PermanentError: a span has no valid ids.
    """
    return _to_copy(_span_parts(payload), span_line, clock)


def _log_parts(payload: bytes) -> Iterator[_Part]:
    for group in ExportLogsServiceRequest.FromString(payload).resource_logs:
        resource = read_resource(group.resource.SerializeToString(deterministic=True), group.schema_url)
        for items in group.scope_logs:
            yield resource, read_scope(items.scope.SerializeToString(), items.schema_url), items.log_records


def _span_parts(payload: bytes) -> Iterator[_Part]:
    for group in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = read_resource(group.resource.SerializeToString(deterministic=True), group.schema_url)
        for items in group.scope_spans:
            yield resource, read_scope(items.scope.SerializeToString(), items.schema_url), items.spans


def _to_copy(parts: Iterator[_Part], line_of: _Line, clock: Clock) -> Iterator[Rows]:
    chunk = _Chunk()
    for resource, scope, items in parts:
        origin = scope
        for item in items:
            line = line_of(item, resource, origin, clock, chunk.days)
            chunk.lines.append(line)
            chunk.resources[resource.id] = resource
            if origin.bulky:
                origin = origin.brief()
            if chunk.is_full(line):
                yield chunk.rows()
                chunk = _Chunk()
    if chunk.lines:
        yield chunk.rows()


@dataclass(frozen=True, slots=True)
class Table:
    """Where the items of a signal go; `key` is the unique key by which a row is known to be stored, if there is one."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    time: str
    convert: Callable[[bytes, Clock], Iterator[Rows]]


TABLES = {
    Signal.LOGS: Table("logs", LOG_COLUMNS, (), "timestamp", logs_to_copy),
    Signal.TRACES: Table("spans", SPAN_COLUMNS, ("trace_id", "span_id", "start_time"), "start_time", spans_to_copy),
}
