"""The way of spans and log records from the caller to an exporter: a bounded queue and a thread.

A caller pays for one append. What does not fit, and what the collector does not take, is dropped, counted and said.
After a fork the child begins with an empty queue and a thread of its own; what waited is the parent's to send.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from typing import Generic, Self, TypeVar
from weakref import WeakMethod

from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ganglion._drops import Drops, observe
from ganglion._fork import Gate
from ganglion._resource import hash_once

__all__ = ["BatchLogs", "BatchSpans", "Limits", "Queue"]

_logger = logging.getLogger(__name__)

_ATTEMPTS = 5
"""Calls of an exporter for one batch; each of them retries for OTEL_EXPORTER_OTLP_TIMEOUT (10 s) by itself."""
_LAST_CALL = 0.2
"""Seconds in which a thread whose exporter was closed counts what it could not send."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how long.

    Args:
        queue_size: items in the queue; more are dropped.
        batch_size: items in one export.
        delay: seconds that an item waits for others to fill its batch.
    """

    queue_size: int = 20_480
    batch_size: int = 512
    delay: float = 0.1

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], prefix: str, default: "Limits") -> Self:
        """Read `<prefix>_MAX_QUEUE_SIZE`, `_MAX_EXPORT_BATCH_SIZE` and `_SCHEDULE_DELAY` (milliseconds).

        `_EXPORT_TIMEOUT` has no effect here, nor in the SDK: what bounds an export is OTEL_EXPORTER_OTLP_TIMEOUT.
        """
        size = _number(environ, f"{prefix}_MAX_QUEUE_SIZE", default.queue_size)
        batch = _number(environ, f"{prefix}_MAX_EXPORT_BATCH_SIZE", default.batch_size)
        delay = _number(environ, f"{prefix}_SCHEDULE_DELAY", round(default.delay * 1000))
        return cls(size, min(batch, size), delay / 1000)


def _number(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    _logger.warning("%s is ignored: %r: expected a positive whole number", variable, text)
    return default


class Queue(Generic[T]):
    """Items on their way to `export`, which returns whether the collector has taken them.

    `put` takes no lock, so it may be called from signal handlers and finalizers.
    """

    _wanted: float
    """The number of waiting items at which the thread is to be woken."""
    _given_up: bool
    """Whether the time to send what waits is over."""
    _in_flight: list[T]
    """What the exporter is being called with."""

    def __init__(
        self, signal: str, limits: Limits, export: Callable[[Sequence[T]], bool], close: Callable[[], object]
    ) -> None:
        self.drops = Drops(signal)
        self.limits = limits
        self._export = export
        self._close_exporter = close
        self._closed = False
        self._gate = Gate()
        self._begin()
        self._start()
        observe(self)
        if hasattr(os, "register_at_fork"):
            begin = WeakMethod(self._begin_again)
            os.register_at_fork(after_in_child=lambda: (method := begin()) and method())

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Take an item; drop it if the queue is full or closed."""
        items = self._items
        if self._closed:
            if is_instrumentation_enabled():  # else it is what we ourselves or an exporter say of the end
                self.drops.add("shutdown")
        elif len(items) >= self.limits.queue_size:
            self.drops.add("queue_full")
        else:
            items.append(item)
            if len(items) >= self._wanted:
                self._wanted = inf
                self._bell.put(None)
            if self._thread is None:
                self._start()

    def flush(self, timeout: float) -> bool:
        """Wait until everything put so far is sent; return whether it was, within `timeout` seconds."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return not self._items
        dropped = self.drops.total
        done = threading.Event()
        self._flushes.add(done)
        self._items.append(done)
        self._bell.put(None)
        return done.wait(timeout) and self.drops.total == dropped

    def refuse(self) -> None:
        """Take nothing more; what waits is being sent."""
        self._closed = True
        self._bell.put(None)

    def close(self, timeout: float) -> bool:
        """Send what waits for at most `timeout` seconds and count the rest as dropped; return whether none was.

        Safe twice.
        """
        if self._given_up:
            return self.drops.counts["shutdown"] == 0
        self.refuse()
        dropped = self.drops.total
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, timeout - _LAST_CALL))
        self._given_up = True
        with suppress_instrumentation():
            self._close_exporter()
            if thread is not None:
                thread.join(_LAST_CALL)
            self._drop_rest()
            self.drops.report()
        return self.drops.total == dropped

    def _drop_rest(self) -> None:
        in_flight, self._in_flight = self._in_flight, []  # an export that nothing can interrupt
        self.drops.add("shutdown", len(in_flight))
        with suppress(IndexError):
            while True:
                if not isinstance(self._items.popleft(), threading.Event):
                    self.drops.add("shutdown")

    def _begin(self) -> None:
        self._items: deque[T | threading.Event] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._flushes: set[threading.Event] = set()
        self._wanted = inf
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._given_up = False
        self._in_flight = []

    def _begin_again(self) -> None:
        self._begin()
        self.drops.reset()

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # somebody else does it
        try:
            if self._thread is None:
                # In a context of its own: whoever put the first item is not whom the thread works for.
                name = f"ganglion-{self.drops.signal}"
                thread = threading.Thread(target=Context().run, args=(self._run,), name=name, daemon=True)
                with suppress(RuntimeError):  # no thread to be had now: what waits keeps waiting
                    thread.start()
                    self._thread = thread
        finally:
            self._starting.release()

    def _run(self) -> None:
        with suppress_instrumentation():
            while self._wait(1, None) or not self._closed:
                self._wait(self.limits.batch_size, self.limits.delay)
                self._handle(self._take())
                self.drops.report_sometimes()

    def _wait(self, count: int, timeout: float | None) -> bool:
        """Wait for `count` items, or until nobody should wait any longer; return whether there is any."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while len(self._items) < count and not (self._closed or self._flushes):
            self._wanted = count
            if len(self._items) >= count:
                break  # one came before it could know that it was wanted
            try:
                self._bell.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except Empty:
                break
        self._wanted = inf
        return bool(self._items)

    def _take(self) -> list[T | threading.Event]:
        size = min(len(self._items), self.limits.batch_size)
        return [self._items.popleft() for _ in range(size)]

    def _handle(self, taken: list[T | threading.Event]) -> None:
        batch = [item for item in taken if not isinstance(item, threading.Event)]
        if batch:
            self._send(batch)
        for done in taken:
            if isinstance(done, threading.Event):
                self._flushes.discard(done)
                done.set()

    def _send(self, batch: list[T]) -> None:
        self._in_flight = batch
        taken = self._tried(batch)
        batch, self._in_flight = self._in_flight, []
        if taken:
            self.drops.sent(len(batch))
        else:
            self.drops.add("shutdown" if self._given_up else "export_failed", len(batch))

    def _tried(self, batch: list[T]) -> bool:
        for _ in range(_ATTEMPTS):
            if self._given_up:
                break
            if self._exported(batch):
                return True
            if self._closed or len(self._items) >= self.limits.queue_size:
                break  # newer items need the place, or the time
        return False

    def _exported(self, batch: list[T]) -> bool:
        try:
            with self._gate:
                return self._export(batch)
        except Exception:
            # An exporter is foreign code, and without this thread nothing would be sent any more.
            _logger.exception("The exporter of %s failed", self.drops.signal)
            return False


