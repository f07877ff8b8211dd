"""Clients that go, or never quite come: PostgreSQL stops working for them, and they hold no connection."""

import asyncio
import socket
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest
from ganglion_query.api import server
from ganglion_query.reader import Cancellation, CancelledError, Reader

from tests.fix_collector import eventually
from tests.query.database import locked
from tests.query.serving import served
from tests.query.telemetry import Sent, log, store

LONG = 600
"""Seconds after which the database itself would give up."""


@pytest.fixture
def dsn(postgresql: str) -> str:
    asyncio.run(store(postgresql, Sent("shop", [], [log("first", at=datetime.now(UTC))])))
    return postgresql


def connected(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


@contextmanager
def asking(address: str, path: str) -> Generator[socket.socket]:
    with connected(address) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        yield client


@pytest.mark.parametrize(
    "path", ["/api/v1/logs", "/api/v1/overview", "/api/v1/traces/" + "a" * 32, "/jaeger/api/traces/" + "a" * 32]
)
def test_the_statement_of_a_client_that_has_gone_ends(dsn: str, path: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=1) as serving:
        with locked(dsn) as database:
            with asking(serving.address, path):
                eventually(lambda: database.waiting() == 1)
            eventually(lambda: database.waiting() == 0)
        # The only connection there may be is free again, and does not bear what was sent to stop another's statement.
        assert serving.get("/api/v1/logs").status_code == 200


def test_others_are_answered_though_some_have_gone(dsn: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=2) as serving, ThreadPoolExecutor() as threads:
        with locked(dsn) as database:
            with asking(serving.address, "/api/v1/logs"):
                stays = threads.submit(serving.get, "/api/v1/logs")
                eventually(lambda: database.waiting() == 2)
            eventually(lambda: database.waiting() == 1)
        assert stays.result(15).status_code == 200


def test_a_tail_ends_its_look_with_its_client(dsn: str) -> None:
    with served(dsn, timeout=f"{LONG}s", connections=1) as serving:
        with asking(serving.address, "/api/v1/logs/tail") as client:
            assert client.recv(1024).startswith(b"HTTP/1.1 200")
            with locked(dsn) as database:
                eventually(lambda: database.waiting() == 1)
                client.close()
                eventually(lambda: database.waiting() == 0)
        assert serving.get("/api/v1/logs").status_code == 200


@pytest.mark.parametrize("sent", [b"", b"GET /api/v1/logs HT", b"GET /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_on_which_no_request_arrives_is_closed(
    dsn: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_SLOWEST_REQUEST", 0.3)
    with served(dsn) as serving, connected(serving.address) as client:
        client.sendall(sent)
        # What is sent after the end is answered with a reset.
        with suppress(ConnectionResetError):
            assert client.recv(1024) == b""


def test_a_second_request_may_come_late_but_not_slowly(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dsn) as serving, closing(HTTPConnection(serving.address, timeout=10)) as client:
        for _ in range(2):
            client.request("GET", "/api/v1/session")
            answer = client.getresponse()
            assert (answer.status, answer.read()[:1]) == (200, b"{")
        monkeypatch.setattr(server, "_SLOWEST_REQUEST", 0.3)
        client.sock.sendall(b"GET /api")
        assert client.sock.recv(1024) == b""


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
