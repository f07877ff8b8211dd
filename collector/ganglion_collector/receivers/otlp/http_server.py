"""OTLP over HTTP: a uvicorn server of its own around the ASGI application, without signal handlers or a log."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator

import grpc
import uvicorn
from google.rpc.status_pb2 import Status
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ganglion_collector.component import Authenticator
from ganglion_collector.endpoint import Endpoint, listening_sockets, parse_endpoint
from ganglion_collector.otlp_status import status_json
from ganglion_collector.receivers.otlp.config import HttpConfig
from ganglion_collector.receivers.otlp.http_app import HttpApp
from ganglion_collector.receivers.otlp.reception import Reception
from ganglion_collector.tls import TLSServerConfig, server_context

__all__ = ["HttpServer"]


class _Protocol(HttpToolsProtocol):
    """Answers bytes that are no HTTP as everything else is answered."""

    def send_400_response(self, msg: str) -> None:
        body = status_json(Status(code=int(grpc.StatusCode.INVALID_ARGUMENT.value[0]), message=msg))
        head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn inside a process whose signals are somebody else's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop wakes ten times a second, for a date header that nobody gets here.
        await self.stopping.wait()


class HttpServer:
    """Serves the path of every signal that is wanted."""

    def __init__(self, config: HttpConfig, reception: Reception, authenticator: Authenticator | None) -> None:
        self._config = config
        self._app = HttpApp(config, reception, authenticator)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> Endpoint:
        """Listen; return the endpoint with the port that is really listened on."""
        endpoint = parse_endpoint(self._config.endpoint)
        sockets = listening_sockets(endpoint)
        port = int(sockets[0].getsockname()[1])
        self._server = _Server(self._uvicorn_config())
        self._serving = asyncio.create_task(self._server.serve(sockets), name="otlp-http")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._serving.done():
            self._serving.result()
        return Endpoint(endpoint.host, port)

    async def shutdown(self, grace: float) -> None:
        """Stop listening, answer what is in flight within `grace` seconds. Safe twice, and without start."""
        server, self._server = self._server, None
        if server is None or self._serving is None:
            return
        server.config.timeout_graceful_shutdown = max(1, round(grace))
        server.stopping.set()
        await self._serving

    def _uvicorn_config(self) -> uvicorn.Config:
        tls = self._config.tls
        return uvicorn.Config(
            self._app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=round(self._config.idle_timeout) or 2**31,
            ssl_context_factory=None if tls is None else _context_factory(tls),
        )


def _context_factory(tls: TLSServerConfig) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda _config, _default: server_context(tls)
