"""Jaeger's query API at its place in our API, behind the guard, asked by HTTP as its clients do."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from ganglion_query.api.access import Callers, Guard
from ganglion_query.api.app import make_api
from ganglion_query.reader import Reader

__all__ = ["NOBODY", "data", "jaeger"]

NOBODY = "postgresql://nobody@127.0.0.1:1/nowhere?connect_timeout=1"
"""A database that is not there."""


@asynccontextmanager
async def jaeger(
    dsn: str,
    callers: Callers = Callers(None),  # noqa: B008
    timeout: float = 15,
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the API over a database, no question to which may take longer than `timeout` seconds."""
    app = Guard(make_api(), Reader(dsn, timeout), callers)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/jaeger"
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            yield client
        server.should_exit = True
        await running


async def data(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    """Return the data of an answer that is one."""
    query = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in parameters.items()}
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) == {"data", "total", "limit", "offset", "errors"}
    return answer["data"]
