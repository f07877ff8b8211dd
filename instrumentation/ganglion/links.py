"""The trace a piece of code runs in, as a number to quote and as a page to open."""

from opentelemetry import trace

from ganglion._settings import current

__all__ = ["current_trace_id", "trace_url"]


def current_trace_id() -> str | None:
    """Return the current trace's id, 32 lower-case hex digits; None outside of any trace."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def trace_url(trace_id: str | None = None) -> str | None:
    """Return the address of a trace's page, by default the current trace's; None outside of any trace.

    It begins with GANGLION_URL (default http://localhost:8484).
    """
    found = trace_id or current_trace_id()
    return f"{current().url.rstrip('/')}/debug/trace/{found}" if found else None
