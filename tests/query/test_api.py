"""The API over HTTP: every route, what it refuses, who may ask, and what a browser is told."""

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from ganglion_query.answers.tail import Tail
from ganglion_query.api.app import make_api
from ganglion_query.api.headers import CONTENT_SECURITY_POLICY
from ganglion_query.api.stream import TailRoom, TailStream
from ganglion_query.cursors import encode
from ganglion_query.model import LogFilter
from ganglion_query.reader import Reader
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from tests.fix_postgresql import fresh_database
from tests.query.serving import Serving, served
from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

TOKEN = "a-token-of-everything-0123456789"
DOCUMENT = make_api().openapi()
ROUTES = [path for path in DOCUMENT["paths"] if path != "/api/v1/logs/tail"]
GIVEN = {"trace_id": TRACE_ID, "span_id": f"{1:016x}", "service": "shop"}
NEEDED = {"/api/v1/changes": {"at": "10m"}, "/api/v1/comparison": {"by": "user.id"}}
PROBLEM = "application/problem+json"


async def fill(dsn: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    request = [
        span("POST /ask", 1, at=at, ms=900, user_id="u1"),
        span("retrieve", 2, 1, at=at, ms=800, error="no index"),
    ]
    told = [
        log("asked", 1, at=at, user_id="u1"),
        log("it broke", 2, at=at, severity=ERROR, exception_type="IndexError"),
    ]
    await store(dsn, Sent("shop", request, told))


@pytest.fixture(scope="module")
def filled(postgresql_server: str) -> Iterator[str]:
    """A database that is only read."""
    with fresh_database(postgresql_server) as dsn:
        asyncio.run(fill(dsn))
        yield dsn


@pytest.fixture(scope="module")
def shop(filled: str) -> Iterator[Serving]:
    with served(filled) as serving:
        yield serving


@pytest.fixture(scope="module")
def guarded(filled: str) -> Iterator[Serving]:
    with served(filled, tokens=[{"token": TOKEN}]) as serving:
        yield serving


def schema_of(path: str) -> dict[str, Any]:
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return {**schema, "components": DOCUMENT["components"]}


def test_every_route_answers_as_it_is_described(shop: Serving) -> None:
    for path in ROUTES:
        answer = shop.get(path.format(**GIVEN), **NEEDED.get(path, {}))
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        OAS31Validator(schema_of(path)).validate(answer.json())


def test_answers_hold_what_is_stored(shop: Serving) -> None:
    assert shop.get(f"/api/v1/traces/{TRACE_ID}").json()["failed_spans"] == 1
    assert [one["trace_id"] for one in shop.get("/api/v1/traces", where="user.id=u1").json()["items"]] == [TRACE_ID]
    assert [one["message"] for one in shop.get("/api/v1/logs", level="error").json()["items"]] == ["it broke"]
    assert shop.get("/api/v1/traces", min_duration="2s").json()["items"] == []


def test_a_trace_is_found_whenever_it_was(postgresql: str) -> None:
    at = datetime.now(UTC) - timedelta(days=3)
    telling = log("answered", 1, at=at, numbers={"cost_usd": 0.5})
    asyncio.run(store(postgresql, Sent("shop", [span("POST /ask", 1, at=at, ms=9)], [telling]), received_at=at))
    with served(postgresql) as serving:
        assert serving.get("/api/v1/costs", trace=TRACE_ID).json()["usd"] == 0.5
        assert len(serving.get("/api/v1/logs", trace=TRACE_ID).json()["items"]) == 1
        assert serving.get("/api/v1/logs", trace=TRACE_ID, since="1h").json()["items"] == []


def test_pages_follow_each_other(shop: Serving) -> None:
    first = shop.get("/api/v1/logs", limit=1).json()
    second = shop.get("/api/v1/logs", limit=1, cursor=first["next"]).json()
    assert {page["items"][0]["message"] for page in (first, second)} == {"asked", "it broke"}
    assert second["next"] is None


def test_times_are_in_utc(shop: Serving) -> None:
    assert shop.get("/api/v1/logs").json()["items"][0]["timestamp"].endswith("Z")


def test_the_description_is_openapi_3_1(shop: Serving) -> None:
    document = shop.get("/api/v1/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document == DOCUMENT


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("/api/v1/traces", {"since": "soon"}, 422, "since"),
    ("/api/v1/traces", {"since": "1h", "until": "2h"}, 422, "since"),
    ("/api/v1/traces", {"limit": 0}, 422, "limit"),
    ("/api/v1/traces", {"limit": 1001}, 422, "limit"),
    ("/api/v1/traces", {"limit": "many"}, 422, "limit"),
    ("/api/v1/traces", {"status": "odd"}, 422, "status"),
    ("/api/v1/traces", {"order": "random"}, 422, "order"),
    ("/api/v1/traces", {"min_duration": "quick"}, 422, "min_duration"),
    ("/api/v1/traces", {"where": "nothing"}, 422, "where"),
    ("/api/v1/traces", {"where": ["a=1"] * 21}, 422, "where"),
    ("/api/v1/traces", {"where": "duration_ms>=slow"}, 422, "where"),
    ("/api/v1/traces", {"cursor": "nowhere"}, 422, "cursor"),
    ("/api/v1/traces", {"user": "a\0b"}, 422, "user"),
    ("/api/v1/traces", {"user": "u" * 1001}, 422, "user"),
    ("/api/v1/traces", {"usr": "u1"}, 422, "usr"),
    ("/api/v1/traces/zz", {}, 422, "trace_id"),
    (f"/api/v1/traces/{'0' * 32}", {}, 422, "trace_id"),
    (f"/api/v1/traces/{TRACE_ID}", {"limit": 50_001}, 422, "limit"),
    (f"/api/v1/traces/{TRACE_ID}/spans/zz", {}, 422, "span_id"),
    ("/api/v1/logs", {"level": "loud"}, 422, "level"),
    ("/api/v1/logs", {"trace": "zz"}, 422, "trace"),
    ("/api/v1/logs/tail", {"where": "duration_ms>=slow"}, 422, "where"),
    ("/api/v1/services/a%00b/operations", {}, 422, "service"),
    ("/api/v1/changes", {}, 422, "at"),
    ("/api/v1/changes", {"at": "1h", "window": "8d"}, 422, "window"),
    ("/api/v1/changes", {"at": "2199-01-01"}, 422, "at"),
    ("/api/v1/overview", {"since": "0001-01-01T00:00:00+14:00"}, 422, "since"),
    ("/api/v1/overview", {"until": "9999-12-31T23:59:59-14:00"}, 422, "until"),
    ("/api/v1/comparison", {"by": "a\0b"}, 422, "by"),
    ("/api/v1/logs", {"cursor": encode("0001-01-01T00:00:00+14:00", "(0,1)")}, 422, "cursor"),
    ("/api/v1/logs", {"cursor": encode("2026-01-01T00:00:00+00:00", "(0,99999)")}, 422, "cursor"),
    ("/api/v1/logs", {"cursor": encode("2026-01-01T00:00:00+00:00", "log (0,1)")}, 422, "cursor"),
    ("/api/v1/errors", {"cursor": encode("2026-01-01T00:00:00+00:00", "(0,1)")}, 422, "cursor"),
    ("/api/v1/comparison", {}, 422, "by"),
    ("/api/v1/costs", {"by": "moon"}, 422, "by"),
    ("/api/v1/costs", {"trace": "zz"}, 422, "trace"),
    (f"/api/v1/traces/{'1' * 32}", {}, 404, ""),
    (f"/api/v1/traces/{'1' * 32}/explanation", {}, 404, ""),
    (f"/api/v1/traces/{TRACE_ID}/spans/{'1' * 16}", {}, 404, ""),
    ("/api/v1/nothing", {}, 404, ""),
    ("/api/v2/traces", {}, 404, ""),
]


def test_what_cannot_be_asked_is_a_problem_that_names_the_parameter(shop: Serving) -> None:
    for path, parameters, status, name in WRONG:
        answer = shop.get(path, **parameters)
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), (path, parameters)
        told = answer.json()
        assert (told["status"], [one["parameter"] for one in told["errors"]]) == (status, [name] if name else []), path
        assert told["detail"]


