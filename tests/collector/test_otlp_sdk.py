"""The OpenTelemetry SDK's own exporters, and what is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.errors import RefusedError
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from prometheus_client import REGISTRY

from tests.collector.otlp_requests import PAYLOADS, SPAN, TRACE, logs, spans
from tests.collector.receiving import RunningReceiver, running_receiver


def send_span(exporter: Any) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("shop").start_as_current_span("checkout") as span:
        span.set_attributes({"items": 3, "tags": ["a", "b"], "paid": True, "total": 9.5})
    provider.shutdown()


def send_metric(exporter: Any) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("shop").create_counter("orders").add(3, {"kind": "web"})
    provider.force_flush()
    provider.shutdown()


def send_log(exporter: Any) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    record = LogRecord(timestamp=1, severity_number=SeverityNumber.WARN, body={"text": "hello", "parts": [1, None]})
    provider.get_logger("shop").emit(record)
    provider.shutdown()


SEND: dict[Signal, Callable[[Any], None]] = {
    Signal.TRACES: send_span,
    Signal.METRICS: send_metric,
    Signal.LOGS: send_log,
}
GRPC: dict[Signal, Any] = {Signal.TRACES: GrpcSpans, Signal.METRICS: GrpcMetrics, Signal.LOGS: GrpcLogs}
HTTP: dict[Signal, Any] = {Signal.TRACES: HttpSpans, Signal.METRICS: HttpMetrics, Signal.LOGS: HttpLogs}


@pytest.mark.parametrize("signal", Signal)
async def test_the_sdk_over_grpc(signal: Signal) -> None:
    async with running_receiver() as receiver:
        exporter = GRPC[signal](endpoint=receiver.grpc, insecure=True, compression=grpc.Compression.Gzip)
        await asyncio.to_thread(SEND[signal], exporter)
    assert [(one.signal, one.item_count) for one in receiver.accepted] == [(signal, 1)]


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("compression", Compression)
async def test_the_sdk_over_http(signal: Signal, compression: Compression) -> None:
    async with running_receiver() as receiver:
        exporter = HTTP[signal](endpoint=f"{receiver.http}/v1/{signal}", compression=compression)
        await asyncio.to_thread(SEND[signal], exporter)
    assert [(one.signal, one.item_count) for one in receiver.accepted] == [(signal, 1)]


async def test_the_sdk_comes_again_when_it_is_asked_to() -> None:
    async with running_receiver() as receiver:
        receiver.failure = RefusedError("the journal is full", 0.2)
        exporter = GrpcLogs(endpoint=receiver.grpc, insecure=True)
        sending = asyncio.create_task(asyncio.to_thread(send_log, exporter))
        await receiver.entered.wait()
        receiver.failure = None
        await sending
    assert len(receiver.accepted) == 1


def counted(what: str, transport: str) -> float:
    labels = {"receiver": "otlp", "transport": transport}
    return REGISTRY.get_sample_value(f"otelcol_receiver_{what}_total", labels) or 0.0


async def attempt(receiver: RunningReceiver, signal: Signal, message: bytes, transport: str) -> None:
    if transport == "grpc":
        try:
            await receiver.export(signal, message)
        except grpc.RpcError:
            return
        return
    async with httpx.AsyncClient() as client:
        headers = {"content-type": "application/x-protobuf"}
        await client.post(f"{receiver.http}/v1/{signal}", content=message, headers=headers)


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_every_item_is_counted_by_what_became_of_it(transport: str) -> None:
    names = ("accepted_spans", "refused_spans", "accepted_log_records", "refused_log_records", "failed_log_records")
    before = [counted(name, transport) for name in names]
    async with running_receiver() as receiver:
        await attempt(receiver, Signal.TRACES, spans((TRACE, SPAN), (TRACE, b"")).SerializeToString(), transport)
        await attempt(receiver, Signal.LOGS, logs(4).SerializeToString(), transport)
        receiver.failure = RefusedError("the journal is full", 1)
        await attempt(receiver, Signal.LOGS, logs(3).SerializeToString(), transport)
        receiver.failure = ZeroDivisionError()
        await attempt(receiver, Signal.LOGS, PAYLOADS[Signal.LOGS], transport)
    after = [counted(name, transport) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 4, 3, 1]
