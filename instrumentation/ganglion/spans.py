"""Spans by hand: `trace_span` around a block, `traced` on a function; each logs how the work began and ended."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, Token, copy_context
from functools import partial, wraps
from inspect import currentframe
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast, overload

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from ganglion._emit import emit
from ganglion._render import Failure, failure, plain
from ganglion.context import ATTRIBUTES

__all__ = ["trace_span", "traced"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Y = TypeVar("_Y")
_S = TypeVar("_S")
_F = TypeVar("_F", bound=Callable[..., Any])

_INFO, _WARNING, _ERROR = 20, 30, 40
_SEEN = "__ganglion_recorded__"


class trace_span:  # noqa: N801 - read as a verb: with trace_span("file_parsing", size=3) as span:
    """Open a child span for `with` or `async with`, and log `<name>_started`, then `_completed` or `_failed`.

    The attributes are on the span and in the logs; user_id, session_id, tenant_id and request_id become the semantic
    conventions' user.id and so on, others keep their names. The end has duration_ms. An exception passes through; it
    gives the span error.type and the status ERROR, and is recorded, with its stack trace, by the innermost span only.
    A cancelled task ends in a warning, a generator closed early in `_completed`. One object is one span.
    """

    def __init__(self, name: str, /, **attributes: object) -> None:
        self._name = name
        self._attributes = attributes
        self._logger = _module_of_caller()
        self._code: dict[str, str] = {}

    def __enter__(self) -> Span:
        attributes = {**self._code, **_span_attributes(self._attributes)}
        self._span = _tracer().start_span(self._name, attributes=attributes)
        self._context = trace.set_span_in_context(self._span)
        self._token: Token[otel_context.Context] = otel_context.attach(self._context)
        self._start = perf_counter()
        emit(self._logger, _INFO, f"{self._name}_started", self._attributes)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        fields = {**self._attributes, "duration_ms": round((perf_counter() - self._start) * 1000, 3)}
        is_current = otel_context.get_current() is self._context
        if is_closed := isinstance(error, GeneratorExit):
            error, fields = None, {**fields, "closed_early": True}
        if error is None:
            emit(self._logger, _INFO, f"{self._name}_completed", fields)
        else:
            self._fail(error, fields)
        self._span.end()
        # A generator may be closed anywhere, by the garbage collector too, where something else is current.
        if is_current or not is_closed:
            with suppress(ValueError):  # another context: OpenTelemetry's `detach` would log it as an error
                self._token.var.reset(self._token)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    def _fail(self, error: BaseException, fields: dict[str, object]) -> None:
        failed = failure(error)
        self._span.set_attribute("error.type", failed.kind)
        self._span.set_status(Status(StatusCode.ERROR, failed.summary))
        level = _WARNING if isinstance(error, asyncio.CancelledError) else _ERROR
        if _is_first(error, self._span):
            _record(self._span, failed)
            emit(self._logger, level, f"{self._name}_failed", fields, error)
            return
        emit(self._logger, level, f"{self._name}_failed", {**fields, "error": failed.summary})


_known: tuple[TracerProvider, Tracer] | None = None


def _tracer() -> Tracer:
    """Return the tracer of the provider in force; the API's own look-up costs as much as a third of a span."""
    global _known  # noqa: PLW0603 - the newest is as good as any
    provider, known = trace.get_tracer_provider(), _known
    if known is None or known[0] is not provider:
        known = _known = (provider, trace.get_tracer("ganglion"))
    return known[1]


@overload
def traced(function: _F, /) -> _F: ...
@overload
def traced(name: str | None = None, /, **attributes: object) -> Callable[[_F], _F]: ...


def traced(function: Any = None, /, **attributes: object) -> Any:
    """Make every call of a function a `trace_span`: `@traced`, `@traced("name")` or `@traced("name", kind="pdf")`.

    Takes functions, coroutine functions, generators and asynchronous generators. A generator's span is open from the
    first item to the last, or to its early close; its body runs in a context of its own, so that neither the span nor
    what it binds is seen by whoever iterates. The name is the function's unless given.

    Raises:
        TypeError: what is decorated is no function; put `@staticmethod` and `@classmethod` above `@traced`.
    """
    if function is None or isinstance(function, str):
        return partial(_traced, function, attributes)
    return _traced(None, {}, function)


def _traced(name: str | None, attributes: dict[str, object], function: Any) -> Any:
    if issubclass(type(function), (staticmethod, classmethod, type)) or not callable(function):
        raise TypeError(f"@traced needs a function, not {type(function).__name__}; put @classmethod above it")
    open_span = _Opener(name, attributes, function)
    if inspect.isasyncgenfunction(function):
        return _traced_async_generator(function, open_span)
    if inspect.isgeneratorfunction(function):
        return _traced_generator(function, open_span)
    if inspect.iscoroutinefunction(function):
        return _traced_coroutine(cast("Callable[..., Coroutine[Any, Any, object]]", function), open_span)
    return _traced_function(function, open_span)


