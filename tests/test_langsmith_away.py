"""LangSmith away for hours and days, by a clock that runs a thousand times faster: the standard library's is moved.

The exporter keeps its own settings for waiting; only the time passes in steps of half a minute.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.component import Record
from ganglion_exporters.langsmith import LangSmithConfig, LangSmithExporter

from tests.exporters.langsmith_spans import request, trace_batch
from tests.langsmith_server import LangSmithServer

HOUR = 3600
STEP = 30
SPANS = 5
PER_BATCH = 8


class Clock:
    """The time of this process, moved on by steps; the stand-in's time is the same."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        for name, factor in (("time", 1), ("monotonic", 1), ("time_ns", 10**9)):
            monkeypatch.setattr(time, name, self._moved(getattr(time, name), factor))

    def _moved(self, true: Callable[[], float], factor: int) -> Callable[[], float]:
        return lambda: true() + self.ahead * factor

    async def step(self, seconds: int = STEP) -> None:
        """Let some time pass, and everybody have a turn."""
        self.ahead += seconds
        await asyncio.sleep(0.001)


@pytest.fixture
def live_event_loop() -> None:
    """Do without the guard of all other tests: it measures by the clock that is moved here."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Rig:
    """An exporter that gets a batch now and then, and what it said."""

    def __init__(self, exporter: LangSmithExporter, server: LangSmithServer, clock: Clock) -> None:
        self.exporter = exporter
        self.server = server
        self.clock = clock
        self.batches = 0
        self.buried: list[tuple[Record, str]] = []
        self.reports: list[str] = []

    @property
    def traces(self) -> int:
        return self.batches * PER_BATCH

    async def export(self) -> None:
        self.batches += 1
        numbers = range((self.batches - 1) * PER_BATCH + 1, self.traces + 1)
        await self.exporter.export(trace_batch(request(*numbers, spans=range(SPANS)), first=self.batches))

    async def live(self, seconds: int, every: int = 600) -> None:
        """Let time pass with a batch now and then."""
        for second in range(0, seconds, STEP):
            if second % every == 0:
                await self.export()
            await self.clock.step()

    async def until(self, condition: Callable[[], bool], steps: int = 2000) -> None:
        """Let time pass in seconds, so that a request does not take half an hour of it."""
        for _ in range(steps):
            if condition():
                return
            await self.clock.step(1)
            await asyncio.sleep(0.003)
        raise AssertionError(f"not after {steps} steps; {len(self.server.runs)} runs, {len(self.buried)} buried")


@asynccontextmanager
async def rig(server: LangSmithServer, clock: Clock, folder: Path, **settings: Any) -> AsyncIterator[Rig]:
    config = LangSmithConfig.model_validate({"endpoint": server.url, "api_key": "k", "timeout": "10m", **settings})
    made = Rig(LangSmithExporter(config), server, clock)

    async def bury(record: Record, reason: str) -> None:
        made.buried.append((record, reason))

    made.exporter.keep_in(folder)
    made.exporter.bury_with(bury)
    made.exporter.report_to(made.reports.append)
    await made.exporter.start()
    try:
        yield made
    finally:
        await made.exporter.shutdown()


def assert_whole(server: LangSmithServer, traces: int) -> None:
    trees = server.trees()
    assert len(trees) == traces
    children = [f"span {number}" for number in range(1, SPANS)]
    # What was moved begins all at one time, so that its order says nothing.
    assert all(tree.run.name == "span 0" for tree in trees)
    assert all(sorted(child.run.name for child in tree.children) == children for tree in trees)
    assert {run.operations for run in server.runs} == {("post",)}
    assert all(run.end is not None for run in server.runs)


AWAY: dict[str, Callable[[LangSmithServer], object]] = {
    "refused": lambda server: server.refuse(),
    "503": lambda server: server.fail_with(503),
    "the key": lambda server: server.fail_with(401),
    "lost answers": lambda server: server.drop(store=True),
}


@pytest.mark.parametrize("how", AWAY)
async def test_six_hours_away_lose_and_double_nothing(
    how: str, langsmith_server: LangSmithServer, clock: Clock, tmp_path: Path
) -> None:
    async with rig(langsmith_server, clock, tmp_path) as one:
        await one.live(600)
        await one.until(lambda: len(langsmith_server.runs) == one.traces * SPANS)
        AWAY[how](langsmith_server)

        await one.live(6 * HOUR)

        assert one.reports[-1] != ""
        langsmith_server.recover()
        await one.until(lambda: len(langsmith_server.runs) == one.traces * SPANS and one.reports[-1] == "")
        assert one.buried == []
    assert one.traces > 250
    assert_whole(langsmith_server, one.traces)


@pytest.mark.parametrize(("old_spans", "lost"), [("isolate", True), ("dead_letter", True), ("shift", False)])
async def test_days_away(
    old_spans: str, lost: bool, langsmith_server: LangSmithServer, clock: Clock, tmp_path: Path
) -> None:
    langsmith_server.refuse()
    async with rig(langsmith_server, clock, tmp_path, old_spans=old_spans) as one:
        await one.live(2 * HOUR, every=300)
        clock.ahead += 23 * HOUR
        await one.live(600)
        langsmith_server.recover()

        await one.until(lambda: len(langsmith_server.runs) + len(one.buried) == one.traces * SPANS)
        await one.until(lambda: one.reports[-1] == "")

    assert bool(one.buried) is lost
    assert len(langsmith_server.trees()) > 0
    assert_whole(langsmith_server, one.traces - len(one.buried) // SPANS)
    assert len(Counter(record.payload for record, _ in one.buried)) == len(one.buried)
