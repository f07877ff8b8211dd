"""Whoever goes before the answer takes the question along: PostgreSQL stops working on it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from ganglion_query.reader import Cancellation, CancelledError, Reader

from tests.fix_collector import eventually
from tests.query.serving import served
from tests.query.telemetry import Sent, log, store

pytestmark = pytest.mark.timeout(60)

LONG = 600
"""Seconds after which the database itself would give up."""
_WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""


@pytest.fixture
def dsn(postgresql: str) -> str:
    asyncio.run(store(postgresql, Sent("shop", [], [log("first", at=datetime.now(UTC))])))
    return postgresql


class Locked:
    """A database in which whoever asks for logs waits."""

    def __init__(self, watching: psycopg.Connection) -> None:
        self._connection = watching

    def waiting(self) -> int:
        """Return how many do."""
        row = self._connection.execute(_WAITING).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def locked(dsn: str) -> Iterator[Locked]:
    with psycopg.connect(dsn) as locking, psycopg.connect(dsn, autocommit=True) as watching:
        locking.execute("LOCK TABLE logs")
        yield Locked(watching)


@contextmanager
def asking(address: str, path: str) -> Iterator[socket.socket]:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        yield client


@pytest.mark.parametrize(
    "path", ["/api/v1/logs", "/api/v1/overview", "/api/v1/traces/" + "a" * 32, "/jaeger/api/traces/" + "a" * 32]
)
def test_the_statement_of_a_client_that_has_gone_ends(dsn: str, path: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=1) as server:
        with locked(dsn) as database:
            with asking(server.address, path):
                eventually(lambda: database.waiting() == 1)
            eventually(lambda: database.waiting() == 0)
        # The only connection there may be is free again, and does not bear what was sent to stop another's statement.
        assert server.get("/api/v1/logs").status_code == 200


def test_others_are_answered_though_some_have_gone(dsn: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=2) as server, ThreadPoolExecutor() as threads:
        with locked(dsn) as database:
            with asking(server.address, "/api/v1/logs"):
                stays = threads.submit(server.get, "/api/v1/logs")
                eventually(lambda: database.waiting() == 2)
            eventually(lambda: database.waiting() == 1)
        assert stays.result(15).status_code == 200


def test_a_tail_ends_its_look_with_its_client(dsn: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=1) as server:
        with asking(server.address, "/api/v1/logs/tail") as client:
            assert client.recv(1024).startswith(b"HTTP/1.1 200")
            with locked(dsn) as database:
                eventually(lambda: database.waiting() == 1)
                client.close()
                eventually(lambda: database.waiting() == 0)
        assert server.get("/api/v1/logs").status_code == 200


def test_nothing_more_is_asked_once_it_is_cancelled(dsn: str) -> None:
    cancellation = Cancellation()
    reader = Reader(dsn).until(cancellation)
    with reader.session() as session:
        cancellation.cancel()
        with pytest.raises(CancelledError):
            session.dicts("SELECT 1", {})
    with pytest.raises(CancelledError), reader.session():
        pass


def test_a_statement_that_is_cancelled_says_so_in_its_thread(dsn: str) -> None:
    cancellation = Cancellation()
    told: list[Exception] = []

    def ask() -> None:
        try:
            Reader(dsn, LONG).until(cancellation).trace("a" * 32)
        except CancelledError as error:
            told.append(error)

    with locked(dsn) as database:
        thread = threading.Thread(target=ask)
        thread.start()
        eventually(lambda: database.waiting() == 1)
        cancellation.cancel()
        thread.join(10)
    assert [str(error) for error in told] == ["whoever asked has gone"]
