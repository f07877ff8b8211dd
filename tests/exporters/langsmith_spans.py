"""OTLP of traces as services send it, for the LangSmith exporter."""

import time
from collections.abc import Sequence
from typing import Any

from ganglion_collector.component import Batch, Signal
from ganglion_collector.testing import make_batch
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.exporters.langsmith_runs import span_id, trace_id

__all__ = ["log_batch", "request", "trace_batch"]


def request(
    *traces: int, spans: Sequence[int] = (0, 1, 2), start: int | None = None, **attributes: str
) -> ExportTraceServiceRequest:
    """Return spans of these traces: number 0 is the root, "span 0", the others are its children."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "answers"
    scope = resource.scope_spans.add()
    first = time.time_ns() - 10**9 if start is None else start
    for trace in traces:
        for number in spans:
            span: Any = scope.spans.add(
                trace_id=trace_id(trace),
                span_id=span_id(number),
                parent_span_id=b"" if number == 0 else span_id(0),
                name=f"span {number}",
                start_time_unix_nano=first + number * 1_000_000,
                end_time_unix_nano=first + number * 1_000_000 + 500_000,
            )
            given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"} if number else {}
            for key, text in {**given, **attributes}.items():
                span.attributes.add(key=key).value.string_value = text
    return made


def trace_batch(*requests: ExportTraceServiceRequest, first: int = 1) -> Batch:
    return make_batch(*requests, signal=Signal.TRACES, first=first, reader="traces/langsmith")


def log_batch(trace: int, number: int, *bodies: str, first: int = 1) -> Batch:
    """Return log records of one span."""
    made = ExportLogsServiceRequest()
    records = made.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        record = records.add(
            trace_id=trace_id(trace), span_id=span_id(number), time_unix_nano=time.time_ns(), severity_text="INFO"
        )
        record.body.string_value = body
    return make_batch(made, signal=Signal.LOGS, first=first, reader="logs/langsmith")
