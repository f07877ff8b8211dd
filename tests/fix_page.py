"""What the page is looked at with: telemetry in PostgreSQL, a stand-in for LangSmith, a collector, the built page."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.fix_collector import HEADER, RunningCollector, simple
from tests.fix_postgresql import fresh_database
from tests.langsmith_server import LangSmithServer
from tests.query.page import world
from tests.query.telemetry import Sent, store

__all__ = ["AXE", "PAGE", "Stack", "filled", "running_stack", "whole_collector"]

_ROOT = Path(__file__).parent.parent
PAGE = _ROOT / "query" / "ganglion_query" / "_page"
AXE = _ROOT / "query" / "web" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass(frozen=True)
class Stack:
    """Where everything is."""

    url: str
    dsn: str
    langsmith_url: str


async def filled(dsn: str, sent: Sequence[Sent]) -> None:
    """Store it, and let PostgreSQL know what it has."""
    await store(dsn, *sent)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("ANALYZE")


@contextmanager
def whole_collector(dsn: str, folder: Path, query: str = "", **environ: str) -> Iterator[RunningCollector]:
    """Run a collector with its query process over `dsn`; `query` are settings of that, as flow YAML."""
    if not (PAGE / "index.html").is_file():
        pytest.fail("this test needs the built page: make page", pytrace=False)
    quoted = json.dumps(dsn)
    text = simple(f"{{postgresql: {{dsn: {quoted}}}}}", "logs: [postgresql]", "traces: [postgresql]")
    extension = f'  query: {{endpoint: "127.0.0.1:0", dsn: {quoted}{query and ", "}{query}}}\n'
    text = text.replace(HEADER, HEADER + extension).replace("[health_check]", "[health_check, query]")
    collector = RunningCollector(text, folder / "home", environ)
    try:
        yield collector.start()
    finally:
        collector.close()


@asynccontextmanager
async def running_stack(server: str, folder: Path, sent: Sequence[Sent]) -> AsyncIterator[Stack]:
    """Run everything over a database of its own that holds `sent`."""
    with fresh_database(server) as dsn, LangSmithServer() as langsmith:
        await filled(dsn, sent)
        variables = {"LANGSMITH_API_KEY": "lsv2_of_the_tests", "LANGSMITH_ENDPOINT": langsmith.url}
        served = whole_collector(dsn, folder, **variables)
        collector = await asyncio.to_thread(served.__enter__)
        try:
            yield Stack(f"http://{collector.address('query')}", dsn, langsmith.url)
        finally:
            await asyncio.to_thread(served.__exit__, None, None, None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    everything = [*world.week(), *world.hostile(), *world.large()]
    async with running_stack(postgresql_server, tmp_path_factory.mktemp("page"), everything) as running:
        yield running
