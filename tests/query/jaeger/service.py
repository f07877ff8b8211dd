"""Jaeger's query API over a database, asked by HTTP as its clients do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from ganglion_query.jaeger.router import router
from ganglion_query.reader import Reader

__all__ = ["get", "jaeger"]


@asynccontextmanager
async def jaeger(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the API at its place, /jaeger; SERVER's guard stands before it in a whole server."""
    app = FastAPI()
    app.include_router(router)

    @app.middleware("http")
    async def with_reader(request: Request, call_next: Any) -> Any:
        request.state.reader = Reader(dsn)
        return await call_next(request)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/jaeger") as client:
        yield client


async def get(dsn: str, path: str, query: Mapping[str, Any] | str | None = None) -> httpx.Response:
    """Ask one question."""
    async with jaeger(dsn) as client:
        return await client.get(path, params=query)
