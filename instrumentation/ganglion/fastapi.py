"""FastAPI and Starlette: server spans, request events, X-Trace-ID in and out, who a request is for.

`opentelemetry-instrument` and `ganglion.configure()` do this to every application where FastAPI is imported, unless
OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names fastapi; `instrument` does it to one.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Annotated, Any, NamedTuple, cast
from weakref import WeakSet

from ganglion._semconv import prefer_stable
from ganglion._settings import current
from ganglion.links import current_trace_id

try:
    from fastapi import Depends, FastAPI
    from opentelemetry.instrumentation.asgi import (  # pyright: ignore[reportMissingTypeStubs] - it has none
        OpenTelemetryMiddleware,
    )
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
        BaseInstrumentor,
    )
    from starlette.applications import Starlette
    from starlette.middleware.errors import ServerErrorMiddleware
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ganglion._asgi import IN_SCOPE, RequestContext, RequestedTraces, RequestEvents
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error}: ganglion.fastapi needs FastAPI and what `pip install 'ganglion[fastapi]'` installs", name=error.name
    ) from error

__all__ = ["GanglionFastAPIInstrumentor", "TraceId", "instrument", "uninstrument"]

_logger = logging.getLogger(__name__)
_Build = Callable[[], ASGIApp]


async def _trace_id() -> str | None:
    return current_trace_id()


TraceId = Annotated[str | None, Depends(_trace_id)]
"""A parameter of an endpoint: the request's trace id, 32 hex digits; None without a trace."""

_instrumented: WeakSet[Starlette] = WeakSet()
_BEFORE = "_ganglion_before"


class _Before(NamedTuple):
    """What an application was without us; kept in it, so that both go together."""

    build: _Build
    built: ASGIApp | None
    with_otel: bool
    """Whether OpenTelemetry's layer came with ours."""


def instrument(app: Starlette, *, excluded_urls: str | None = None, headers: Mapping[str, str] | None = None) -> None:
    """Instrument one application; safe twice, and also when requests are running already.

    Args:
        app: FastAPI or Starlette.
        excluded_urls: regular expressions joined by commas, for URLs that get no span, event or header; without it
            OTEL_PYTHON_FASTAPI_EXCLUDED_URLS or OTEL_PYTHON_EXCLUDED_URLS.
        headers: request header by field, on top of `{"user_id": "X-User-ID", "request_id": "X-Request-ID"}` and of
            GANGLION_SESSION_HEADER and GANGLION_TENANT_HEADER. A value has at most 128 printable characters; one that
            has not is ignored, with a warning. Whoever calls may send any: bind what authentication proved instead.
    """
    if app in _instrumented:
        return
    built, original = app.middleware_stack, app.build_middleware_stack
    if built is not None:  # its middlewares live and have state: they stay
        app.build_middleware_stack = lambda: built  # type: ignore[method-assign]
    prefer_stable()
    with_otel = not getattr(app, "_is_instrumented_by_opentelemetry", False)
    if with_otel:
        FastAPIInstrumentor.instrument_app(
            cast("FastAPI", app), excluded_urls=excluded_urls, exclude_spans=["receive", "send"]
        )
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: _layered(build(), headers or {})  # type: ignore[method-assign]
    _remember(app, _Before(original, built, with_otel))
    if built is not None:
        app.middleware_stack = app.build_middleware_stack()


def uninstrument(app: Starlette) -> None:
    """Undo `instrument`; safe twice."""
    before: _Before | None = vars(app).pop(_BEFORE, None)
    if before is None:
        return
    _instrumented.discard(app)
    if before.with_otel:
        FastAPIInstrumentor.uninstrument_app(cast("FastAPI", app))
    app.build_middleware_stack = before.build  # type: ignore[method-assign]
    app.middleware_stack = before.built


def _remember(app: Starlette, before: _Before) -> None:
    vars(app)[_BEFORE] = before
    _instrumented.add(app)


def _layered(stack: ASGIApp, headers: Mapping[str, str]) -> ASGIApp:
    span = _server_span(stack)
    inside = stack if span is None else span.app
    if span is not None:
        span.tracer = RequestedTraces(span.tracer)
        if FastAPIInstrumentor().is_instrumented_by_opentelemetry:  # nobody asked for a span of each message
            span.exclude_receive_span = span.exclude_send_span = True
    if isinstance(inside, ServerErrorMiddleware):
        inside.app = RequestEvents(inside.app)
    else:
        inside = RequestEvents(inside)
    if span is None:
        return RequestContext(inside, inside, _headers() | dict(headers))
    span.app = inside
    return RequestContext(stack, inside, _headers() | dict(headers), span.excluded_urls)


def _server_span(stack: ASGIApp) -> Any:
    layer: Any = stack
    while layer is not None and not isinstance(layer, OpenTelemetryMiddleware):
        layer = getattr(layer, "app", None)
    return layer


def _headers() -> dict[str, str]:
    settings = current()
    chosen = {"session_id": settings.session_header, "tenant_id": settings.tenant_header}
    return {"user_id": "X-User-ID", "request_id": "X-Request-ID"} | {
        field: header for field, header in chosen.items() if header
    }


class GanglionFastAPIInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # mypy sees nothing of its module
    """Instruments every FastAPI and Starlette application at its first request, whenever it was made."""

    _originals: dict[type[Starlette], Any]

    def instrumentation_dependencies(self) -> Collection[str]:
        """Name the packages without which there is nothing to do."""
        return ("fastapi >= 0.92",)

    def _instrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the signature of all instrumentors
        disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
        self._originals = {}
        if "fastapi" in {name.strip() for name in disabled.split(",")}:
            return
        if FastAPIInstrumentor().is_instrumented_by_opentelemetry:
            FastAPIInstrumentor().uninstrument()  # one server span for a request: ours brings it
        for kind in (Starlette, FastAPI):
            self._originals[kind] = kind.__call__
            kind.__call__ = _instrumenting(kind.__call__)  # type: ignore[method-assign]

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        for kind, original in self._originals.items():
            kind.__call__ = original  # type: ignore[method-assign]
        for app in list(_instrumented):
            uninstrument(app)


def _instrumenting(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    async def instrumented(self: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
        if self not in _instrumented and IN_SCOPE not in scope:
            _try_to_instrument(self)
        await call(self, scope, receive, send)

    return instrumented


def _try_to_instrument(app: Starlette) -> None:
    try:
        instrument(app)
    except Exception:
        _logger.exception("%s is not instrumented", type(app).__name__)
        _remember(app, _Before(app.build_middleware_stack, app.middleware_stack, with_otel=False))
