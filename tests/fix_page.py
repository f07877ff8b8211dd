"""What the page is looked at with: telemetry in PostgreSQL, a stand-in for LangSmith, the API, the page as built."""

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.fix_collector import eventually
from tests.langsmith_server import LangSmithServer
from tests.programs import free_port
from tests.query.page import world
from tests.query.telemetry import Sent, store

__all__ = ["AXE", "PAGE", "Stack", "database", "filled", "running_stack", "serving_api"]

_ROOT = Path(__file__).parent.parent
PAGE = _ROOT / "query" / "ganglion_query" / "_page"
AXE = _ROOT / "query" / "web" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass(frozen=True)
class Stack:
    """Where everything is."""

    url: str
    dsn: str
    langsmith_url: str


@contextmanager
def database(server: str) -> Iterator[str]:
    """Make a database for longer than one test."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def filled(dsn: str, sent: Sequence[Sent]) -> None:
    """Store it, and let PostgreSQL know what it has."""
    await store(dsn, *sent)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("ANALYZE")


@contextmanager
def serving_api(dsn: str, folder: Path, **environ: str) -> Iterator[str]:
    """Run the API in a process of its own; yield its address once it answers."""
    if not (PAGE / "index.html").is_file():
        pytest.fail("this test needs the built page: make page", pytrace=False)
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "ganglion_query.api", "--endpoint", url.removeprefix("http://")]
    variables = {**os.environ, "GANGLION_DATABASE_URL": dsn, "GANGLION_HOME": str(folder), **environ}
    log = folder / "api.log"
    with log.open("ab") as told, subprocess.Popen(command, env=variables, stdout=told, stderr=told) as process:
        try:
            eventually(lambda: _answers(process, url, log), timeout=30)
            yield url
        finally:
            process.terminate()


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, f"the API ended\n{log.read_text()}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


@asynccontextmanager
async def running_stack(server: str, folder: Path, sent: Sequence[Sent]) -> AsyncIterator[Stack]:
    """Run everything over a database of its own that holds `sent`."""
    with database(server) as dsn, LangSmithServer() as langsmith:
        await filled(dsn, sent)
        variables = {"LANGSMITH_API_KEY": "lsv2_of_the_tests", "LANGSMITH_ENDPOINT": langsmith.url}
        served = serving_api(dsn, folder, **variables)
        url = await asyncio.to_thread(served.__enter__)
        try:
            yield Stack(url, dsn, langsmith.url)
        finally:
            await asyncio.to_thread(served.__exit__, None, None, None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    everything = [*world.week(), *world.hostile(), *world.large()]
    async with running_stack(postgresql_server, tmp_path_factory.mktemp("page"), everything) as running:
        yield running
