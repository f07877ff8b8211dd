"""A small HTTP server: one page, for programs that ask now and then."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn

from ganglion_collector.endpoint import Endpoint, listening_sockets, parse_endpoint
from ganglion_collector.errors import StartError

__all__ = ["Answer", "Asked", "Respond", "SmallServer"]

_logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 32
"""Answers on their way; each may be a large page in memory."""
_SLOWEST = 60.0
"""Seconds in which a reader must have taken its answer."""
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A GET (or HEAD): its path, and its headers by lower-case name; of a repeated header the values, comma-joined."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Respond: TypeAlias = Callable[[Asked], Awaitable[Answer]]


class SmallServer:
    """Answers GET and HEAD on `path`, and where `index` is given shows that on `/`.

    `setting` names the key that changes the endpoint, for the error message.
    """

    def __init__(
        self,
        endpoint: str,
        path: str,
        respond: Respond,
        setting: str,
        *,
        index: Answer | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._path = path
        self._respond = respond
        self._setting = setting
        self._index = index
        self._tls = tls
        self._answering = 0
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sockets: Sequence[socket.socket] = ()

    async def start(self) -> str:
        """Listen and return the address.

        Raises:
            StartError: the address is taken or unknown; the message names the setting that changes it.
        """
        try:
            self._sockets = listening_sockets(parse_endpoint(self._endpoint))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StartError(f"{reason}; change {self._setting}") from None
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        config.load()
        config.ssl = self._tls
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(list(self._sockets)))
        host, port = self._sockets[0].getsockname()[:2]
        return str(Endpoint(host, port))

    async def shutdown(self) -> None:
        """Stop listening. Safe twice, and without start."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._serving = None

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG002 (ASGI)
        if self._answering >= _MOST_AT_ONCE:
            await _send(send, scope, _text(503, "too many at once\n", {"retry-after": "1"}))
            return
        self._answering += 1
        try:
            await _send(send, scope, await self._answer(scope))
        finally:
            self._answering -= 1

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        path: str = scope["path"]
        is_page = path == self._path or path.rstrip("/") == self._path.rstrip("/")
        if not is_page and (self._index is None or path != "/"):
            return _text(404, "not found\n")
        if scope["method"] not in ("GET", "HEAD"):
            return _text(405, "only GET\n", {"allow": "GET, HEAD"})
        if not is_page and self._index is not None:
            return self._index
        return await self._respond(Asked(path, _headers(scope)))


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, "text/plain", text.encode(), headers or {})


async def _send(send: Any, scope: dict[str, Any], answer: Answer) -> None:
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
    written = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        async with asyncio.timeout(_SLOWEST):
            await send({"type": "http.response.start", "status": answer.status, "headers": written})
            body = memoryview(b"" if scope["method"] == "HEAD" else answer.body)
            # In pieces, since between two of them uvicorn waits until the reader has taken what was sent.
            for start in range(0, len(body), _PIECE):
                piece = bytes(body[start : start + _PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        _logger.warning("a reader was too slow and is cut off", extra={"path": scope["path"]})


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: whoever owns the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
