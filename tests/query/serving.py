"""The API served in a thread on a free port, over a real database."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from ganglion_collector.endpoint import listening_sockets, parse_endpoint
from ganglion_collector.extensions.query import QueryConfig
from ganglion_query.api.app import AppSettings, make_app
from ganglion_query.api.server import serve
from ganglion_query.api.stream import TailRoom
from ganglion_query.api.tokens import callers_of
from ganglion_query.langsmith import LangSmith
from ganglion_query.reader import Reader, open_pool
from psycopg.conninfo import make_conninfo

__all__ = ["Serving", "served"]


@dataclass(frozen=True, slots=True)
class Serving:
    """What a test has of a server: a client without a token, the address, and how it is ended."""

    client: httpx.Client
    address: str
    room: TailRoom
    loop: asyncio.AbstractEventLoop

    def get(self, path: str, token: str = "", **parameters: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.client.get(path, params=parameters, headers=headers)

    def close_tails(self) -> None:
        self.loop.call_soon_threadsafe(self.room.closing.set)


@contextmanager
def served(
    dsn: str, page: Path = Path("/nowhere"), langsmith: LangSmith | None = None, **config: Any
) -> Iterator[Serving]:
    """Serve until the end of the block; `config` are keys of the extension."""
    settings = QueryConfig.model_validate(config)
    dsn = make_conninfo(dsn, options="-c TimeZone=UTC")
    with closing(open_pool(dsn, settings.connections)) as pool:
        reader = Reader(dsn, settings.timeout, langsmith, pool=pool)
        started: Future[Serving] = Future()
        stop: Future[Any] = Future()
        arguments = (AppSettings(reader, callers_of(settings), page=page), started, stop)
        thread = threading.Thread(target=lambda: asyncio.run(_serve(*arguments)))
        thread.start()
        serving = started.result(10)
        with serving.client:
            try:
                yield serving
            finally:
                stop.result(10)()
                thread.join(10)


async def _serve(settings: AppSettings, started: "Future[Serving]", stop: "Future[Any]") -> None:
    room, stopping, loop = TailRoom(), asyncio.Event(), asyncio.get_running_loop()
    sockets = listening_sockets(parse_endpoint("127.0.0.1:0"))
    address = f"127.0.0.1:{sockets[0].getsockname()[1]}"

    def end() -> None:
        room.closing.set()
        stopping.set()

    stop.set_result(lambda: loop.call_soon_threadsafe(end))
    client = httpx.Client(base_url=f"http://{address}", timeout=15, trust_env=False)
    started.set_result(Serving(client, address, room, loop))
    await serve(make_app(settings, room), sockets, stopping)
