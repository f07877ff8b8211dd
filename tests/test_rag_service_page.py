"""The example RAG service's page: a person asks, and sees what happened to that request, and to no other."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio

from examples import rag_demo, running
from examples.rag_service import app
from tests.fix_browser import Visitor
from tests.fix_collector import eventually
from tests.fix_page import Stack, whole_collector
from tests.fix_postgresql import fresh_database
from tests.query.page.world import FAILED, HOSTILE

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

ADA = {"X-User-ID": "ada", "X-Tenant-ID": "acme"}
LIGHTHOUSE = b"# Lighthouse\n\nThe keeper lights the lamp at dusk."


@pytest_asyncio.fixture(loop_scope="session")
async def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("GANGLION_QUERY_ENDPOINT", stack.url)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url="http://rag") as made:
        yield made


async def test_who_asked_sees_the_request_without_what_is_internal(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/my/trace/{FAILED}", headers=ADA)

    assert answer.status_code == 200
    trace = answer.json()
    assert (trace["user_id"], trace["failed_spans"]) == ("ada", 4)
    assert {log["message"] for log in trace["logs"]} >= {"http_request_received", "completion_refused"}
    assert "Traceback" not in answer.text
    assert trace["langsmith_url"] is None


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (FAILED, {**ADA, "X-User-ID": "grace"}, 404),
        (FAILED, {**ADA, "X-Tenant-ID": "globex"}, 404),
        (FAILED, {}, 404),
        (HOSTILE, ADA, 404),
        ("0" * 31 + "1", ADA, 404),
        ("..%2F..%2Fservices", ADA, 404),
        ("services", ADA, 422),
    ],
    ids=["other user", "other tenant", "nobody", "other's", "unknown", "path", "no id"],
)
async def test_nobody_else_sees_it(client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int) -> None:
    assert (await client.get(f"/my/trace/{path}", headers=headers)).status_code == status


async def test_an_api_that_is_away_is_told(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_QUERY_ENDPOINT", "http://127.0.0.1:1")
    answer = await client.get(f"/my/trace/{FAILED}", headers=ADA)
    assert (answer.status_code, answer.json()["detail"]) == (502, "Ganglion's API cannot be reached: ConnectError")


async def test_who_opens_the_page_gets_a_cookie_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert "httponly; path=/; samesite=strict" in answer.headers["set-cookie"].lower()
    assert "set-cookie" not in (await client.get("/")).headers


@dataclass(frozen=True)
class Running:
    url: str
    dsn: str


@pytest.fixture
def service(postgresql_server: str, tmp_path: Path) -> Iterator[Running]:
    """Yield the service as people have it: telemetry to PostgreSQL, traces by the API."""
    with fresh_database(postgresql_server) as dsn, whole_collector(dsn, tmp_path) as collector:
        addresses = {"otlp/grpc": collector.address("otlp/grpc")}
        variables = rag_demo.otel_variables(addresses, "grpc") | {"GANGLION_QUERY_ENDPOINT": collector.address("query")}
        with running.running_service(rag_demo.PROGRAM, variables) as started:
            yield Running(started.url, dsn)


def users_of(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [user for (user,) in connection.execute("SELECT DISTINCT user_id FROM logs WHERE user_id IS NOT NULL")]


async def test_a_person_asks_and_sees_what_happened(visitor: Visitor, service: Running) -> None:
    visitor.expect(r"status of 404")  # until the first spans are stored
    page = await visitor.open(service.url)
    await page.get_by_label("A file to answer from").set_input_files(
        {"name": "lighthouse.md", "mimeType": "text/markdown", "buffer": LIGHTHOUSE}
    )
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_text("lighthouse.md: 1 chunks").wait_for()

    await page.get_by_label("Your question").fill("When does the keeper light the lamp?")
    await page.get_by_role("button", name="Ask").click()
    await page.get_by_text("The keeper lights the lamp at dusk.").wait_for()
    await page.get_by_role("heading", name="What happened to your request").wait_for()

    timeline = page.locator("ganglion-trace-timeline")
    for name in ("POST /ask", "retrieval.search", "generation.generate", "evaluation.evaluate"):
        await timeline.get_by_text(name).first.wait_for(timeout=30_000)

    (cookie,) = await page.context.cookies()
    # Another process stores the logs than the spans that are shown.
    await asyncio.to_thread(eventually, lambda: users_of(service.dsn) != [], timeout=30)
    assert users_of(service.dsn) == [f"visitor-{hashlib.sha256(cookie['value'].encode()).hexdigest()[:12]}"]
