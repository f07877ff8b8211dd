"""Log records of a span as events of its run."""

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from ganglion_exporters._langsmith._values import plain, plain_map, text_of, timestamp

__all__ = ["log_events"]

_MOST = 100
_MOST_BYTES = 256 * 1024
_LONGEST_BODY = 4000


def log_events(records: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield an event for each `LogRecord`, in their order, at most 100; a last one says how many were left out."""
    size, taken, left = 0, 0, 0
    for content in records:
        size += len(content)
        if taken == _MOST or size > _MOST_BYTES:
            left += 1
            continue
        taken += 1
        yield _event(LogRecord.FromString(content))
    if left:
        yield {"name": "log", "message": f"{left} more log records are not shown here"}


def _event(record: LogRecord) -> dict[str, Any]:
    body = text_of(plain(record.body))
    level = record.severity_text or SeverityNumber.Name(record.severity_number).rpartition("SEVERITY_NUMBER_")[2]
    return {
        "name": "log",
        "time": timestamp(record.time_unix_nano or record.observed_time_unix_nano),
        "level": level,
        "message": body if len(body) <= _LONGEST_BODY else f"{body[:_LONGEST_BODY]}…",
        "attributes": plain_map(record.attributes),
    }
