"""Log records of a span as events of its run, or as its messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from ganglion_exporters._langsmith._cuts import cut_text
from ganglion_exporters._langsmith._span_events import MESSAGE_LOGS, read_message_logs
from ganglion_exporters._langsmith._values import Object, plain, plain_map, text_of, timestamp
from ganglion_exporters._langsmith.ids import span_key
from ganglion_exporters._langsmith.model import Draft

__all__ = ["MOST_BYTES", "MOST_EVENTS", "has_messages", "log_event", "with_logs"]

MOST_EVENTS = 100
"""Log records in one run."""
MOST_BYTES = 256 * 1024
"""Bytes of JSON that the log records of one run take."""
_LONGEST_MESSAGE = 8192


def with_logs(draft: Draft, logs: Mapping[bytes, Sequence[bytes]]) -> Draft:
    """Return `draft` with the log records of its span, serialized `LogRecord`s by span key, in the order of time.

    How many were left out, since they are too many or too large, stands in the metadata.
    """
    found = [LogRecord.FromString(payload) for payload in logs.get(span_key(draft.span_id), ())]
    if not found:
        return draft
    if messages := [log for log in found if has_messages(log)]:
        found = [log for log in found if not has_messages(log)]
        draft = _with_messages(draft, messages)
    events, size = list[dict[str, Any]](), 0
    for log in found[:MOST_EVENTS]:
        event = log_event(log)
        size += len(orjson.dumps(event, default=str))
        if size > MOST_BYTES:
            break
        events.append(event)
    metadata = draft.metadata
    if left_out := len(found) - len(events):
        metadata = {**metadata, "ganglion.left_out_logs": left_out}
    merged = sorted([*draft.events, *events], key=lambda event: str(event.get("time", "")))
    return replace(draft, events=merged, metadata=metadata)


def has_messages(log: LogRecord) -> bool:
    """Tell whether a log record holds what was said to a model, or its answer."""
    return _name(log) in MESSAGE_LOGS


def _with_messages(draft: Draft, logs: Iterable[LogRecord]) -> Draft:
    """Return `draft` with inputs and outputs of logs, where the span has none itself."""
    facts = read_message_logs((_name(log), _said(log)) for log in logs)
    has_outputs = draft.outputs.keys() - {"usage_metadata"}
    outputs = draft.outputs if has_outputs else {**facts.outputs, **draft.outputs}
    return replace(draft, inputs=draft.inputs or facts.inputs, outputs=outputs, is_llm=True)


def _said(log: LogRecord) -> Object:
    body = plain(log.body)
    told: Object = body if isinstance(body, dict) else {"content": body} if body else {}
    return {**plain_map(log.attributes), **told}


def _name(log: LogRecord) -> str:
    if log.event_name:
        return log.event_name
    named = (attribute.value.string_value for attribute in log.attributes if attribute.key == "event.name")
    return next(named, "")


def log_event(log: LogRecord) -> dict[str, Any]:
    """Return one log record as LangSmith keeps events: name, time, and what else is said."""
    told = {
        "severity": log.severity_text or (log.severity_number and str(log.severity_number)),
        "message": cut_text(text_of(plain(log.body)), _LONGEST_MESSAGE),
        "attributes": plain_map(log.attributes),
    }
    name = _name(log) or "log"
    return {
        "name": "log" if name == "new_token" else name,  # LangSmith reads the first token's time from such an event
        "time": timestamp(log.time_unix_nano or log.observed_time_unix_nano),
        "kwargs": {key: value for key, value in told.items() if value},
    }