def test_only_get_is_taken(shop: Serving) -> None:
    answer = shop.client.post("/api/v1/traces")
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)
    assert shop.client.head("/api/v1/traces").status_code == 405


def test_a_request_without_end_is_cut_off(shop: Serving) -> None:
    host, _, port = shop.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client, pytest.raises(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 64_000_000)


def test_a_question_that_takes_too_long_is_ended(filled: str) -> None:
    with psycopg.connect(filled) as other, served(filled, timeout="1s") as serving:
        other.execute("LOCK TABLE spans, logs IN ACCESS EXCLUSIVE MODE")
        answer = serving.get("/api/v1/traces")
        other.rollback()
        assert (answer.status_code, answer.headers["content-type"]) == (504, PROBLEM)
        assert serving.get("/api/v1/traces").status_code == 200


def test_a_database_that_is_away_is_unavailable_for_a_while() -> None:
    with served("postgresql://127.0.0.1:1/nothing") as serving:
        answer = serving.get("/api/v1/services")
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
        assert int(answer.headers["retry-after"]) > 0
        assert serving.get("/api/v1/session").status_code == 200


def test_a_database_without_telemetry_is_told(postgresql: str) -> None:
    with served(postgresql) as serving:
        answer = serving.get("/api/v1/services")
        assert (answer.status_code, answer.json()["status"]) == (502, 502)
        assert "no telemetry" in answer.json()["detail"]


