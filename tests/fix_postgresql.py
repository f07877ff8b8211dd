"""A real PostgreSQL: one server for the session, a fresh database for each test, and a proxy that cuts the line.

GANGLION_TEST_DATABASE_URL uses a given server instead (its role must be allowed to create databases).
"""

import asyncio
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from ganglion_collector.embedded import EmbeddedPostgreSQL
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A test kills processes, never the machine: what the server wrote is in the system's cache.
_QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}


def pytest_report_header() -> str:
    given = os.environ.get("GANGLION_TEST_DATABASE_URL")
    return f"postgresql: {'given by GANGLION_TEST_DATABASE_URL' if given else 'embedded'}"


@contextmanager
def embedded_server() -> Generator[str]:
    """Run a server and yield its DSN."""
    with tempfile.TemporaryDirectory(prefix="ganglion-test-") as folder:
        # The server's user, another one when root, passes through to its own folders.
        Path(folder).chmod(0o711)
        server = EmbeddedPostgreSQL(Path(folder), settings=_QUICK)
        server.prepare()
        command = server.command()
        with subprocess.Popen(command.argv, env=command.env, stderr=subprocess.DEVNULL) as process:
            try:
                asyncio.run(server.wait_ready(30))
                yield server.dsn
            finally:
                process.send_signal(signal.SIGINT)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The DSN of a running server; ends with the session, also if that is killed."""
    if given := os.environ.get("GANGLION_TEST_DATABASE_URL"):
        yield given
        return
    with embedded_server() as dsn:
        yield dsn


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Give the DSN of an empty database of `server`, which is dropped at the end."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def postgresql(postgresql_server: str) -> Iterator[str]:
    """The DSN of an empty database of its own."""
    with fresh_database(postgresql_server) as dsn:
        yield dsn


class PostgreSQLProxy:
    """Sits between a client and the server, on TCP; every method may be called from any thread.

    `dsn` goes through the proxy. What is held arrives after `resume`; what is cut is lost on both sides.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = conninfo_to_dict(upstream)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._refusing = False
        self._bytes_left: int | None = None
        self._needle: bytes | None = None
        self._delivered = False
        self._awaiting_answer = False
        self.cuts = 0
        """How often the line was cut."""
        self.connections = 0
        """How many connections were made."""
        self.reached = threading.Event()
        """Set when what `cut_at` or `cut_after` waits for came by."""

    def start(self) -> None:
        self._thread.start()
        self._flowing.set()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.dsn = make_conninfo("", **{**self._upstream, "host": "127.0.0.1", "port": self.port, "sslmode": "disable"})

    def cut(self) -> None:
        """Break every connection, now."""
        self._call(self._cut())

    def hold(self) -> None:
        """Let nothing pass, in both directions, until `resume`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    def refuse(self, *, refusing: bool = True) -> None:
        """Close new connections at once."""
        self._refusing = refusing

    def cut_after(self, count: int) -> None:
        """Break every connection, once, when `count` more bytes have passed from the client to the server."""
        self.reached.clear()
        self._bytes_left = count

    def cut_at(self, needle: bytes, *, delivered: bool = False) -> None:
        """Break every connection, once, when the client sends `needle`.

        Not `delivered`: the server never sees it. `delivered`: the server has answered it, and the client does not
        see the answer (a lost COMMIT). The needle must lie in one packet, as a short statement does.
        """
        self.reached.clear()
        self._needle, self._delivered = needle, delivered

    def stop(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _stop(self) -> None:
        self._server.close()
        self._flowing.set()
        await self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._upstream.get("host") or "localhost"), int(str(self._upstream.get("port") or 5432))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            up_reader, up_writer = await self._connect()
            self._writers.add(up_writer)
            await asyncio.gather(self._to_server(reader, up_writer), self._to_client(up_reader, writer))
            self._writers.discard(up_writer)
        except OSError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if not await self._pass(data, writer):
                    break
        writer.close()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        if self._bytes_left is not None:
            passing = data[: self._bytes_left]
            self._bytes_left -= len(passing)
            writer.write(passing)
            await writer.drain()
            if self._bytes_left == 0:
                self._bytes_left = None
                return await self._trip()
            return True
        if self._needle is not None and self._needle in data:
            self._needle = None
            if not self._delivered:
                return await self._trip()
            self._awaiting_answer = True
        writer.write(data)
        await writer.drain()
        return True

    async def _trip(self) -> bool:
        await self._cut()
        self.reached.set()
        return False

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._awaiting_answer:
                    self._awaiting_answer = False
                    await self._trip()
                    break
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
def postgresql_proxy(postgresql: str) -> Iterator[PostgreSQLProxy]:
    """A proxy in front of a fresh database; use its `dsn`."""
    proxy = PostgreSQLProxy(postgresql)
    proxy.start()
    yield proxy
    proxy.stop()
