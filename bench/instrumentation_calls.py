"""The process in which calls of the instrumentation are timed: logs on its standard output, figures into a file.

`python -m bench.instrumentation_calls FILE ROUNDS`, with OTEL_EXPORTER_OTLP_ENDPOINT of a receiver. Ours and the
reference take turns, in bursts so short that no queue fills; between two bursts everything is sent.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ganglion
import orjson
import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = ["BURST", "main"]

BURST = 200
"""Calls in one burst."""

_FIELDS = {"format": "pdf", "source": "handbook", "count": 12, "average_size": 403.5}
_ATTRIBUTES: dict[str, str | int] = {"format": "pdf", "source": "handbook", "count": 12}


def _ganglion_log() -> Callable[[], None]:
    log = ganglion.get_logger("bench.ingestion")

    def call() -> None:
        log.info("chunks_created", **_FIELDS)

    return call


def _structlog_log() -> Callable[[], None]:
    """Return structlog's call as its documentation has it for speed: a line on standard output, nothing sent."""
    log = structlog.wrap_logger(
        structlog.BytesLogger(sys.stdout.buffer),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )

    def call() -> None:
        log.info("chunks_created", **_FIELDS)

    return call


def _span(tracer: trace.Tracer) -> Callable[[], None]:
    def call() -> None:
        with tracer.start_as_current_span("parse", attributes=_ATTRIBUTES):
            pass

    return call


def _trace_span() -> None:
    with ganglion.trace_span("parse", **_ATTRIBUTES):
        pass


def _burst(call: Callable[[], None], flush: Callable[[], object]) -> dict[str, float]:
    """Return seconds a call: of the caller's clock, of its thread's processor, of all threads' until all is sent."""
    all_before, mine, begin = time.process_time(), time.thread_time(), time.perf_counter()
    for _ in range(BURST):
        call()
    wall, cpu = time.perf_counter() - begin, time.thread_time() - mine
    flush()
    return {"wall": wall / BURST, "cpu": cpu / BURST, "all_cpu": (time.process_time() - all_before) / BURST}


def main(target: Path, rounds: int) -> None:
    ganglion.configure(service_name="bench-calls")
    ganglion.bind(request_id="0f" * 16, user_id="user-123", session_id="session-7")
    plain = TracerProvider(shutdown_on_exit=False)
    batching = BatchSpanProcessor(OTLPSpanExporter(insecure=True))
    plain.add_span_processor(batching)
    calls: dict[str, tuple[Callable[[], None], Callable[[], object]]] = {
        "log": (_ganglion_log(), ganglion.flush),
        "structlog": (_structlog_log(), sys.stdout.flush),
        "span": (_span(trace.get_tracer("bench")), ganglion.flush),
        "sdk_span": (_span(plain.get_tracer("bench")), batching.force_flush),
        "trace_span": (_trace_span, ganglion.flush),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    with trace.get_tracer("bench").start_as_current_span("request"):
        for number in range(rounds + 3):
            for name, (call, flush) in calls.items():
                burst = _burst(call, flush)
                if number >= 3:  # the first ones open connections
                    found[name].append(burst)
    complete = ganglion.flush() and ganglion.shutdown()
    plain.shutdown()
    target.write_text(json.dumps({"bursts": found, "complete": complete}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
