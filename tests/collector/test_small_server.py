"""The small HTTP server: what a request brings, how many at once, who is cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import httpx
import pytest
from ganglion_collector.small_server import Answer, Asked, SmallServer


@asynccontextmanager
async def serving(server: SmallServer) -> AsyncIterator[httpx.AsyncClient]:
    address = await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
            yield client
    finally:
        await server.shutdown()


def page(body: bytes = b"page") -> SmallServer:
    async def respond(_asked: Asked) -> Answer:
        return Answer(200, "text/plain", body)

    return SmallServer("127.0.0.1:0", "/page", respond, "some::endpoint", index=Answer(200, "text/html", b"index"))


async def test_headers_are_known_by_lower_case_name_and_joined() -> None:
    seen: list[Asked] = []

    async def respond(asked: Asked) -> Answer:
        seen.append(asked)
        return Answer(200, "text/plain", b"", {"x-more": "1"})

    async with serving(SmallServer("127.0.0.1:0", "/page", respond, "some::endpoint")) as client:
        answer = await client.get("/page?x=1", headers=[("ACCEPT", "a"), ("Accept", "b;q=0.5")])
    assert seen[0].path == "/page"
    assert "a, b;q=0.5" in seen[0].headers["accept"]
    assert answer.headers["x-more"] == "1"


async def test_a_large_answer_comes_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with serving(page(body)) as client:
        assert (await client.get("/page")).content == body
        head = await client.head("/page")
    assert (head.headers["content-length"], head.content) == (str(len(body)), b"")


@pytest.mark.parametrize(("path", "body"), [("/page", "page"), ("/", "index"), ("/x", "not found\n")])
async def test_paths(path: str, body: str) -> None:
    async with serving(page()) as client:
        assert (await client.get(path)).text == body


async def test_too_many_at_once_are_asked_to_come_again() -> None:
    waiting, going = 0, asyncio.Event()

    async def respond(_asked: Asked) -> Answer:
        nonlocal waiting
        waiting += 1
        await going.wait()
        return Answer(200, "text/plain", b"")

    async with serving(SmallServer("127.0.0.1:0", "/page", respond, "some::endpoint")) as client:
        asked = [asyncio.create_task(client.get("/page")) for _ in range(40)]
        # All that are too many, before the others make room for one of them.
        for answered in islice(asyncio.as_completed(asked), 8):
            refused = await answered
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        going.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert statuses.count(503) == 40 - waiting == 8
        assert (await client.get("/page")).status_code == 200
