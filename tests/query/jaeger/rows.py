"""Stored rows made up for tests of pure functions."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ganglion_query.model import LogRow
from ganglion_query.reader.jaeger import StoredSpan

__all__ = ["AT", "log_row", "stored"]

AT = datetime(2026, 1, 31, 15, 0, 0, 123456, UTC)

_SPAN = StoredSpan(
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    span_id="0000000000000001",
    parent_span_id=None,
    flags=0,
    trace_state=None,
    name="GET /",
    kind="UNSPECIFIED",
    service_name="shop",
    start_time=AT,
    end_time=AT,
    duration_ms=1.5,
    status="UNSET",
    status_message=None,
    attributes={},
    events=[],
    links=[],
    scope_name=None,
    scope_version=None,
    scope={},
    resource_id=1,
)
_LOG = LogRow(
    timestamp=AT,
    level="INFO",
    logger=None,
    message="paid",
    trace_id=_SPAN.trace_id,
    span_id=_SPAN.span_id,
    parent_span_id=None,
    request_id=None,
    user_id=None,
    session_id=None,
    tenant_id=None,
    context={},
    metrics={},
    duration_ms=None,
    cost_usd=None,
    error=None,
    stack_trace=None,
    environment=None,
    version=None,
    host=None,
    service_name="shop",
)


def stored(**fields: Any) -> StoredSpan:
    return replace(_SPAN, **fields)


def log_row(**fields: Any) -> LogRow:
    return replace(_LOG, **fields)
