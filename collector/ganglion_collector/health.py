"""What the collector's two small HTTP servers answer: health, and its own metrics."""

import asyncio

import orjson

from ganglion_collector.board import Board
from ganglion_collector.metrics_page import CONTENT_TYPE, MetricsPage
from ganglion_collector.small_server import Answer, Asked, Respond

__all__ = ["health_answer", "metrics_answer"]


def health_answer(board: Board) -> Respond:
    """200 while everything works, else 503; the body names each component with its status and reason."""

    async def answer(_asked: Asked) -> Answer:
        return Answer(200 if board.is_healthy else 503, "application/json", orjson.dumps(board.health()))

    return answer


def metrics_answer(page: MetricsPage) -> Respond:
    async def answer(_asked: Asked) -> Answer:
        return Answer(200, CONTENT_TYPE, await asyncio.to_thread(page.render))

    return answer
