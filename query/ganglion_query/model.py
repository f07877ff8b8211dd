"""What the database tells: logs, spans, traces, errors."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ganglion_collector.errors import CollectorError

__all__ = [
    "LEVELS",
    "Condition",
    "ErrorRow",
    "LogFilter",
    "LogRow",
    "NotFoundError",
    "Operator",
    "SpanRow",
    "Spent",
    "Trace",
    "parse_trace_id",
]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""Of a log, from the least to the most serious."""

_TRACE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotFoundError(CollectorError):
    """Nothing is stored under that id; the message says so in one line."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log; `trace_id` is 32 lower-case hex digits, `timestamp` aware, `duration_ms` milliseconds."""

    timestamp: datetime
    level: str | None
    logger: str | None
    message: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    request_id: str | None
    user_id: str | None
    session_id: str | None
    tenant_id: str | None
    context: Mapping[str, Any]
    metrics: Mapping[str, Any]
    duration_ms: float | None
    cost_usd: float | None
    error: str | None
    stack_trace: str | None
    environment: str | None
    version: str | None
    host: str | None
    service_name: str | None


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars; `is_computed`: nobody said so, it is by list prices, those of `table_date` (ISO 8601)."""

    usd: float
    is_computed: bool
    table_date: str | None = None


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span; `resource` are the attributes of what sent it, `duration_ms` milliseconds."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str | None
    kind: str | None
    service_name: str | None
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    status: str | None
    status_message: str | None
    attributes: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, Any]]
    user_id: str | None
    session_id: str | None
    tenant_id: str | None
    request_id: str | None
    scope_name: str | None
    scope_version: str | None
    resource: Mapping[str, Any]
    cost: Spent | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """All of one trace, each list in time order; `truncated` if there is more than the limit asked for.

    `cost` is that of all models called, None if nothing of it is known; `langsmith_url` is there if it was asked for.
    """

    trace_id: str
    spans: Sequence[SpanRow]
    logs: Sequence[LogRow]
    truncated: bool
    cost: Spent | None = None
    langsmith_url: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One error: a log from ERROR on, or a failed span none of whose logs says so (`kind`: `log` or `span`).

    `root_name` is the request in which it was, by its root span, `http_status` what that was answered with.
    `message` and `error` are whole up to 8,192 characters.
    """

    timestamp: datetime
    kind: str
    level: str | None
    service_name: str | None
    user_id: str | None
    trace_id: str | None
    span_id: str | None
    source: str | None
    message: str | None
    error: str | None
    root_name: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs; None is all.

    `level` means at least; `search` as in a web search: words, "phrases", or, -not; all `conditions` must hold.
    """

    user: str | None = None
    tenant: str | None = None
    service: str | None = None
    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    session: str | None = None
    request: str | None = None
    trace: str | None = None
    logger: str | None = None
    conditions: Sequence["Condition"] = ()


Operator = Literal["=", "!=", ">", ">=", "<", "<=", "~"]


@dataclass(frozen=True, slots=True)
class Condition:
    """An attribute and what it must be; `~` contains.

    `key` may begin with context., metrics., attributes. or resource., which says where the attribute is; without, it
    is looked for wherever a log or span may have it.
    """

    key: str
    operator: Operator
    value: str


def parse_trace_id(text: str) -> str:
    """Return a trace id as 32 lower-case hex digits, from that or the hyphenated form in any case.

    Raises:
        ValueError: it is neither, or all zeros (W3C Trace Context: not a valid id).
    """
    lowered = text.strip().lower()
    digits = lowered.replace("-", "")
    if not _TRACE_ID.fullmatch(lowered) or not digits.strip("0"):
        raise ValueError(f"{text!r} is not a trace id: 32 hexadecimal digits, with or without hyphens")
    return digits