class _Opener:
    """Makes the span of each call; the semantic convention code.function.name is on it, not in its logs."""

    def __init__(self, name: str | None, attributes: dict[str, object], function: Callable[..., object]) -> None:
        self._name = name or str(getattr(function, "__name__", type(function).__name__))
        self._module = str(getattr(function, "__module__", "root"))
        self._attributes = attributes
        self._code = {"code.function.name": f"{self._module}.{getattr(function, '__qualname__', self._name)}"}

    def __call__(self) -> trace_span:
        span = trace_span(self._name, **self._attributes)
        span._logger, span._code = self._module, self._code  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - a class of this module
        return span


def _traced_function(function: Callable[_P, _T], open_span: _Opener) -> Callable[_P, _T]:
    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with open_span():
            return function(*args, **kwargs)

    return call


def _traced_coroutine(
    function: Callable[_P, Coroutine[Any, Any, _T]], open_span: _Opener
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    @wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with open_span():
            return await function(*args, **kwargs)

    return call


def _traced_generator(
    function: Callable[_P, Generator[_Y, _S, _T]], open_span: _Opener
) -> Callable[_P, Generator[_Y, _S, _T]]:
    @wraps(function)
    def iterate(*args: _P.args, **kwargs: _P.kwargs) -> Generator[_Y, _S, _T]:
        context = copy_context()
        span = open_span()
        context.run(span.__enter__)
        generator = context.run(function, *args, **kwargs)
        try:
            result = yield from _InContext(generator, context)
        except BaseException as error:
            context.run(span.__exit__, type(error), error, error.__traceback__)
            raise
        context.run(span.__exit__, None, None, None)
        return result

    return iterate


class _InContext(Generator[_Y, _S, _T]):
    """A generator each step of which runs in one context; `yield from` passes everything through."""

    def __init__(self, generator: Generator[_Y, _S, _T], context: Context) -> None:
        self._generator = generator
        self._context = context

    def send(self, value: _S, /) -> _Y:
        return self._context.run(self._generator.send, value)

    def throw(self, *error: Any) -> _Y:
        return self._context.run(self._generator.throw, *error)

    def close(self) -> None:
        self._context.run(self._generator.close)


def _traced_async_generator(
    function: Callable[_P, AsyncGenerator[_Y, _S]], open_span: _Opener
) -> Callable[_P, AsyncGenerator[_Y, _S]]:
    @wraps(function)
    async def iterate(*args: _P.args, **kwargs: _P.kwargs) -> AsyncGenerator[_Y, _S]:
        context = copy_context()
        span = open_span()
        context.run(span.__enter__)
        generator = context.run(function, *args, **kwargs)
        try:
            step = generator.__anext__()
            while True:
                item = await _Step(step, context)
                try:
                    step = generator.asend((yield item))
                except GeneratorExit:
                    await _Step(generator.aclose(), context)
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator decides what to do about it
                    step = generator.athrow(error)
        except StopAsyncIteration:
            context.run(span.__exit__, None, None, None)
        except BaseException as error:
            context.run(span.__exit__, type(error), error, error.__traceback__)
            raise

    return iterate


class _Step(Awaitable[_T]):
    """One step of an asynchronous generator, run in a context; what it waits for is waited for by the caller's task."""

    def __init__(self, step: Awaitable[_T], context: Context) -> None:
        self._step = step
        self._context = context

    def __await__(self) -> Generator[Any, Any, _T]:
        return (yield from _InContext(self._step.__await__(), self._context))


def _span_attributes(attributes: dict[str, object]) -> dict[str, str | bool | int | float | list[str]]:
    """Return attributes as spans have them: scalars and lists of text; anything else as JSON."""
    found: dict[str, str | bool | int | float | list[str]] = {}
    for name, given in attributes.items():
        value = plain(given)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            found[name] = cast("list[str]", value)
        elif isinstance(value, list | dict):
            found[name] = orjson.dumps(value).decode()
        elif value is not None:
            found[ATTRIBUTES.get(name, name)] = str(value) if name in ATTRIBUTES else value
    return found


def _is_first(error: BaseException, span: Span) -> bool:
    """Return whether no inner span of the same trace has recorded `error`, and remember that this one does."""
    trace_id = span.get_span_context().trace_id
    if getattr(error, _SEEN, None) == trace_id:
        return False
    with suppress(AttributeError, TypeError):  # a class with slots, or one that forbids
        setattr(error, _SEEN, trace_id)
    return True


def _record(span: Span, failed: Failure) -> None:
    """Add the event of the semantic conventions for exceptions on spans."""
    span.add_event(
        "exception",
        {
            "exception.type": failed.kind,
            "exception.message": failed.message,
            "exception.stacktrace": failed.stack,
        },
    )


def _module_of_caller() -> str:
    """Return the module that calls the caller of this, as the name of its logger."""
    frame = currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return "root" if frame is None else str(frame.f_globals.get("__name__", "root"))
