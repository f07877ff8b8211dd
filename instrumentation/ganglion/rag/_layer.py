"""One operation of a layer: a span, its count, its latency, its failure."""

import contextlib
import logging
import time
from contextvars import Token
from types import TracebackType
from typing import Literal, Self, get_args

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from ganglion._render import failure, text
from ganglion.rag._events import tell
from ganglion.rag._instruments import ACTIVE_QUERIES, ERRORS, LATENCY, REQUESTS
from ganglion.rag._values import attributes, label
from ganglion.spans import (
    _is_first,  # pyright: ignore[reportPrivateUsage] - an exception is recorded once, whoever opened the spans
    _record,  # pyright: ignore[reportPrivateUsage]
)

__all__ = ["Layer", "Step", "layer", "layer_name"]

Layer = Literal["ingestion", "data", "retrieval", "generation", "evaluation", "memory"]

_LAYERS: tuple[str, ...] = get_args(Layer)
_STEP = context_api.create_key("ganglion-rag-step")
_tracer = trace.get_tracer("ganglion.rag")


def layer_name(name: str) -> str:
    """Give `name` back.

    Raises:
        ValueError: there is no such layer.
    """
    if name not in _LAYERS:
        raise ValueError(f"no such layer: {name!r}; a layer is one of {', '.join(_LAYERS)}")
    return name


def layer(name: Layer, *, operation: str, **attributes: object) -> "Step":
    """Observe one operation of a layer, with `with` or `async with`.

    Opens the span `<layer>.<operation>` with `attributes`, and inside it counts and measures:

    - `rag_active_queries{layer}` while it lasts, for the outermost operation only;
    - `rag_requests_total{layer,status}` at its end, with status `success`, `error` or `cancelled` (an exception that is
      no `Exception`: a cancelled task, a generator closed early);
    - `rag_request_latency_ms{layer,operation}`, milliseconds;
    - `rag_errors_total{error_type,layer}` when it fails, and the event `<layer>.<operation>_failed` (error, stack,
      duration_ms), which an exception that passes several operations causes once, in the innermost.

    Exceptions pass through. `operation` becomes a label: a fixed word, never an id.

    Raises:
        ValueError: there is no such layer.
    """
    return Step(layer_name(name), text(operation), attributes)


class Step:
    """An operation under way. Made by `layer`, for one use."""

    def __init__(self, layer: str, operation: str, values: dict[str, object]) -> None:
        self.layer = layer
        self.operation = operation
        self.duration_ms: float | None = None
        """Milliseconds from start to end; None until it ended."""
        self._values = values
        self._start: float | None = None
        self._span: Span = trace.INVALID_SPAN
        self._context = Context()
        self._token: Token[Context] | None = None
        self._outer: Step | None = None
        self._failure: str | None = None

    @property
    def span(self) -> Span:
        """The operation's span."""
        return self._span

    def set(self, **attributes_: object) -> None:
        """Set attributes of the span: strings, booleans and numbers; None is left out, anything else becomes text."""
        self._span.set_attributes(attributes(attributes_))

    def fail(self, error_type: str, message: str = "") -> None:
        """Count the operation as failed though no exception leaves it.

        `error_type` becomes a label: the name of a class of errors, never a message.
        """
        self._failure = text(error_type)
        self._span.set_status(Status(StatusCode.ERROR, text(message) or self._failure))

    def __enter__(self) -> Self:
        if self._start is not None:
            raise RuntimeError("a step observes one operation; call layer() for each")
        self._start = time.perf_counter()
        outer = context_api.get_value(_STEP)
        # A task may outlive the operation that started it.
        self._outer = outer if isinstance(outer, Step) and outer.duration_ms is None else None
        named = {"rag.layer": self.layer, "rag.operation": self.operation}
        self._span = _tracer.start_span(
            f"{self.layer}.{self.operation}", attributes={**attributes(self._values), **named}
        )
        self._context = context_api.set_value(_STEP, self, trace.set_span_in_context(self._span))
        self._token = context_api.attach(self._context)
        self._count_active(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._start is not None
        self.duration_ms = (time.perf_counter() - self._start) * 1000
        try:
            if isinstance(error, Exception):
                self._report(error)
            self._measure(error)
        finally:
            self._span.end()
            self._leave()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _count_active(self, change: int) -> None:
        if self._outer is None:
            ACTIVE_QUERIES.add(change, {"layer": self.layer}, self._context)

    def _measure(self, error: BaseException | None) -> None:
        status = "error" if self._failure is not None else "success" if error is None else "cancelled"
        self._count_active(-1)
        REQUESTS.add(1, {"layer": self.layer, "status": status}, self._context)
        operation = {"layer": self.layer, "operation": label("operation", self.operation)}
        LATENCY.record(self.duration_ms or 0.0, operation, self._context)
        if self._failure is not None:
            self._span.set_attribute("error.type", self._failure)
            ERRORS.add(1, {"error_type": label("error_type", self._failure), "layer": self.layer}, self._context)

    def _report(self, error: Exception) -> None:
        failed = failure(error)
        self._failure = failed.kind
        self._span.set_status(Status(StatusCode.ERROR, failed.summary))
        if _is_first(error, self._span):
            _record(self._span, failed)
            fields = {"error_type": failed.kind, "duration_ms": self.duration_ms}
            tell(self.layer, f"{self.layer}.{self.operation}_failed", fields, level=logging.ERROR, error=error)

    def _leave(self) -> None:
        assert self._token is not None
        # A generator that the event loop closes does so in another context, where there is nothing to restore.
        with contextlib.suppress(ValueError):
            self._token.var.reset(self._token)
