"""Rows of the reader as tests need them: of one trace, times in milliseconds after its start."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ganglion_query.model import LogRow, SpanRow, Trace
from ganglion_query.time_axis import Axis, lay_out
from ganglion_query.tree import grow

__all__ = ["ID", "START", "axis_of", "log_row", "span_row", "trace_of"]

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def span_row(id_: str, parent: str | None = None, at: float = 0, ms: float | None = 10, **fields: Any) -> SpanRow:
    """Return a span; without `ms` it has no end."""
    start = START + timedelta(milliseconds=at)
    values: dict[str, Any] = {
        **dict.fromkeys(SpanRow.__dataclass_fields__),
        "trace_id": ID,
        "span_id": id_,
        "parent_span_id": parent,
        "name": id_,
        "kind": "INTERNAL",
        "service_name": "shop",
        "start_time": start,
        "end_time": None if ms is None else start + timedelta(milliseconds=ms),
        "duration_ms": ms,
        "status": "UNSET",
        "attributes": {},
        "events": [],
        "links": [],
        "resource": {},
    }
    return SpanRow(**{**values, **fields})


def log_row(message: str, span_id: str | None = None, at: float = 0, **fields: Any) -> LogRow:
    values: dict[str, Any] = {
        **dict.fromkeys(LogRow.__dataclass_fields__),
        "timestamp": START + timedelta(milliseconds=at),
        "level": "INFO",
        "message": message,
        "trace_id": ID,
        "span_id": span_id,
        "service_name": "shop",
        "context": {},
        "metrics": {},
    }
    return LogRow(**{**values, **fields})


def trace_of(*rows: SpanRow | LogRow) -> Trace:
    spans = sorted((row for row in rows if isinstance(row, SpanRow)), key=lambda span: span.start_time)
    logs = sorted((row for row in rows if isinstance(row, LogRow)), key=lambda log: log.timestamp)
    return Trace(ID, spans, logs, truncated=False)


def axis_of(*rows: SpanRow | LogRow) -> Axis:
    return lay_out(grow(trace_of(*rows)))