def test_a_token_is_needed_where_there_are_tokens(guarded: Serving) -> None:
    for path in ("/api/v1/session", "/api/v1/logs/tail", "/jaeger/api/services", "/api/v1/nothing"):
        answer = guarded.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM), path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/api/v1/session", token=TOKEN[:-1]).status_code == 401
    assert guarded.get("/api/v1/session", access_token=TOKEN).status_code == 401
    basic = guarded.client.get("/api/v1/session", headers={"authorization": f"Basic {TOKEN}"})
    assert basic.status_code == 401
    assert guarded.get("/api/v1/session", token=TOKEN).json()["authentication"] == "bearer"
    assert guarded.get("/api/v1/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8484", 200),
        ("[::1]:8484", 200),
        ("[::1]", 200),
        ("127.0.0.2:8484", 200),
        ("0.0.0.0:8484", 403),
        ("evil.example", 403),
        ("localhost.evil.example:8484", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
def test_without_tokens_only_this_machine_is_answered(shop: Serving, host: str, status: int) -> None:
    answers = [shop.client.get(path, headers={"host": host}) for path in ("/api/v1/session", "/")]
    assert [answer.status_code == 403 for answer in answers] == [status == 403] * 2


def test_with_tokens_any_name_is_answered(guarded: Serving) -> None:
    headers = {"host": "ganglion.example", "authorization": f"Bearer {TOKEN}"}
    assert guarded.client.get("/api/v1/session", headers=headers).status_code == 200


def test_a_page_of_another_site_may_not_ask(shop: Serving) -> None:
    answer = shop.client.get("/api/v1/session", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "index-1a2b.js").write_text("export {}")
    (folder / "index.html").write_text("<!doctype html><title>Built</title>")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


def test_the_page_is_served_under_each_of_its_paths(filled: str, page: Path) -> None:
    with served(filled, page) as serving:
        for path in ("/", "/search", "/trace/abc", "/debug/trace/abc", "/compare", "/index.html"):
            answer = serving.get(path)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path
            assert "Built" in answer.text
        asset = serving.get("/assets/index-1a2b.js")
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["content-type"].startswith("text/javascript")
        for path in ("/assets/none.js", "/none.png", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt"):
            assert serving.get(path).status_code == 404, path


def test_without_a_built_page_it_says_how_it_is_built(shop: Serving) -> None:
    answer = shop.get("/")
    assert (answer.status_code, "make page" in answer.text) == (503, True)


def test_every_response_tells_a_browser_what_it_may_do(filled: str, page: Path) -> None:
    with served(filled, page, tokens=[{"token": TOKEN}]) as serving:
        answers = [
            serving.get("/"),
            serving.get("/assets/index-1a2b.js"),
            serving.get("/none.png"),
            serving.get("/api/v1/session"),
            serving.get("/api/v1/session", token=TOKEN),
            serving.get("/api/v1/services", token=TOKEN),
            serving.get("/jaeger/api/services", token=TOKEN),
        ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
    assert [answer.headers["cache-control"] for answer in answers[3:]] == ["no-store"] * 4
    assert "unsafe" not in CONTENT_SECURITY_POLICY.partition("script-src")[2].partition(";")[0]


def test_long_answers_are_compressed_for_who_takes_that(shop: Serving) -> None:
    plain = shop.client.get("/api/v1/openapi.json", headers={"accept-encoding": "identity"})
    packed = shop.client.get("/api/v1/openapi.json", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    assert packed.json() == plain.json()


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def test_logs_are_told_as_they_are_stored(postgresql: str) -> None:
    asyncio.run(fill(postgresql))
    now = datetime.now(UTC)
    with served(postgresql) as serving:
        with serving.client.stream("GET", "/api/v1/logs/tail", params={"level": "error"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            said = [log("quiet", at=now), log("loud", at=now, severity=ERROR)]
            asyncio.run(store(postgresql, Sent("shop", [], said)))
            name, row = next(events(answer))
        assert (name, row["message"]) == ("log", "loud")


def test_a_tail_ends_with_the_process(filled: str) -> None:
    with served(filled) as serving, serving.client.stream("GET", "/api/v1/logs/tail") as answer:
        serving.close_tails()
        assert list(events(answer)) == []


def test_only_so_many_follow_at_once(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganglion_query.api.stream._MOST", 1)
    with served(filled) as serving, serving.client.stream("GET", "/api/v1/logs/tail") as first:
        assert first.status_code == 200
        second = serving.get("/api/v1/logs/tail")
        assert (second.status_code, second.headers["content-type"]) == (503, PROBLEM)
        assert "retry-after" in second.headers


def test_a_tail_ends_when_its_token_is_taken_away(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(f"- token: {TOKEN}\n- token: {TOKEN}-of-another\n")
    with served(filled, tokens_file=str(file)) as serving:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with serving.client.stream("GET", "/api/v1/logs/tail", headers=headers) as answer:
            file.write_text(f"- token: {TOKEN}-of-another\n")
            assert list(events(answer)) == []
        assert serving.get("/api/v1/session", token=TOKEN).status_code == 401
        assert serving.get("/api/v1/session", token=f"{TOKEN}-of-another").status_code == 200


async def test_a_client_that_reads_nothing_is_cut_off_and_makes_room(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganglion_query.api.stream._SLOWEST", 0.2)
    await store(postgresql, Sent("shop", [], [log("first", at=datetime.now(UTC))]))
    monkeypatch.setattr("ganglion_query.api.stream._MOST", 1)
    room, sent = TailRoom(), list[str]()

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        return await asyncio.Event().wait()

    await TailStream(Tail(Reader(postgresql), LogFilter()), room)({}, receive, send)
    assert sent == ["http.response.start", "http.response.body"]
    with room.entered(None):
        pass
