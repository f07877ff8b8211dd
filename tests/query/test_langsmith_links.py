"""Links to LangSmith, from a small server that answers /sessions."""

import json
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from ganglion_query.commands import app
from ganglion_query.langsmith import LangSmith, LinkError
from ganglion_query.model import SpanRow, Trace
from ganglion_query.reader import Reader
from langsmith import Client
from langsmith.schemas import RunBase
from langsmith.utils import get_host_url
from typer.testing import CliRunner

from tests.fix_collector import eventually
from tests.fix_langsmith import serving
from tests.query.telemetry import TRACE_ID, Sent, span, store

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TENANT = "0a5f0e2c-1111-4222-8333-444455556666"
PROJECT = "7b1c9d3e-aaaa-4bbb-8ccc-ddddeeeeffff"
KEY = "lsv2_pt_never_shown"
SHOWN = f"http://localhost/o/{TENANT}/projects/p/{PROJECT}/r/{UUID(TRACE_ID)}?poll=true"


class Sessions(BaseHTTPRequestHandler):
    """Answers as a test says, and remembers what it was asked."""

    asked: ClassVar[list[tuple[dict[str, list[str]], dict[str, str]]]] = []
    status: ClassVar[int] = 200
    answer: ClassVar[Any] = None
    location: ClassVar[str] = ""
    released: ClassVar[Event] = Event()
    drips: ClassVar[bool] = False

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).asked.append((parse_qs(parts.query), headers))
        self.released.wait()
        project = {"id": PROJECT, "tenant_id": TENANT, "name": "default", "reference_dataset_id": None}
        known = json.dumps([project] if parts.path == "/sessions" else {}).encode()
        body = self.answer if isinstance(self.answer, bytes) else known
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.drips:
            self._drip(body)
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes) -> None:
        """Send a byte at a time, always before a client's patience with one ends."""
        with suppress(OSError):
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
                if not self.drips:
                    return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in http.server)
        pass


@pytest.fixture
def sessions() -> Iterator[type[Sessions]]:
    Sessions.asked, Sessions.status, Sessions.answer, Sessions.location = [], 200, None, ""
    Sessions.drips = False
    Sessions.released.set()
    yield Sessions
    Sessions.drips = False
    Sessions.released.set()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(Sessions) as address:
        yield address


@pytest.fixture
def langsmith(sessions: type[Sessions], address: str, tmp_path: Path) -> LangSmith:  # noqa: ARG001 - it is new each time
    return replace(_langsmith(tmp_path, LANGSMITH_ENDPOINT=address), patience=10)


def _langsmith(home: Path, **variables: str) -> LangSmith:
    found = LangSmith.of({"GANGLION_HOME": str(home), "LANGSMITH_API_KEY": KEY, **variables})
    assert found is not None
    return found


def _trace(*spans: SpanRow, trace_id: str = TRACE_ID) -> Trace:
    return Trace(trace_id, spans or (_span(),), (), truncated=False)


def _span(resource: dict[str, Any] | None = None, **attributes: Any) -> SpanRow:
    names = set(SpanRow.__dataclass_fields__) - {"start_time", "attributes", "resource", "cost"}
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return SpanRow(start_time=START, attributes=named, resource=resource or {}, **dict.fromkeys(names))  # type: ignore[arg-type]


def test_the_link_is_the_one_that_the_langsmith_package_makes(langsmith: LangSmith) -> None:
    client = Client(api_url=langsmith.endpoint, api_key=KEY, auto_batch_tracing=False)
    run = RunBase(id=UUID(TRACE_ID), name="r", start_time=START, run_type="chain", trace_id=UUID(TRACE_ID))  # type: ignore[call-arg]
    with warnings.catch_warnings(action="ignore"):  # its successor asks servers that are newer than most
        link = client.get_run_url(run=run, project_name="default")
    assert langsmith.url(_trace()) == SHOWN == link


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.smith.langchain.com",
        "https://eu.api.smith.langchain.com",
        "https://apac.api.smith.langchain.com",
        "https://aws.api.smith.langchain.com",
        "https://langsmith.example.com/api",
        "https://langsmith.example.com:8443/api/v1",
        "https://langsmith.example.com/below/api/v1",
    ],
)
def test_the_host_is_the_one_that_the_langsmith_package_finds(endpoint: str, tmp_path: Path) -> None:
    given = _span(langsmith__trace__session_id=PROJECT)
    langsmith = _langsmith(tmp_path, LANGSMITH_ENDPOINT=endpoint, LANGSMITH_WORKSPACE_ID=TENANT)
    path = f"/o/{TENANT}/projects/p/{PROJECT}/r/{UUID(TRACE_ID)}?poll=true"
    assert langsmith.url(_trace(given)) == get_host_url(None, endpoint) + path


