"""An HTTP server for the application, without signal handlers or a log of its own."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator, Sequence

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["serve"]

_GRACE = 5
"""Seconds in which requests on their way are answered at the end."""
_KEEP_ALIVE = 75
_LONGEST_REQUEST = 256 * 1024
"""Bytes of one request, which is a line and headers: nobody asks with a body."""
_SLOWEST_REQUEST = 20
"""Seconds in which one has to arrive, from the connection or from its first byte."""
_MOST_CONNECTIONS = 500


async def serve(
    app: ASGIApp, sockets: Sequence[socket.socket], stopping: asyncio.Event, tls: ssl.SSLContext | None = None
) -> None:
    """Serve on sockets that listen, until `stopping` is set; then answer what is on its way."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    config.ssl = tls
    await _Server(config, stopping).serve(list(sockets))


class _Protocol(HttpToolsProtocol):
    """HTTP with bounds on what is kept of a request before anybody has looked at it, and for how long."""

    _length = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_SLOWEST_REQUEST, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._met()
        super().connection_lost(exc)

    def _met(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_message_begin(self) -> None:
        self._met()
        self._deadline = self.loop.call_later(_SLOWEST_REQUEST, self.transport.close)
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > _LONGEST_REQUEST:
            self.transport.close()
            return
        super().data_received(data)

    def on_message_complete(self) -> None:
        self._length = 0
        self._met()
        super().on_message_complete()


class _Server(uvicorn.Server):
    """uvicorn inside a process whose signals are somebody else's."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        # uvicorn's own loop wakes ten times a second, for a date header that nobody gets here.
        await self._stopping.wait()
