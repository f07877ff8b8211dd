"""Requests whose every record is told apart, and senders that repeat one until it is acknowledged, as SDKs do."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import grpc
import grpc.aio
from ganglion_collector.otlp import Signal
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

__all__ = ["ID", "POINTS", "SERVICES", "Send", "grpc_send", "http_send", "request"]

ID = "fault.id"
"""The attribute by which records are told apart."""
POINTS = "fault.points"
"""The metric that is sent: a delta of 1 in each data point."""
SERVICES = {
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""Of the codes that a client repeats a request for (OTLP, "Failures"), those of a connection that ends."""

Send = Callable[[bytes], Awaitable[bool]]
"""Send a request once; True if it was acknowledged."""


def request(signal: Signal, sender: str, ids: Sequence[str]) -> bytes:
    """Encode a record for each of `ids`, sent now; those of one sender come one request after the other."""
    resource, now = Resource(), time.time_ns()
    resource.attributes.add(key="service.name").value.string_value = "fault test"
    match signal:
        case Signal.LOGS:
            return _logs(resource, ids, now)
        case Signal.TRACES:
            return _spans(resource, ids, now)
        case Signal.METRICS:
            return _points(resource, sender, len(ids), now)


def _logs(resource: Resource, ids: Sequence[str], now: int) -> bytes:
    logs = ExportLogsServiceRequest()
    records = logs.resource_logs.add(resource=resource).scope_logs.add().log_records
    for name in ids:
        record = records.add(time_unix_nano=now, trace_id=random.randbytes(16))
        record.body.string_value = "fault test"
        record.attributes.add(key=ID).value.string_value = name
    return logs.SerializeToString()


def _spans(resource: Resource, ids: Sequence[str], now: int) -> bytes:
    traces = ExportTraceServiceRequest()
    spans = traces.resource_spans.add(resource=resource).scope_spans.add().spans
    for place, name in enumerate(ids):
        span = spans.add(trace_id=random.randbytes(16), span_id=random.randbytes(8), name=f"fault test {place}")
        span.start_time_unix_nano, span.end_time_unix_nano = now, now + place * 1_000_000
        span.attributes.add(key=ID).value.string_value = name
    return traces.SerializeToString()


def _points(resource: Resource, sender: str, count: int, now: int) -> bytes:
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add(resource=resource).scope_metrics.add().metrics.add(name=POINTS)
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
    for place in range(count):
        point = metric.sum.data_points.add(as_int=1, time_unix_nano=now)
        point.attributes.add(key="sender").value.string_value = sender
        point.attributes.add(key="place").value.int_value = place
    return metrics.SerializeToString()


def grpc_send(channel: grpc.aio.Channel, signal: Signal) -> Send:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SERVICES[signal])

    async def send(payload: bytes) -> bool:
        try:
            await call(payload, timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() in _RETRYABLE:
                return False
            raise
        return True

    return send


def http_send(address: str, signal: Signal) -> Send:
    host, _, port = address.rpartition(":")
    head = f"POST /v1/{signal} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-protobuf"

    async def exchange(payload: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"{head}\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
            return await reader.readuntil(b"\r\n")
        finally:
            writer.close()

    async def send(payload: bytes) -> bool:
        try:
            # Not `wait_for`: that may forget that it was cancelled (Python 3.11), and the sender would never end.
            async with asyncio.timeout(10):
                line = await exchange(payload)
        except (OSError, EOFError, TimeoutError):
            return False
        status = int(line.split()[1])
        if status not in {200, 429, 502, 503, 504}:
            raise RuntimeError(f"the collector answered {status}")
        return status == 200

    return send
