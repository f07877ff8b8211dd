"""The two ASGI layers around an application: whose request it is, and what became of it.

    RequestContext        headers to trace id and bound fields; X-Trace-ID and traceresponse on every response
      server span         the OpenTelemetry middleware
        error response    Starlette's: makes a 500 of an exception
          RequestEvents   http_request_received, http_response_sent, http_request_failed
            application

Neither touches the lifespan, nor a request that comes to an application mounted in another: it is the outer one's.
"""

import asyncio
import copy
import logging
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer as SDKTracer
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.util.http import ExcludeList
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ganglion._baggage import received
from ganglion.context import bind, fields, unbind
from ganglion.logs import get_logger

__all__ = ["IN_SCOPE", "RequestContext", "RequestEvents", "RequestedTraces", "trace_id_from"]

IN_SCOPE = "ganglion.request"
"""Where a scope has its `_Request`; None in one that is excluded."""

_TRACE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST_VALUE = 128
_LONGEST_PATH = 1024
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_BODIES = frozenset({"http.response.body", "websocket.http.response.body"})

_log = get_logger("ganglion.fastapi")


@dataclass(slots=True)
class _Request:
    method: str
    path: str
    client: str | None
    trace_id: int | None
    given: Mapping[str, str]
    ignored: tuple[tuple[str, str], ...]
    started: float = field(default_factory=perf_counter)
    span: trace.Span = trace.INVALID_SPAN
    watched: bool = False

    def about(self) -> dict[str, Any]:
        return {"method": self.method, "path": self.path, "client": self.client}

    def duration_ms(self) -> float:
        return round((perf_counter() - self.started) * 1000, 3)


_serving: ContextVar[_Request | None] = ContextVar("ganglion_serving", default=None)


def trace_id_from(text: str) -> int | None:
    """Return the trace id that `text` names, a UUID or 32 hex digits; None where it is neither, or zero."""
    return int(text.replace("-", ""), 16) or None if _TRACE_ID.fullmatch(text) else None


class RequestContext:
    """Binds what the headers say for the time of a request, and answers with its trace id.

    A request that another application passes on goes to `mounted`, which is below the layer that makes server spans.
    """

    def __init__(
        self, app: ASGIApp, mounted: ASGIApp, headers: Mapping[str, str], excluded: ExcludeList | None = None
    ) -> None:
        self.app = app  # by this name others find the layers of a stack
        self._mounted = mounted
        self._fields = {name.lower().encode("latin-1"): field for field, name in headers.items()}
        self._excluded = excluded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        if IN_SCOPE in scope:
            await self._mounted(scope, receive, send)
            return
        # FastAPI makes spans of its own for a mounted application, unless the scope has this.
        scope.setdefault("fastapi.telemetry", None)
        request = scope[IN_SCOPE] = None if self._is_excluded(scope) else _read(scope, self._fields)
        if request is None:
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] in _STARTS:
                message = {**message, "headers": _response_headers(message, request.span.get_span_context())}
            await send(message)

        with _context_of(request):
            await self.app(scope, receive, answer)

    def _is_excluded(self, scope: Scope) -> bool:
        return self._excluded is not None and self._excluded.url_disabled(_url(scope))


def _url(scope: Scope) -> str:
    """Return the URL that the OpenTelemetry middleware compares with what is excluded."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    server = scope.get("server") or ("0.0.0.0", 80)  # noqa: S104 - a name, as there
    address = server[0] if server[1] == 80 else f"{server[0]}:{server[1]}"
    return f"{scope.get('scheme', 'http')}://{hosts[0] if hosts else address}{scope['path']}"


@contextmanager
def _context_of(request: _Request) -> Generator[None]:
    # A task that a server makes inside another request's context has that one's span and fields
    # (https://github.com/python/cpython/issues/140947). Between two requests only headers carry anything.
    leaked = _serving.get() is not None
    serving = _serving.set(request)
    token = otel_context.attach(otel_context.Context()) if leaked else None
    before = fields()
    if leaked:
        unbind(*before)
    bind(**{"request_id": os.urandom(16).hex(), **request.given})
    try:
        yield
    finally:
        unbind(*fields())
        if before:
            bind(**before)
        _serving.reset(serving)
        if token is not None:
            otel_context.detach(token)


def _read(scope: Scope, names: Mapping[bytes, str]) -> _Request:
    bound: dict[str, str] = {}
    ignored: list[tuple[str, str]] = []
    wanted: set[str] = set()
    for name, value in scope["headers"]:
        if name == b"x-trace-id":
            wanted.add(value.decode("latin-1").strip())
        elif name in names:
            text = _identifier(value)
            if text is None:
                ignored.append((name.decode("latin-1"), f"expected 1 to {_LONGEST_VALUE} printable characters"))
            else:
                bound[names[name]] = text
    trace_id = trace_id_from(wanted.pop()) if len(wanted) == 1 else None
    if trace_id is None and any(name == b"x-trace-id" for name, _ in scope["headers"]):
        ignored.append(("x-trace-id", "expected one UUID or 32 hexadecimal digits, not zero"))
    client = scope.get("client")
    return _Request(
        method=scope.get("method", "GET"),
        path=scope["path"][:_LONGEST_PATH],
        client=client[0] if client else None,
        trace_id=trace_id,
        given=bound,
        ignored=tuple(ignored),
    )


def _identifier(value: bytes) -> str | None:
    """Return a header's value as a field: it ends in every log and on every span, so it is short and one line."""
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        return None
    return text if 0 < len(text) <= _LONGEST_VALUE and text.isprintable() else None


