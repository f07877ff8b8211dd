"""Notices when a client goes before it has its answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import Message, Receive

from ganglion_query.reader import Cancellation

__all__ = ["until_gone"]


@asynccontextmanager
async def until_gone(receive: Receive, cancellation: Cancellation) -> AsyncGenerator[Receive]:
    """Give what tells the messages of `receive` in its place, and cancel what runs for a client that has gone."""
    messages: asyncio.Queue[Message] = asyncio.Queue()

    async def listen() -> None:
        while (message := await receive())["type"] != "http.disconnect":
            messages.put_nowait(message)
        messages.put_nowait(message)
        await asyncio.to_thread(cancellation.cancel)

    async def heard() -> Message:
        message = await messages.get()
        if message["type"] == "http.disconnect":
            messages.put_nowait(message)  # whoever asks again is told again
        return message

    listening = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        listening.cancel()
