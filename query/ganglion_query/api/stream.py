"""Logs as they are stored, as Server-Sent Events: until the client goes, or this process ends.

A client that reads slowly is told less often, and of much at once only the newest; nothing waits for it in memory.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import anyio.to_thread
from anyio import CapacityLimiter
from pydantic import TypeAdapter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ganglion_query.answers.tail import INTERVAL, Tail, Told
from ganglion_query.api.problems import Problem, problem_of
from ganglion_query.api.turns import Room
from ganglion_query.model import LogRow
from ganglion_query.reader import ReaderError

__all__ = ["Gap", "TailRoom", "TailStream"]

_logger = logging.getLogger(__name__)

_MOST = 32
_AT_ONCE = 4
_HEARTBEAT = 15.0
_SLOWEST = 30.0
"""Seconds in which a client must have taken what was sent."""
_PAUSE = 2.0
"""Seconds until a database that could not be asked is asked again."""


@dataclass(frozen=True, slots=True)
class Gap:
    """There was more than can be told at once; what is told is the newest of it."""

    skipped: bool = True


_row: TypeAdapter[LogRow] = TypeAdapter(LogRow)
_gap: TypeAdapter[Gap] = TypeAdapter(Gap)
_problem: TypeAdapter[Problem] = TypeAdapter(Problem)


class TailRoom(Room):
    """How many follow at once, and when all have to end."""

    def __init__(self) -> None:
        super().__init__(_MOST, "too many follow the logs already")
        self.closing = asyncio.Event()
        self._looks = CapacityLimiter(_AT_ONCE)

    async def look(self, tail: Tail) -> Told:
        """Return what is new; at most a few look at the same time."""
        return await anyio.to_thread.run_sync(tail.poll, limiter=self._looks)


class TailStream(Response):
    """Tells what `tail` finds, as long as whoever asked, with `token` if one is needed, is allowed to know."""

    media_type = "text/event-stream"

    def __init__(
        self, tail: Tail, room: TailRoom, token: bytes | None = None, is_allowed: Callable[[], bool] = lambda: True
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._tail = tail
        self._room = room
        self._token = token
        self._is_allowed = is_allowed
        self._complaint = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI)
        with self._room.entered(self._token):
            ends = [asyncio.create_task(_gone(receive)), asyncio.create_task(self._room.closing.wait())]
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._follow(send, ends)
                await send({"type": "http.response.body", "body": b""})
            except TimeoutError:
                _logger.info("a client that followed the logs was too slow and is cut off")
            finally:
                for task in ends:
                    task.cancel()

    async def _follow(self, send: Send, ends: list[asyncio.Task[object]]) -> None:
        clock = asyncio.get_running_loop()
        spoken, pause = 0.0, 0.0
        while not (await asyncio.wait(ends, timeout=pause, return_when=asyncio.FIRST_COMPLETED))[0]:
            if not self._is_allowed():
                return
            text, pause = await self._news()
            if not text and clock.time() - spoken > _HEARTBEAT:
                text = b": all is well\n\n"
            if text:
                async with asyncio.timeout(_SLOWEST):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                spoken = clock.time()

    async def _news(self) -> tuple[bytes, float]:
        """Return what there is to tell now, and the seconds until the next look."""
        try:
            told = await self._room.look(self._tail)
        except ReaderError as error:
            complaint, self._complaint = self._complaint, str(error)
            return b"" if complaint == self._complaint else _event(
                "problem", _problem.dump_json(problem_of(error))
            ), _PAUSE
        self._complaint = ""
        return b"".join(_events(told)), INTERVAL


def _events(told: Told) -> Iterator[bytes]:
    if told.skipped:
        yield _event("gap", _gap.dump_json(Gap()))
    for log in told.logs:
        yield _event("log", _row.dump_json(log))


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def _gone(receive: Receive) -> object:
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message
