"""What is stored of a trace, and which of our logs belong to which of its spans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ganglion_query.model import LogRow
from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["Rows", "SpanLog", "attributes_of", "logs_by_span", "microseconds", "moment_of", "nanoseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """What is stored of one trace: spans and logs in time order, attributes of resources by their id.

    `notes` say what is not here.
    """

    trace_id: str
    spans: Sequence[StoredSpan]
    resources: Mapping[int, Mapping[str, Any]]
    logs: Sequence[LogRow] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SpanLog:
    """One of our logs, in µs; `fields` begin with what a person reads first."""

    timestamp: int
    fields: Mapping[str, Any]


def microseconds(time: datetime) -> int:
    """Return Unix time in µs."""
    return (time - _EPOCH) // _MICROSECOND


def nanoseconds(span: StoredSpan) -> int:
    """Return how long a span took, 0 for one without an end or with one before its start."""
    return max(0, round((span.duration_ms or 0) * 1_000_000))


def moment_of(event: Mapping[str, Any]) -> int:
    """Return when a stored event of a span was, in µs."""
    return microseconds(datetime.fromisoformat(str(event["timestamp"])))


def attributes_of(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of a stored event or link."""
    attributes: Mapping[str, Any] | None = stored.get("attributes")
    return attributes or {}


def logs_by_span(rows: Rows) -> dict[str, list[SpanLog]]:
    """Return our logs by the span that they were written in, those of none that is here by the earliest span."""
    known = {span.span_id: span.service_name for span in rows.spans}
    first = rows.spans[0].span_id if rows.spans else ""
    found: dict[str, list[SpanLog]] = {}
    for row in rows.logs:
        span_id = row.span_id if row.span_id is not None and row.span_id in known else first
        found.setdefault(span_id, []).append(SpanLog(microseconds(row.timestamp), _fields(row, known.get(span_id))))
    return found


def _fields(row: LogRow, service: str | None) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        "event": "log",
        "level": row.level,
        "message": row.message,
        "error": row.error,
        "stack": row.stack_trace,
        "logger": row.logger,
        "service.name": row.service_name if row.service_name != service else None,
    }
    fields = {key: value for key, value in told.items() if value is not None}
    rest = {**row.context, **row.metrics}
    return fields | {key: rest[key] for key in sorted(rest) if key not in fields}
