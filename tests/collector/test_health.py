"""The health endpoint and the small servers."""

import asyncio
import json
import socket

import httpx
import pytest
from ganglion_collector.board import OK, Board, Phase
from ganglion_collector.errors import StartError
from ganglion_collector.health import health_answer
from ganglion_collector.small_server import SmallServer


@pytest.fixture
def board() -> Board:
    board = Board()
    board.update("receiver", "running", pid=1)
    board.component("receiver:otlp", OK)
    board.enter("running")
    return board


async def _get(server: SmallServer, path: str = "/", method: str = "GET") -> httpx.Response:
    address = await server.start()
    try:
        async with httpx.AsyncClient() as client:
            return await client.request(method, f"http://{address}{path}")
    finally:
        await server.shutdown()


def _server(board: Board, path: str = "/") -> SmallServer:
    return SmallServer("127.0.0.1:0", path, health_answer(board), "extensions::health_check::endpoint")


async def test_healthy_is_200_with_every_component(board: Board) -> None:
    answer = await _get(_server(board))
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "Server available"
    assert body["components"]["receiver:otlp"]["status"] == "StatusOK"
    assert body["upSince"] <= body["components"]["receiver:otlp"]["since"]
    assert body["uptime"].endswith("s")


@pytest.mark.parametrize("status", ["StatusStarting", "StatusRecoverableError", "StatusPermanentError"])
async def test_component_that_is_not_well_makes_503_with_its_reason(board: Board, status: str) -> None:
    board.component("pipeline:logs/exporter:postgresql", status, "connection refused")
    answer = await _get(_server(board))
    assert answer.status_code == 503
    assert answer.json()["reason"] == "pipeline:logs/exporter:postgresql: connection refused"


async def test_process_that_restarts_makes_503(board: Board) -> None:
    board.update("receiver", "restarting", reason="killed by SIGKILL")
    answer = await _get(_server(board))
    assert (answer.status_code, answer.json()["reason"]) == (503, "receiver: killed by SIGKILL")


@pytest.mark.parametrize("phase", ["starting", "stopping"])
async def test_starting_and_stopping_make_503(board: Board, phase: Phase) -> None:
    board.enter(phase)
    answer = await _get(_server(board))
    assert (answer.status_code, answer.json()["reason"]) == (503, phase)


@pytest.mark.parametrize(
    ("path", "asked", "method", "status"),
    [
        ("/health", "/health", "GET", 200),
        ("/health", "/health/", "HEAD", 200),
        ("/health", "/", "GET", 404),
        ("/", "/", "POST", 405),
    ],
)
async def test_only_get_on_its_path_is_answered(board: Board, path: str, asked: str, method: str, status: int) -> None:
    assert (await _get(_server(board, path), asked, method)).status_code == status


async def test_taken_address_is_an_error_that_names_the_setting(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        server = SmallServer(endpoint, "/", health_answer(board), "extensions::health_check::endpoint")
        with pytest.raises(StartError, match=rf"{endpoint}.*; change extensions::health_check::endpoint"):
            await server.start()
    await server.shutdown()


async def test_many_and_broken_requests_do_no_harm(board: Board) -> None:
    server = _server(board)
    address = await server.start()
    host, _, port = address.rpartition(":")
    for text in (b"\0" * 100, b"GET / HTTP/1.1\r\n", b"NONSENSE\r\n\r\n"):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(text)
        await writer.drain()
        writer.close()
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(f"http://{address}/") for _ in range(20)))
    assert {json.loads(answer.content)["status"] for answer in answers} == {"Server available"}
    await server.shutdown()
    await server.shutdown()
