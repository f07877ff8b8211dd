"""OTLP over HTTP as an ASGI application: protobuf and JSON on one port, told apart by `Content-Type`.

Checks come in the order of what they cost: preflight, credentials, path, method, type, encoding, size; only then the
body is read. uvicorn throws away a body that nobody asked for, so the sender always gets its answer. Every answer of
400 and above is a `google.rpc.Status` in the request's encoding, in JSON when that is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from google.rpc.status_pb2 import Status

from ganglion_collector.component import Authenticator, Signal
from ganglion_collector.errors import InvalidRequestError, PartialSuccess, RefusedError, TooLargeError
from ganglion_collector.otlp_status import http_status, status_json
from ganglion_collector.receivers.otlp.config import HttpConfig
from ganglion_collector.receivers.otlp.cors import Cors
from ganglion_collector.receivers.otlp.decompression import ENCODINGS
from ganglion_collector.receivers.otlp.reception import Body, Hold, Reception
from ganglion_collector.receivers.otlp.responses import encode_json, encode_protobuf

__all__ = ["HttpApp"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_TRANSPORT = "http"
_JSON = "application/json"
_PROTOBUF = "application/x-protobuf"
_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class _ProtocolError(InvalidRequestError):
    """A request that is wrong before its body is looked at."""

    def __init__(self, http: int, code: grpc.StatusCode, message: str, **headers: str) -> None:
        super().__init__(message)
        self.http = http
        self.code = int(code.value[0])
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _DisconnectedError(Exception):
    """The sender went away before its request was complete."""


class HttpApp:
    """Answers every request that uvicorn brings."""

    def __init__(self, config: HttpConfig, reception: Reception, authenticator: Authenticator | None) -> None:
        self._config = config
        self._max_bytes = config.max_bytes
        self._reception = reception
        self._authenticator = authenticator
        self._cors = Cors(config.allowed) if config.allowed is not None and config.allowed.allowed_origins else None
        paths = {
            config.traces_url_path: Signal.TRACES,
            config.metrics_url_path: Signal.METRICS,
            config.logs_url_path: Signal.LOGS,
        }
        self._signals = {path: signal for path, signal in paths.items() if signal in reception.signals}
        self._fixed_headers = {name.lower(): value for name, value in config.response_headers.items()}
        if not config.keep_alives_enabled:
            self._fixed_headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self._cors is not None and self._cors.is_preflight(scope["method"], headers):
            await self._send(send, _Answer(204, self._cors.preflight_headers(headers)))
            return
        try:
            answer = await self._answer(scope, headers, receive)
        except _DisconnectedError:
            return
        except Exception as error:  # noqa: BLE001 (every error becomes a status)
            self._reception.tell(_TRANSPORT, error)
            answer = self._refusal(error, headers)
        if self._cors is not None:
            answer = _Answer(answer.status, {**answer.headers, **self._cors.response_headers(headers)}, answer.body)
        await self._send(send, answer)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> _Answer:
        sender: Mapping[str, str] = {}
        if self._authenticator is not None:
            sender = await self._reception.authenticate(self._authenticator, headers)
        signal = self._signal(scope)
        media_type, encoding = _media_type(headers), _encoding(headers)
        self._check_length(headers)
        with self._reception.memory.hold() as hold:
            content = await self._read(receive, hold)
            body = Body(content, encoding, json=media_type == _JSON, limit=self._max_bytes)
            del content
            partial = await self._reception.take(signal, _TRANSPORT, body, sender, hold)
        self._reception.tell(_TRANSPORT, None)
        return _success(signal, partial, media_type)

    def _signal(self, scope: Scope) -> Signal:
        signal = self._signals.get(scope["path"])
        if signal is None:
            known = ", ".join(self._signals)
            raise _ProtocolError(404, grpc.StatusCode.UNIMPLEMENTED, f"nothing is received at this path, only {known}")
        if scope["method"] != "POST":
            raise _ProtocolError(405, grpc.StatusCode.INVALID_ARGUMENT, "send it by POST", allow="POST")
        return signal

    def _check_length(self, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_bytes:
            raise TooLargeError(f"the request is larger than {self._max_bytes} bytes")

    async def _read(self, receive: Receive, hold: Hold) -> bytes:
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._config.read_timeout or None):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _DisconnectedError
                    piece, more = message.get("body", b""), message.get("more_body", False)
                    self._take(piece, hold)
                    pieces.append(piece)
        except TimeoutError:
            raise RefusedError("the body did not arrive in time", _RETRY_AFTER) from None
        return pieces.pop() if len(pieces) == 1 else b"".join(pieces)

    def _take(self, piece: bytes, hold: Hold) -> None:
        hold.take(len(piece))
        if hold.size > self._max_bytes:
            raise TooLargeError(f"the request is larger than {self._max_bytes} bytes")

    def _refusal(self, error: Exception, headers: Mapping[str, str]) -> _Answer:
        code, status, extra = http_status(error)
        if isinstance(error, _ProtocolError):
            code, extra = error.http, error.headers
            status = Status(code=error.code, message=str(error))
        if code == 401 and self._authenticator is not None:
            extra = {"www-authenticate": self._authenticator.challenge}
        if _base_type(headers) == _PROTOBUF:
            return _Answer(code, {"content-type": _PROTOBUF, **extra}, status.SerializeToString())
        return _Answer(code, {"content-type": _JSON, **extra}, status_json(status))

    async def _send(self, send: Send, answer: _Answer) -> None:
        headers = {**self._fixed_headers, **answer.headers}
        if answer.status != 204:
            headers["content-length"] = str(len(answer.body))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": answer.body})


def _success(signal: Signal, partial: PartialSuccess | None, media_type: str) -> _Answer:
    body = encode_json(signal, partial) if media_type == _JSON else encode_protobuf(signal, partial)
    return _Answer(200, {"content-type": media_type}, body)


def _base_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _media_type(headers: Mapping[str, str]) -> str:
    media_type = _base_type(headers)
    if media_type in (_JSON, _PROTOBUF):
        return media_type
    text = f"Content-Type must be {_PROTOBUF} or {_JSON}"
    raise _ProtocolError(415, grpc.StatusCode.INVALID_ARGUMENT, text, accept=f"{_PROTOBUF}, {_JSON}")


def _encoding(headers: Mapping[str, str]) -> str | None:
    """Return the encoding to undo; an unknown one is 415 with those we know (RFC 9110, section 15.5.16)."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ENCODINGS:
        return encoding
    known = ", ".join(sorted(ENCODINGS))
    text = f"Content-Encoding must be one of {known}, or none"
    raise _ProtocolError(415, grpc.StatusCode.INVALID_ARGUMENT, text, accept_encoding=known)
