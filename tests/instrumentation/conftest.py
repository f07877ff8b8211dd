"""Collectors of all kinds: one that takes everything, one that never answers."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from ganglion_collector.testing import OTLPSink


@pytest.fixture
async def sink() -> AsyncIterator[OTLPSink]:
    async with OTLPSink() as sink:
        yield sink


@pytest.fixture
def hanging() -> Iterator[str]:
    """The URL of a server that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
