"""The collector's two small HTTP servers: health, and its own metrics."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import orjson
import uvicorn

from ganglion_collector.board import Board
from ganglion_collector.endpoint import Endpoint, listening_sockets, parse_endpoint
from ganglion_collector.errors import StartError
from ganglion_collector.metrics_page import CONTENT_TYPE, MetricsPage

__all__ = ["Answer", "SmallServer", "health_answer", "metrics_answer"]

Answer = Callable[[], Awaitable[tuple[int, str, bytes]]]
"""Returns status, content type and body."""


def health_answer(board: Board) -> Answer:
    """200 while everything works, else 503; the body names each component with its status and reason."""

    async def answer() -> tuple[int, str, bytes]:
        return (200 if board.is_healthy else 503), "application/json", orjson.dumps(board.health())

    return answer


def metrics_answer(page: MetricsPage) -> Answer:
    async def answer() -> tuple[int, str, bytes]:
        return 200, CONTENT_TYPE, await asyncio.to_thread(page.render)

    return answer


class SmallServer:
    """Answers GET on one path."""

    def __init__(self, endpoint: str, path: str, answer: Answer, setting: str) -> None:
        self._endpoint = endpoint
        self._path = path
        self._answer = answer
        self._setting = setting
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
        status, content_type, body = 404, "text/plain", b"not found\n"
        if scope["path"] == self._path or scope["path"].rstrip("/") == self._path.rstrip("/"):
            status, content_type, body = 405, "text/plain", b"only GET\n"
            if scope["method"] in ("GET", "HEAD"):
                status, content_type, body = await self._answer()
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the supervisor decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
