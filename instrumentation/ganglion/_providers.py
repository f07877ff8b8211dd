"""The SDK's providers: made by its own configurator, with our queues between them and the exporters."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # pyright: ignore[reportPrivateUsage] - for distros
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.environment_variables import OTEL_CONFIG_FILE, OTEL_SDK_DISABLED
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from ganglion import _resource
from ganglion._fork import Gate
from ganglion._otlp import default_exporters, exporter_arguments
from ganglion._pipeline import BatchLogs, BatchSpans, Limits
from ganglion._settings import Settings
from ganglion.context import ContextSpanProcessor

__all__ = ["flush", "resource", "shutdown", "start"]

_logger = logging.getLogger("ganglion")

_METRICS_SHARE = 0.2
"""The part of a shutdown's time that is kept for the last metrics, which hold the counts of what was dropped."""

_batching: list[BatchSpans | BatchLogs] = []
_ending = threading.Lock()
"""Taken for good by who ends the providers."""
_ended = threading.Event()


class _SDKConfigurator(_OTelSDKConfigurator):
    """The SDK wants its configurator subclassed."""


_configure_sdk: Callable[..., None] = cast("Any", _SDKConfigurator)().configure


def start(settings: Settings, more: Mapping[str, object]) -> None:
    """Set the global providers, unless they are set or OTEL_SDK_DISABLED; `more` goes to the SDK's configurator.

    A fault of the variables is logged; the service then runs without what could not be made.
    """
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return
    if isinstance(provider := trace.get_tracer_provider(), TracerProvider):
        provider.add_span_processor(ContextSpanProcessor())
        _logger.warning(
            "OpenTelemetry was set up before Ganglion: its providers stay, with their exporters and queues. "
            "If opentelemetry-instrument did it, OTEL_PYTHON_DISTRO=ganglion makes it use Ganglion."
        )
        return
    _resource.choose_detectors()
    try:
        _make(settings, more)
    except Exception:
        # The SDK and plug-ins raise all kinds of errors, and none of them may keep the service from its work.
        _logger.exception("Telemetry is not sent, or not all of it: see the OTEL_* variables")


def _make(settings: Settings, more: Mapping[str, object]) -> None:
    if os.environ.get(OTEL_CONFIG_FILE):
        _configure_sdk()
        if isinstance(provider := trace.get_tracer_provider(), TracerProvider):
            provider.add_span_processor(ContextSpanProcessor())
        return
    # `delay`: what is shown within a second of its end is worth a few more requests, small ones.
    spans = Limits.from_environment(os.environ, "OTEL_BSP", Limits(settings.queue_size, delay=0.5))
    logs = Limits.from_environment(os.environ, "OTEL_BLRP", Limits(settings.queue_size, delay=0.1))
    _configure_sdk(
        trace_exporter_names=default_exporters("traces", settings),
        metric_exporter_names=default_exporters("metrics", settings),
        log_exporter_names=default_exporters("logs", settings),
        resource_attributes=_resource.attributes(settings),
        exporter_args_map=exporter_arguments(settings),
        span_processors=[ContextSpanProcessor()],
        export_span_processor=partial(_batch_spans, limits=spans, settings=settings),
        export_log_record_processor=partial(_batch_logs, limits=logs, settings=settings),
        setup_logging_handler=False,
        **more,
    )
    _gate_metrics()


def _gate_metrics() -> None:
    # A fork in the middle of an export would leave the child's reader waiting for a lock that nobody holds.
    for reader in getattr(metrics.get_meter_provider(), "_metric_readers", ()):
        if hasattr(reader, "_export_lock"):
            reader._export_lock = Gate()  # noqa: SLF001 - what it holds around each export, by any name


def _batch_spans(exporter: SpanExporter, *, limits: Limits, settings: Settings) -> BatchSpans:
    made = BatchSpans(exporter, limits, settings.shutdown_timeout)
    _batching.append(made)
    return made


def _batch_logs(exporter: LogRecordExporter, *, limits: Limits, settings: Settings) -> BatchLogs:
    made = BatchLogs(exporter, limits, settings.shutdown_timeout)
    _batching.append(made)
    return made


def resource(settings: Settings) -> Mapping[str, Any]:
    """Return the attributes of the resource that this process sends, or would send."""
    made = getattr(trace.get_tracer_provider(), "resource", None)
    return (made if isinstance(made, Resource) else Resource.create(_resource.attributes(settings))).attributes


def flush(timeout: float) -> bool:
    """Send all that waits; return whether it was taken within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    taken = True
    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider()):
        if (force_flush := getattr(provider, "force_flush", None)) is not None:
            taken &= _succeeds(partial(force_flush, max(1, round((deadline - time.monotonic()) * 1000))))
    if (force_flush := getattr(metrics.get_meter_provider(), "force_flush", None)) is not None:
        taken &= _flush_metrics(force_flush, deadline - time.monotonic())
    return taken


def _flush_metrics(force_flush: Callable[[float], object], timeout: float) -> bool:
    # On a thread, because the SDK exports on the caller's, for as long as the exporter takes.
    flushed: list[bool] = []

    def flush_them() -> None:
        flushed.append(_succeeds(partial(force_flush, max(1.0, timeout * 1000))))

    thread = threading.Thread(target=flush_them, name="ganglion-flush", daemon=True)
    thread.start()
    thread.join(max(0.0, timeout))
    return flushed == [True]


def shutdown(timeout: float) -> bool:
    """Send all that waits and end the providers within `timeout` seconds; return whether everything was taken.

    Safe twice, and by two threads at once: the second waits for the first, and has nothing to do itself.
    """
    if not _ending.acquire(blocking=False):
        return _ended.wait(timeout)
    try:
        return _shut_down(timeout)
    finally:
        _ended.set()


def _shut_down(timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    until = deadline - timeout * _METRICS_SHARE
    for made in _batching:
        made.queue.refuse()  # all of them work on it at the same time
    taken = True
    for made in _batching:
        taken &= made.queue.close(until - time.monotonic())
    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider()):
        if (end := getattr(provider, "shutdown", None)) is not None:
            taken &= _succeeds(end)
    if (end := getattr(metrics.get_meter_provider(), "shutdown", None)) is not None:
        taken &= _succeeds(partial(end, timeout_millis=max(0.0, deadline - time.monotonic()) * 1000))
    return taken


def _in_child() -> None:
    global _ended  # noqa: PLW0603 - its lock may be held by a thread that the child does not have
    if _ending.locked():
        _ended = threading.Event()
        _ended.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _succeeds(call: Any) -> bool:
    try:
        return call() is not False
    except Exception as error:  # noqa: BLE001
        # Metric readers raise when their time is over, and processors are foreign code.
        _logger.warning("Telemetry was not flushed: %s", error)
        return False
