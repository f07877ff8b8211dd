"""Whose turn it is: what one token asks leaves room for what others ask."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from starlette.types import Message, Send

from ganglion_query.api.problems import BusyError

__all__ = ["Room", "Turns"]

_PATIENCE = 10.0
"""Seconds that a question waits for its turn."""


class Room:
    """How many may be inside at once: `most`, and of one token half as many."""

    def __init__(self, most: int, busy: str) -> None:
        self._most = most
        self._busy = busy
        self._inside: Counter[bytes | None] = Counter()

    @contextmanager
    def entered(self, token: bytes | None) -> Generator[None]:
        """Be one of those inside, with this token, None where none is needed. In the event loop's thread alone.

        Raises:
            BusyError: there is no room for another one.
        """
        if self._inside.total() >= self._most:
            raise BusyError(f"{self._busy}; try again in a moment")
        if token is not None and self._inside[token] >= max(1, self._most // 2):
            raise BusyError(f"{self._busy} with this token; try again in a moment")
        self._inside[token] += 1
        try:
            yield
        finally:
            self._inside[token] -= 1
            if not self._inside[token]:
                del self._inside[token]


class Turns:
    """Lets each token ask the database three quarters of what can be asked at once; what is more waits in a row."""

    def __init__(self, connections: int) -> None:
        self._share = max(1, connections * 3 // 4)
        self._rows: WeakValueDictionary[bytes, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, token: bytes | None, send: Send) -> AsyncGenerator[Send]:
        """Wait for the turn, and give what sends the answer in place of `send`: as it begins, the turn is over.

        Raises:
            BusyError: it took too long.
        """
        if token is None:
            yield send
            return
        row = self._rows.setdefault(token, asyncio.Semaphore(self._share))
        try:
            async with asyncio.timeout(_PATIENCE):
                await row.acquire()
        except TimeoutError:
            raise BusyError("too many questions at once with this token; try again in a moment") from None
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                row.release()

        async def told(message: Message) -> None:
            end()
            await send(message)

        try:
            yield told
        finally:
            end()
