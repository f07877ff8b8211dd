"""The spans of LangSmith runs: which are open, whose child each is, and how a run ends its span."""

from __future__ import annotations

import atexit
import os
import re
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

__all__ = ["RunSpans"]

Attributes = Callable[[str, Mapping[str, Any]], Mapping[str, AttributeValue]]

_RUN = otel_context.create_key("langsmith-run")
_OUTER = otel_context.create_key("langsmith-outer")
_OPEN_AT_MOST = 10_000
_REMEMBERED = 10_000
_OUTER_AT_MOST = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXCEPTION_TYPE = re.compile(r"([A-Za-z_][\w.]*)\(")


@dataclass(slots=True)
class _OpenRun:
    span: Span
    end_with_run: weakref.finalize[Any, Any] | None = None
    error: BaseException | None = None


class RunSpans:
    """Spans by run id.

    A run is a mapping as LangSmith's client makes it (id, parent_run_id, dotted_order, start_time, inputs…), after the
    client has sampled it and hidden what is to be hidden. At most 10,000 spans are open, then the oldest is ended; the
    ids of the last 10,000 that ended are remembered for children that start late.
    """

    def __init__(self, tracer: Callable[[], Tracer], attributes: Attributes) -> None:
        self._tracer = tracer
        self._attributes = attributes
        self._open: dict[UUID, _OpenRun] = {}
        self._ended: dict[UUID, Span] = {}
        self._lost: deque[UUID] = deque()
        self._ends_at_exit = False
        self._lock = threading.RLock()  # langsmith ends runs in finalizers too, which may come while it is held
        os.register_at_fork(after_in_child=_weakly(self.forget))

    def start(self, run: Mapping[str, Any], owner: object | None) -> None:
        """Open the run's span. If `owner` is collected before the run is finished, the next start ends it.

        A second start of a run changes nothing.
        """
        self._end_lost()
        run_id: UUID = run["id"]
        if run_id in self._open or run_id in self._ended:
            return
        parent = self._parent_context(run.get("parent_run_id"))
        span = self._tracer().start_span(
            str(run.get("name") or "run"),
            parent,
            attributes=_identity(run),
            start_time=_nanoseconds(run.get("start_time")),
        )
        self._keep(run_id, _OpenRun(span, None if owner is None else self._watch(owner, run_id)))
        if span.is_recording():
            span.set_attributes(self._attributes("post", run))
        if run.get("end_time") is not None:
            self._end(run)

    def finish(self, run: Mapping[str, Any]) -> None:
        """End the run's span with what the run says of its outputs, usage, events and error."""
        opened = self._open.get(run["id"])
        if opened is None:
            return  # begun in another process, or already ended
        try:
            if opened.span.is_recording():
                opened.span.set_attributes(self._attributes("patch", run))
        finally:
            self._end(run)

    def fail(self, run_id: UUID, error: BaseException) -> None:
        """Keep the exception that a run is about to end with; the run itself only has its text."""
        if opened := self._open.get(run_id):
            opened.error = error

    def abandon_all(self) -> None:
        """End the spans of the runs that are still open when the process ends."""
        for run_id in list(self._open):
            self.abandon(run_id)

    def abandon(self, run_id: UUID) -> None:
        """End the span of a run that nobody will finish, and say so on it."""
        if opened := self._close(run_id):
            opened.span.set_attributes({"langsmith.metadata.unfinished": True})
            opened.span.end()

    def forget(self) -> None:
        """Leave the open spans to the process that opened them; here they are only parents."""
        self._lock = threading.RLock()
        for run_id in list(self._open):
            self._close(run_id)

    def enter(self, run_id: UUID, outer: tuple[Context, ...] = ()) -> None:
        """Make the run's span the current one of this context; `outer` is what `follow` may go back to."""
        if opened := self._open.get(run_id):
            inside = otel_context.set_value(_OUTER, outer, set_span_in_context(opened.span))
            otel_context.attach(otel_context.set_value(_RUN, run_id, inside))

    def follow(self, run_id: UUID | None) -> None:
        """Make current the span of the run that LangSmith now holds for the current one, or what was before it.

        LangSmith's own blocks say when a run becomes current, but not when it no longer is: then the run outside it
        becomes current again, so each context keeps those outside it, the nearest first. Not all: a task that
        starts its successor from within such a block would keep one more each time.
        """
        current = otel_context.get_current()
        if current.get(_RUN) == run_id:
            return
        outer = cast("tuple[Context, ...]", current.get(_OUTER) or ())
        for depth, before in enumerate(outer, start=1):
            if before.get(_RUN) == run_id:
                otel_context.attach(otel_context.set_value(_OUTER, outer[depth:], before))
                return
        if run_id is not None:
            alone = otel_context.set_value(_OUTER, (), current)
            self.enter(run_id, (alone, *outer[: _OUTER_AT_MOST - 1]))

    def _keep(self, run_id: UUID, opened: _OpenRun) -> None:
        with self._lock:
            self._open[run_id] = opened
            oldest = next(iter(self._open)) if len(self._open) > _OPEN_AT_MOST else None
            if not self._ends_at_exit:
                self._ends_at_exit = True  # only now: what is registered last runs first, and the provider is there
                atexit.register(_weakly(self.abandon_all))
        if oldest is not None:
            self.abandon(oldest)

    def _watch(self, owner: object, run_id: UUID) -> weakref.finalize[Any, Any]:
        # A finalizer may run while its thread holds a lock of the span's processor, so it ends nothing itself.
        watch = weakref.finalize(owner, self._lost.append, run_id)
        watch.atexit = False
        return watch

    def _end_lost(self) -> None:
        while self._lost:
            with suppress(IndexError):  # another thread was faster
                self.abandon(self._lost.popleft())

    def _parent_context(self, parent_id: UUID | None) -> Context:
        current = otel_context.get_current()
        if parent_id is None or current.get(_RUN) == parent_id:
            return current  # the current span is the parent run's, or inside it
        opened = self._open.get(parent_id)
        parent = opened.span if opened is not None else self._ended.get(parent_id)
        return current if parent is None else set_span_in_context(parent, current)

    def _end(self, run: Mapping[str, Any]) -> None:
        opened = self._close(run["id"])
        if opened is None:
            return
        _add_events(opened.span, run.get("events") or [])
        if run.get("error") and not isinstance(opened.error, GeneratorExit):
            _record_error(opened.span, str(run["error"]), opened.error)
        end_time = _nanoseconds(run.get("end_time"))
        start_time: int = getattr(opened.span, "start_time", None) or 0
        opened.span.end(None if end_time is None else max(end_time, start_time))

    def _close(self, run_id: UUID) -> _OpenRun | None:
        with self._lock:
            opened = self._open.pop(run_id, None)
            if opened is None:
                return None
            self._ended[run_id] = NonRecordingSpan(opened.span.get_span_context())
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        if opened.end_with_run is not None:
            opened.end_with_run.detach()
        return opened


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if alive := reference():
            alive()

    return call


