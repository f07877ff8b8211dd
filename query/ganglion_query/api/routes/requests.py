"""Requests: their list, one of them, one of its spans, and why it went as it did."""

from typing import Annotated

from fastapi import Query

from ganglion_query.answers import explanation, search, trace
from ganglion_query.answers.explanation import Explanation
from ganglion_query.answers.search import TracePage
from ganglion_query.answers.trace import SpanDetail, TraceAnswer
from ganglion_query.api.parameters import Asking, Cursor, Limit, SpanId, TraceId, Traces, listing
from ganglion_query.api.routing import answers, new_router

__all__ = ["router"]

router = new_router()

_Most = Annotated[int, Query(ge=1, le=50_000, description="At most so many spans, and so many logs.")]


@answers(router, "/traces")
def search_traces(reader: Asking, wanted: Traces, limit: Limit = 50, cursor: Cursor = None) -> TracePage:
    """List requests: by service, operation, user, duration, outcome, attributes."""
    with listing():
        return search.search_traces(reader, wanted, limit, cursor)


@answers(router, "/traces/{trace_id}")
def read_trace(reader: Asking, trace_id: TraceId, limit: _Most = 10_000) -> TraceAnswer:
    """Tell one request: its spans in tree order, its logs, its critical path, what it cost."""
    return trace.read_trace(reader, trace_id, limit)


@answers(router, "/traces/{trace_id}/spans/{span_id}")
def read_span(reader: Asking, trace_id: TraceId, span_id: SpanId) -> SpanDetail:
    """Tell all of one span: attributes, events, prompt and completion, logs."""
    return trace.read_span(reader, trace_id, span_id)


@answers(router, "/traces/{trace_id}/explanation")
def explain(reader: Asking, trace_id: TraceId) -> Explanation:
    """Say why this request was slow, or why it failed."""
    return explanation.explain(reader, trace_id)