def _response_headers(message: Message, span: trace.SpanContext) -> list[tuple[bytes, bytes]]:
    """Add the trace's id, and the W3C draft's https://w3c.github.io/trace-context/#traceresponse-header."""
    headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
    if not span.is_valid:
        return headers
    trace_id = f"{span.trace_id:032x}"
    ours = {
        b"x-trace-id": trace_id.encode(),
        b"traceresponse": f"00-{trace_id}-{span.span_id:016x}-{span.trace_flags:02x}".encode(),
    }
    kept = [(name, value) for name, value in headers if name.lower() not in ours]
    # A page of another origin may read only the headers that are named here.
    if any(name.lower() == b"access-control-allow-origin" for name, _ in kept):
        kept.append((b"access-control-expose-headers", b"X-Trace-ID, traceresponse"))
    return [*kept, *ours.items()]


class RequestedTraces(trace.Tracer):
    """A tracer whose root spans have the trace id that the request asked for; a parent that came with it wins."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
        """Start a span as the tracer below does."""
        request = _serving.get()
        # A tracer from before the provider was set stands for the one it became.
        tracer = getattr(self._tracer, "_tracer", self._tracer)
        if request is not None and request.trace_id is not None and isinstance(tracer, SDKTracer):
            tracer = copy.copy(tracer)
            tracer.id_generator = _OneTrace(request.trace_id, tracer.id_generator)
        return tracer.start_span(name, *args, **kwargs)

    @contextmanager
    def start_as_current_span(self, name: str, *args: Any, **kwargs: Any) -> Generator[trace.Span]:  # type: ignore[override]
        """Start a span as the tracer below does: only the request's own is a root."""
        with self._tracer.start_as_current_span(name, *args, **kwargs) as span:
            yield span


class _OneTrace(IdGenerator):
    def __init__(self, trace_id: int, others: IdGenerator) -> None:
        self._trace_id = trace_id
        self._others = others

    def generate_span_id(self) -> int:
        return self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._trace_id


class RequestEvents:
    """Logs what happens to a request, in the context of its server span."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: _Request | None = scope.get(IN_SCOPE)
        if request is None or request.watched or scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        request.watched = True
        _take_what_came(request)
        for header, reason in request.ignored:
            _log.warning("http_header_ignored", header=header, reason=reason, **request.about())
        _log.info("http_request_received", **request.about())
        exchange = (_Exchange if scope["type"] == "http" else _Connection)(scope, request, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except (Exception, asyncio.CancelledError) as error:
            exchange.failed(error)
            raise
        exchange.returned()


def _take_what_came(request: _Request) -> None:
    request.span = trace.get_current_span()
    attributes: Mapping[str, Any] = getattr(request.span, "attributes", None) or {}
    request.path = attributes.get("http.route", request.path)
    trusted = {name: value for name, value in received().items() if name not in request.given}
    if trusted:
        bind(**trusted)


def _name_mounted_route(scope: Scope, request: _Request) -> None:
    """Complete the route of a mounted application, of which the server span only knew the mount."""
    prefix = scope.get("root_path", "").removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
    template = getattr(scope.get("route"), "path_format", None)
    if not prefix or template is None:
        return
    request.path = prefix + template
    request.span.update_name(f"{request.method if scope['type'] == 'http' else 'HTTP'} {request.path}")
    request.span.set_attribute("http.route", request.path)


class _Exchange:
    """One HTTP request and its response."""

    def __init__(self, scope: Scope, request: _Request, receive: Receive, send: Send) -> None:
        self.request = request
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._disconnected = False
        self._told = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self._status = message.get("status", 101)
            _name_mounted_route(self._scope, self.request)
        await self._send(message)
        if message["type"] in _BODIES and not message.get("more_body", False):
            self.sent()

    def sent(self) -> None:
        self._told = True
        status = self._status or 0
        level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
        _log.log(
            level,
            "http_response_sent",
            **self.request.about(),
            status=status,
            duration_ms=self.request.duration_ms(),
        )

    def failed(self, error: BaseException) -> None:
        if isinstance(error, ClientDisconnect | asyncio.CancelledError):
            if not self._told:
                self._tell_end(type(error).__name__, "the client went away" if self._disconnected else "cancelled")
            return
        self._told = True
        _log.error(
            "http_request_failed",
            **self.request.about(),
            type=type(error).__name__,
            duration_ms=self.request.duration_ms(),
            exc_info=error,
        )

    def returned(self) -> None:
        """Tell what was not told yet: there was no last byte."""
        if self._told:
            return
        if self._disconnected:
            self._tell_end("ClientDisconnect", "the client went away")
        elif self._status is None:
            self._tell_end("NoResponse", "the application sent no response")
        else:  # a file that the server sends by itself
            self.sent()

    def _tell_end(self, kind: str, error: str) -> None:
        self._told = True
        _log.warning(
            "http_request_failed",
            **self.request.about(),
            error=error,
            type=kind,
            duration_ms=self.request.duration_ms(),
        )


class _Connection(_Exchange):
    """One websocket: its handshake is told as a request and its response, then its end."""

    def __init__(self, scope: Scope, request: _Request, receive: Receive, send: Send) -> None:
        super().__init__(scope, request, receive, send)
        self._code: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._code = message.get("code")
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            self.sent()
        elif message["type"] == "websocket.close":
            self._code = message.get("code", 1000)
            if not self._told:  # a server refuses the handshake with this
                self._status = 403
                self.sent()

    def failed(self, error: BaseException) -> None:
        if isinstance(error, WebSocketDisconnect):
            self._code = error.code
            self.returned()
            return
        super().failed(error)

    def returned(self) -> None:
        if self._status == 101:
            _log.info(
                "websocket_closed",
                **self.request.about(),
                code=self._code,
                duration_ms=self.request.duration_ms(),
            )
        else:
            super().returned()