def test_without_a_key_langsmith_is_not_used() -> None:
    assert LangSmith.of({"LANGSMITH_PROJECT": "shop", "LANGSMITH_API_KEY": " "}) is None
    assert Reader("postgresql://127.0.0.1:1/x").langsmith_url(_trace()) is None


def test_the_project_is_asked_for_once_with_key_and_workspace(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    langsmith = replace(langsmith, workspace_id=TENANT, project="shop")
    assert {langsmith.url(_trace()) for _ in range(3)} == {SHOWN}
    ((query, headers),) = sessions.asked
    assert query == {"name": ["shop"], "limit": ["1"]}
    assert (headers["x-api-key"], headers["x-tenant-id"]) == (KEY, TENANT)


def test_the_cache_is_private_and_holds_no_key(langsmith: LangSmith) -> None:
    langsmith.url(_trace())
    assert langsmith.cache.stat().st_mode & 0o777 == 0o600
    assert KEY not in langsmith.cache.read_text()
    assert list(langsmith.cache.parent.iterdir()) == [langsmith.cache]


def test_an_old_entry_is_asked_for_again_and_used_where_there_is_no_answer(
    langsmith: LangSmith, sessions: type[Sessions]
) -> None:
    langsmith.url(_trace())
    (key,) = json.loads(langsmith.cache.read_text())
    for age in (25 * 3600, -3600):
        entry = {"project_id": TENANT, "tenant_id": TENANT, "time": time.time() - age}
        langsmith.cache.write_text(json.dumps({key: entry}))
        sessions.status = 503
        assert langsmith.url(_trace()) == SHOWN.replace(PROJECT, TENANT)
        sessions.status = 200
        assert langsmith.url(_trace()) == SHOWN


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"x": 1}', "[" * 100_000, None])
def test_a_damaged_cache_is_made_anew(langsmith: LangSmith, kept: str | None) -> None:
    langsmith.url(_trace())
    (key,) = json.loads(langsmith.cache.read_text())
    langsmith.cache.write_text(json.dumps({key: {"project_id": 1, "time": "now"}}) if kept is None else kept)
    assert langsmith.url(_trace()) == SHOWN
    assert json.loads(langsmith.cache.read_text())[key]["project_id"] == PROJECT


def test_other_keys_and_projects_have_their_own_entries(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    for one in (langsmith, replace(langsmith, api_key="other"), replace(langsmith, project="shop")):
        one.url(_trace())
    assert len(sessions.asked) == 3
    assert len(json.loads(langsmith.cache.read_text())) == 3


def test_many_at_once_leave_a_whole_cache(langsmith: LangSmith) -> None:
    several = [replace(langsmith, project=f"p{number}") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda one: one.url(_trace()), several)) == {SHOWN}
    assert json.loads(langsmith.cache.read_text())


def test_no_home_folder_is_made_for_the_cache(langsmith: LangSmith, tmp_path: Path) -> None:
    langsmith = replace(langsmith, cache=tmp_path / "gone" / "projects.json")
    assert langsmith.url(_trace()) == SHOWN
    assert not langsmith.cache.parent.exists()


def test_the_project_is_the_one_that_span_or_resource_name(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    langsmith.url(_trace(_span(langsmith__trace__session_name="of span", resource={"langsmith.project": "no"})))
    langsmith.url(_trace(_span(resource={"langsmith.project": "of resource"})))
    assert [query["name"] for query, _ in sessions.asked] == [["of span"], ["of resource"]]


def test_ids_that_the_service_gave_win(langsmith: LangSmith) -> None:
    trace, run = "019a1f97-5864-7e48-89d3-9336ea28b858", "019a1f97-5865-7e48-89d3-000000000001"
    order = f"20261120T120000000000Z{trace}.20261120T120000001000Z{run}"
    given: dict[str, Any] = {"langsmith__trace__id": trace, "langsmith__span__id": run}
    whole = _span(langsmith__span__dotted_order=order, **given)
    assert langsmith.url(_trace(_span(), whole)) == SHOWN.replace(str(UUID(TRACE_ID)), trace)
    for broken in (
        _span(**given),
        _span(langsmith__span__dotted_order=order.replace(trace, run), **given),
        _span(langsmith__span__dotted_order=order, **{**given, "langsmith__trace__id": "no id"}),
    ):
        assert langsmith.url(_trace(_span(), broken)) == SHOWN


def test_a_trace_id_that_only_looks_like_a_time_is_named_as_the_exporter_does(langsmith: LangSmith) -> None:
    assert str(UUID(int=0xABC)) in str(langsmith.url(_trace(trace_id=f"{0xABC:032x}")))
    link = langsmith.url(_trace(trace_id="4bf92f3577b37da6a3ce929d0e0e4736"))
    assert link is not None
    assert "4bf92f35-77b3-8da6-a3ce-929d0e0e4736" in link


def test_logs_alone_have_no_link(langsmith: LangSmith) -> None:
    assert langsmith.url(Trace(TRACE_ID, (), (), truncated=False)) is None


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, None, "does not take LANGSMITH_API_KEY here (HTTP 401)"),
        (403, b"{}", "does not take LANGSMITH_API_KEY here (HTTP 403)"),
        (500, None, "did not tell its projects (HTTP 500)"),
        (200, b"<html>", "did not tell its projects"),
        (200, b"[" * 200_000, "did not tell its projects"),
        (200, b"x" * 3_000_000, "did not tell its projects"),
        (200, b"[]", "has no project 'default' yet"),
        (200, b"[7]", "told no ids"),
        (200, b'[{"id": "x/../y", "tenant_id": 3}]', "told no ids"),
    ],
)
def test_an_answer_without_the_project_is_told(
    langsmith: LangSmith, sessions: type[Sessions], status: int, answer: bytes | None, said: str
) -> None:
    sessions.status, sessions.answer = status, answer
    with pytest.raises(LinkError) as caught:
        langsmith.url(_trace())
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert not langsmith.cache.exists()


