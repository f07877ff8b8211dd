"""What a scrape is answered with."""

import asyncio
import re
import zlib
from collections.abc import Iterable

from ganglion_collector.small_server import Answer, Asked

from ganglion_exporters._prometheus.exposition import Format, negotiate, render
from ganglion_exporters._prometheus.model import Family, Series
from ganglion_exporters.prometheus.counters import SCRAPE_SECONDS
from ganglion_exporters.prometheus.store import Store

__all__ = ["INDEX", "PATH", "Page"]

PATH = "/metrics"
INDEX = Answer(
    200,
    "text/html; charset=utf-8",
    b'<!doctype html><title>Ganglion</title><p>Prometheus exporter: <a href="/metrics">/metrics</a></p>\n',
)

_LONGEST_WAIT = 5.0
"""Seconds that a scrape waits for an exporter that catches up; Prometheus gives one 10 by default."""
_AT_ONCE = 2
"""Answers being written; the others wait."""
_LEVEL = 1
"""Of compression: most of what can be saved for a fraction of the time."""
_GZIP_FRAME = 31
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=([01](?:\.[0-9]*)?))?\s*(?:,|$)", re.IGNORECASE)


class Page:
    """Writes the store in the form that the reader asks for."""

    def __init__(self, store: Store, *, open_metrics: bool, timestamps: bool) -> None:
        self._store = store
        self._open_metrics = open_metrics
        self._timestamps = timestamps
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self.current = asyncio.Event()
        """Cleared while the store stands before what was shown already: a counter would seem to be reset."""
        self.current.set()

    async def answer(self, asked: Asked) -> Answer:
        """Show all series as they are at one moment."""
        try:
            await asyncio.wait_for(self.current.wait(), _LONGEST_WAIT)
        except TimeoutError:
            return Answer(503, "text/plain", b"catching up after a restart\n", {"retry-after": "1"})
        chosen = negotiate(asked.headers.get("accept"), open_metrics=self._open_metrics)
        compressed = _takes_gzip(asked.headers.get("accept-encoding", ""))
        async with self._turn:
            families = self._store.families(open_metrics=chosen.is_open_metrics)
            # A thread of its own, since the loop has points to take meanwhile; what the store gave does not change.
            body = await asyncio.to_thread(self._written, families, chosen, compressed=compressed)
        headers = {"vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["content-encoding"] = "gzip"
        return Answer(200, chosen.content_type, body, headers)

    def _written(self, families: list[tuple[Family, list[Series]]], chosen: Format, *, compressed: bool) -> bytes:
        with SCRAPE_SECONDS.time():
            pieces = render(families, chosen, timestamps=self._timestamps)
            return _compressed(pieces) if compressed else b"".join(pieces)


def _compressed(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_FRAME)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


def _takes_gzip(accept_encoding: str) -> bool:
    found = _GZIP.search(accept_encoding)
    return found is not None and float(found[1] or 1) > 0
