"""Log records of a span as events of its run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from ganglion_exporters._langsmith._cuts import cut_text
from ganglion_exporters._langsmith._values import plain, plain_map, text_of, timestamp
from ganglion_exporters._langsmith.ids import span_key
from ganglion_exporters._langsmith.model import Draft

__all__ = ["MOST_BYTES", "MOST_EVENTS", "log_event", "with_logs"]

MOST_EVENTS = 100
"""Log records in one run."""
MOST_BYTES = 256 * 1024
"""Bytes of JSON that the log records of one run take."""
_LONGEST_MESSAGE = 8192


def with_logs(draft: Draft, logs: Mapping[bytes, Sequence[bytes]]) -> Draft:
    """Return `draft` with the log records of its span, serialized `LogRecord`s by span key, in the order of time.

    How many were left out, since they are too many or too large, stands in the metadata.
    """
    found = logs.get(span_key(draft.span_id), ())
    if not found:
        return draft
    events, size = list[dict[str, Any]](), 0
    for payload in found[:MOST_EVENTS]:
        event = log_event(LogRecord.FromString(payload))
        size += len(orjson.dumps(event, default=str))
        if size > MOST_BYTES:
            break
        events.append(event)
    metadata = draft.metadata
    if left_out := len(found) - len(events):
        metadata = {**metadata, "ganglion.left_out_logs": left_out}
    merged = sorted([*draft.events, *events], key=lambda event: str(event.get("time", "")))
    return replace(draft, events=merged, metadata=metadata)


def log_event(log: LogRecord) -> dict[str, Any]:
    """Return one log record as LangSmith keeps events: name, time, and what else is said."""
    told = {
        "severity": log.severity_text or (log.severity_number and str(log.severity_number)),
        "message": cut_text(text_of(plain(log.body)), _LONGEST_MESSAGE),
        "attributes": plain_map(log.attributes),
    }
    name = log.event_name or "log"
    return {
        "name": "log" if name == "new_token" else name,  # LangSmith reads the first token's time from such an event
        "time": timestamp(log.time_unix_nano or log.observed_time_unix_nano),
        "kwargs": {key: value for key, value in told.items() if value},
    }