def test_the_key_is_not_sent_on_to_where_an_answer_points(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    sessions.status, sessions.location = 307, langsmith.endpoint + "/elsewhere"
    with pytest.raises(LinkError, match="HTTP 307"):
        langsmith.url(_trace())
    assert len(sessions.asked) == 1


def test_a_server_that_hangs_delays_for_its_patience_alone(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    sessions.released.clear()
    start = time.monotonic()
    try:
        with pytest.raises(LinkError, match=r"no answer within 0.2 s|cannot be reached"):
            replace(langsmith, patience=0.2).url(_trace())
        assert time.monotonic() - start < 5
        # The next test counts what it asks itself: this question must not come later than that begins.
        eventually(lambda: len(sessions.asked) == 1)
    finally:
        sessions.released.set()


def test_an_answer_that_drips_delays_no_longer(langsmith: LangSmith, sessions: type[Sessions]) -> None:
    sessions.drips = True
    start = time.monotonic()
    with pytest.raises(LinkError, match=r"no answer within 0.2 s"):
        replace(langsmith, patience=0.2).url(_trace())
    assert time.monotonic() - start < 5
    eventually(lambda: len(sessions.asked) == 1)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://nowhere.invalid", "no address", "ftp://x", "http://["]
)
def test_what_cannot_be_reached_is_told_without_the_key(tmp_path: Path, endpoint: str) -> None:
    for key in (KEY, f"{KEY}\x00ü"):
        with pytest.raises(LinkError) as caught:
            _langsmith(tmp_path, LANGSMITH_ENDPOINT=endpoint, LANGSMITH_API_KEY=key).url(_trace())
        assert KEY not in str(caught.value)


async def _stored(dsn: str) -> None:
    await store(dsn, Sent("shop", [span("GET /", 1, at=datetime.now(UTC) - timedelta(minutes=1))]))


async def test_the_command_shows_the_link_and_what_is_in_its_way(
    postgresql: str, langsmith: LangSmith, sessions: type[Sessions], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await _stored(postgresql)
    for name, value in {"GANGLION_DATABASE_URL": postgresql, "GANGLION_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("LANGSMITH_API_KEY", "LANGSMITH_WORKSPACE_ID", "LANGSMITH_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    run = CliRunner()

    result = run.invoke(app, ["trace", TRACE_ID, "--json"])
    assert json.loads(result.stdout)["langsmith_url"] is None
    assert "LangSmith" not in run.invoke(app, ["trace", TRACE_ID]).output

    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", langsmith.endpoint)
    sessions.status = 401
    result = run.invoke(app, ["trace", TRACE_ID])
    assert (result.exit_code, result.output.splitlines()[2]) == (
        0,
        "LangSmith  no link: LangSmith does not take LANGSMITH_API_KEY here (HTTP 401)",
    )
    assert json.loads(run.invoke(app, ["trace", TRACE_ID, "--json"]).stdout)["langsmith_url"] is None

    sessions.status = 200
    assert run.invoke(app, ["trace", TRACE_ID]).output.splitlines()[2] == f"LangSmith  {SHOWN}"
    assert json.loads(run.invoke(app, ["trace", TRACE_ID, "--json"]).stdout)["langsmith_url"] == SHOWN


async def test_the_reader_offers_the_link(postgresql: str, langsmith: LangSmith) -> None:
    await _stored(postgresql)
    reader = Reader(postgresql, langsmith=langsmith)
    assert reader.langsmith_url(reader.trace(TRACE_ID)) == SHOWN