class _Batching(Generic[T]):
    """What span and log record processors have in common."""

    queue: Queue[T]
    shutdown_timeout: float

    def shutdown(self) -> None:
        self.queue.close(self.shutdown_timeout)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.queue.flush(timeout_millis / 1000)


class BatchSpans(_Batching[ReadableSpan], SpanProcessor):
    """Sends ended spans that are sampled."""

    def __init__(self, exporter: SpanExporter, limits: Limits, shutdown_timeout: float = 5.0) -> None:
        def export(batch: Sequence[ReadableSpan]) -> bool:
            for span in batch:
                hash_once(span.resource)
            return exporter.export(batch) is SpanExportResult.SUCCESS

        self.shutdown_timeout = shutdown_timeout
        self.queue = Queue("traces", limits, export, exporter.shutdown)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self.queue.put(span)


class BatchLogs(_Batching[ReadWriteLogRecord], LogRecordProcessor):
    """Sends log records."""

    def __init__(self, exporter: LogRecordExporter, limits: Limits, shutdown_timeout: float = 5.0) -> None:
        def export(batch: Sequence[ReadWriteLogRecord]) -> bool:
            return exporter.export([_readable(record) for record in batch]) is LogRecordExportResult.SUCCESS

        self.shutdown_timeout = shutdown_timeout
        self.queue = Queue("logs", limits, export, exporter.shutdown)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.queue.put(log_record)


def _readable(record: ReadWriteLogRecord) -> ReadableLogRecord:
    """Return a record as exporters take it: made here, off the caller's thread."""
    assert record.resource is not None  # the SDK's Logger sets it
    hash_once(record.resource)
    return ReadableLogRecord(record.log_record, record.resource, record.instrumentation_scope, record.limits)