def _identity(run: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Name the run as LangSmith's OpenTelemetry documentation does, so that its exported form keeps its ids."""
    values = {
        "langsmith.span.id": run["id"],
        "langsmith.trace.id": run.get("trace_id") or run["id"],
        "langsmith.span.parent_id": run.get("parent_run_id"),
        "langsmith.span.dotted_order": run.get("dotted_order"),
        "langsmith.span.kind": run.get("run_type"),
        "langsmith.trace.name": run.get("name"),
    }
    return {name: str(value) for name, value in values.items() if value}


def _nanoseconds(time: datetime | str | None) -> int | None:
    if time is None:
        return None
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def _add_events(span: Span, events: list[Mapping[str, Any]]) -> None:
    """Add the run's events, but those that only repeat the span.

    Of the tokens it is the first, and without its text: it says the time to the first token.
    """
    left_out = {"start", "end", "error"}
    for event in events:
        name = str(event.get("name", "event"))
        if name in left_out:
            continue
        if name == "new_token":
            left_out.add(name)
        message = event.get("message")
        span.add_event(name, {"message": str(message)} if message else {}, _nanoseconds(event.get("time")))


def _record_error(span: Span, text: str, error: BaseException | None) -> None:
    """Record the exception itself, or its text where there is only that or where the client has changed it."""
    if error is not None and text.startswith(repr(error)):
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        return
    attributes = _parse_error(text)
    span.add_event("exception", attributes)
    span.set_status(Status(StatusCode.ERROR, ": ".join(list(attributes.values())[:2])))


def _parse_error(text: str) -> dict[str, str]:
    """Return an exception's attributes from what LangSmith and LangChain make of it: its repr, then its stack."""
    head, mark, rest = text.partition("Traceback (most recent call last)")
    kind = _EXCEPTION_TYPE.match(head)
    if kind is None:
        return {"exception.message": text}
    stack = mark + rest
    last = re.search(rf"(?ms).*^((?:\w+\.)*{re.escape(kind[1])})(?:: (.*?))?\s*\Z", stack)
    found = {"exception.type": kind[1], "exception.message": head.strip()}
    if last is not None:
        found = {"exception.type": last[1], "exception.message": last[2] or ""}
    return found | ({"exception.stacktrace": stack} if stack else {})
