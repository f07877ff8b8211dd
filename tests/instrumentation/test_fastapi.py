import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import urllib.request
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from typing import Any

import fastapi
import httpx
import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from ganglion import _baggage
from ganglion.context import bind, context
from ganglion.fastapi import GanglionFastAPIInstrumentor, TraceId, instrument, uninstrument
from ganglion.logs import get_logger
from ganglion.testing import Captured, capture
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
HEX = UUID.replace("-", "")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

log = get_logger("service")


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve `app` by uvicorn in a thread that knows nothing of the test's context; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: Context().run(server.run, sockets=[listening]))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def service(**settings: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/users/{user}")
    async def user(user: str, trace_id: TraceId) -> dict[str, Any]:
        log.info("asked", about=user)
        return {"trace_id": trace_id, **context()}

    @app.get("/fails")
    async def fails() -> None:
        raise ValueError("no index")

    instrument(app, **settings)
    return app


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


def events(captured: Captured, message: str) -> list[dict[str, Any]]:
    return [record for record in captured.logs if record["message"] == message]


def event(captured: Captured, message: str) -> dict[str, Any]:
    captured.wait(lambda now: events(now, message))
    (found,) = events(captured, message)
    return found


def server_span(captured: Captured) -> dict[str, Any]:
    captured.wait(lambda now: [span for span in now.spans if span["kind"] == "SERVER"])
    (found,) = (span for span in captured.spans if span["kind"] == "SERVER")
    return found


def test_a_request_is_one_trace_of_span_and_events(captured: Captured) -> None:
    with serving(service()) as url:
        response = httpx.get(f"{url}/users/ada", headers={"X-User-ID": "ada"})
    span = server_span(captured)
    assert response.json()["user_id"] == "ada"
    assert response.headers["X-Trace-ID"] == response.json()["trace_id"] == span["trace_id"]
    assert response.headers["traceresponse"] == f"00-{span['trace_id']}-{span['span_id']}-03"
    assert (span["name"], span["parent_span_id"]) == ("GET /users/{user}", None)
    received, asked, sent = captured.logs
    assert [record["message"] for record in captured.logs] == ["http_request_received", "asked", "http_response_sent"]
    for record in captured.logs:
        assert (record["trace_id"], record["span_id"]) == (span["trace_id"], span["span_id"])
        assert record["attributes"]["user.id"] == "ada"
        assert record["attributes"]["request.id"] == asked["attributes"]["request.id"]
    about = {"method": "GET", "path": "/users/{user}", "client": "127.0.0.1"}
    assert received["attributes"].items() >= about.items()
    assert sent["attributes"].items() >= (about | {"status": 200}).items()
    assert sent["attributes"]["duration_ms"] > 0
    assert (received["level"], sent["level"]) == ("INFO", "INFO")
    assert span["attributes"]["user.id"] == "ada"


TRACE_IDS = {
    "uuid": (UUID, True),
    "hex": (HEX, True),
    "upper case": (UUID.upper(), True),
    "zero": ("0" * 32, False),
    "zero uuid": ("00000000-0000-0000-0000-000000000000", False),
    "empty": ("", False),
    "short": (HEX[:-1], False),
    "long": (HEX + "0", False),
    "not hexadecimal": ("g" * 32, False),
    "hyphens elsewhere": ("0af7651916cd-43dd-8448-eb211c80319-c", False),
    "braces": ("{" + UUID + "}", False),
    "not ascii": ("٣" * 32, False),
    "two lines": (f"{HEX}\\nlevel=ERROR", False),
}


@pytest.mark.parametrize(("sent", "taken"), TRACE_IDS.values(), ids=TRACE_IDS)
def test_a_trace_id_in_a_header_becomes_the_trace_id_or_is_ignored(
    captured: Captured, sent: str, *, taken: bool
) -> None:
    with serving(service()) as url:
        response = httpx.get(f"{url}/users/ada", headers={b"X-Trace-ID": sent.encode()})
    span = server_span(captured)
    assert (span["trace_id"] == HEX) is taken
    assert response.headers["X-Trace-ID"] == span["trace_id"]
    assert (span["parent_span_id"], span["trace_id"] != "0" * 32) == (None, True)
    ignored = events(captured, "http_header_ignored")
    assert [record["level"] for record in ignored] == ([] if taken else ["WARNING"])
    if ignored:
        assert ignored[0]["attributes"]["header"] == "x-trace-id"
        assert not sent or sent not in repr(ignored)


def test_two_different_trace_ids_are_ignored(captured: Captured) -> None:
    with serving(service()) as url:
        httpx.get(f"{url}/users/ada", headers=[("X-Trace-ID", HEX), ("X-Trace-ID", "1" * 32)])
    assert server_span(captured)["trace_id"] not in {HEX, "1" * 32}
    assert event(captured, "http_header_ignored")


def test_traceparent_wins_over_trace_id(captured: Captured) -> None:
    with serving(service()) as url:
        httpx.get(f"{url}/users/ada", headers={"traceparent": TRACEPARENT, "X-Trace-ID": HEX})
    span = server_span(captured)
    assert (span["trace_id"], span["parent_span_id"]) == tuple(TRACEPARENT.split("-")[1:3])


def test_a_traceparent_without_meaning_leaves_the_trace_id(captured: Captured) -> None:
    with serving(service()) as url:
        httpx.get(f"{url}/users/ada", headers={"traceparent": TRACEPARENT.replace("4bf9", "xxxx"), "X-Trace-ID": UUID})
    assert server_span(captured)["trace_id"] == HEX


def test_an_unsampled_request_has_its_trace_id_in_logs_and_response(captured: Captured) -> None:
    trace_id = TRACEPARENT.split("-")[1]
    with serving(service()) as url:
        response = httpx.get(f"{url}/users/ada", headers={"traceparent": TRACEPARENT[:-1] + "0"})
    assert response.headers["X-Trace-ID"] == trace_id
    assert response.headers["traceresponse"].endswith("-00")
    assert event(captured, "http_response_sent")["trace_id"] == trace_id
    assert captured.spans == []


VALUES = {
    "plain": (b"ada", "ada"),
    "other letters": ("Ægir Þór".encode(), "Ægir Þór"),
    "longest": (b"u" * 128, "u" * 128),
    "too long": (b"u" * 129, None),
    "empty": (b"", None),
    "tab": (b"ada\tadmin", None),
    "not utf-8": (b"ad\xe9", None),
    "hidden": ("ada\u202enimda".encode(), None),
}


@pytest.mark.parametrize(("sent", "bound"), VALUES.values(), ids=VALUES)
def test_a_user_id_is_bound_when_it_can_be_logged(captured: Captured, sent: bytes, bound: str | None) -> None:
    with serving(service()) as url:
        response = httpx.get(f"{url}/users/x", headers={b"X-User-ID": sent})
    assert response.json().get("user_id") == bound
    assert server_span(captured)["attributes"].get("user.id") == bound
    assert len(events(captured, "http_header_ignored")) == (bound is None)


def test_ids_of_request_session_and_tenant_come_from_the_headers_chosen(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANGLION_SESSION_HEADER", "X-Session")
    app = service(headers={"tenant_id": "X-Org", "user_id": "X-Principal"})
    sent = {"X-Session": "s1", "X-Org": "acme", "X-Principal": "ada", "X-Request-ID": "r1", "X-User-ID": "eve"}
    with serving(app) as url:
        response = httpx.get(f"{url}/users/x", headers=sent)
    bound = {"session_id": "s1", "tenant_id": "acme", "user_id": "ada", "request_id": "r1"}
    assert response.json().items() >= bound.items()
    assert server_span(captured)["attributes"].items() >= {"session.id": "s1", "tenant.id": "acme"}.items()


def test_trusted_baggage_fills_what_the_headers_leave_open(captured: Captured) -> None:
    sent = {"baggage": "user.id=eve,tenant.id=acme,request.id=r1", "X-User-ID": "ada"}
    _baggage.install(trust=True)
    try:
        with serving(service()) as url:
            asked = urllib.request.Request(f"{url}/users/x", headers=sent)  # httpx would keep the ids to itself
            with urllib.request.urlopen(asked) as response:
                answer = json.load(response)
    finally:
        _baggage.uninstall()
    assert answer.items() >= {"user_id": "ada", "tenant_id": "acme", "request_id": "r1"}.items()
    assert server_span(captured)["attributes"].items() >= {"tenant.id": "acme", "request.id": "r1"}.items()


def test_a_request_for_nothing_is_a_warning_with_its_trace_id(captured: Captured) -> None:
    with serving(service()) as url:
        response = httpx.get(f"{url}/nothing/here")
    sent = event(captured, "http_response_sent")
    assert (sent["level"], sent["attributes"]["status"], sent["attributes"]["path"]) == (
        "WARNING",
        404,
        "/nothing/here",
    )
    assert response.headers["X-Trace-ID"] == sent["trace_id"]


def test_an_exception_is_told_once_and_answered_with_its_trace_id(captured: Captured) -> None:
    with serving(service()) as url:
        response = httpx.get(f"{url}/fails")
    failed = event(captured, "http_request_failed")
    assert (response.status_code, response.headers["X-Trace-ID"]) == (500, failed["trace_id"])
    assert (failed["level"], failed["attributes"]["type"]) == ("ERROR", "ValueError")
    assert failed["attributes"]["exception.message"] == "no index"
    assert "in fails" in failed["attributes"]["exception.stacktrace"]
    assert failed["attributes"]["duration_ms"] > 0
    assert events(captured, "http_response_sent") == []
    span = server_span(captured)
    assert span["status"] == "ERROR"
    assert [found["name"] for found in span["events"]] == ["exception"]


def test_a_refusal_by_the_service_is_an_error_without_exception(captured: Captured) -> None:
    app = service()

    @app.get("/busy")
    async def busy() -> None:
        raise HTTPException(503, "busy")

    with serving(app) as url:
        httpx.get(f"{url}/busy")
    sent = event(captured, "http_response_sent")
    assert (sent["level"], sent["attributes"]["status"]) == ("ERROR", 503)
    assert events(captured, "http_request_failed") == []


def test_an_exception_after_the_response_began_is_told(captured: Captured) -> None:
    app = service()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("torn")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    with serving(app) as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/stream")
    assert event(captured, "http_request_failed")["attributes"]["type"] == "ValueError"
    assert events(captured, "http_response_sent") == []


def test_a_streamed_response_is_measured_to_its_last_byte(captured: Captured) -> None:
    app, more = service(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"a"
        assert more.wait(10)
        log.info("last_chunk")
        yield b"b"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    with serving(app) as url, httpx.stream("GET", f"{url}/stream") as response:
        chunk = response.iter_bytes()
        assert next(chunk) == b"a"
        assert events(captured, "http_response_sent") == []
        more.set()
        assert b"".join(chunk) == b"b"
    last, sent = event(captured, "last_chunk"), event(captured, "http_response_sent")
    assert last["timestamp"] < sent["timestamp"]
    received = event(captured, "http_request_received")
    elapsed = (last["timestamp"] - received["timestamp"]) / 1e6
    assert sent["attributes"]["duration_ms"] >= elapsed
    assert sent["trace_id"] == server_span(captured)["trace_id"]


def test_a_client_that_goes_away_is_a_warning(captured: Captured) -> None:
    app = service()

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(forever())

    with serving(app) as url:
        with httpx.stream("GET", f"{url}/stream") as response:
            next(response.iter_bytes())
        failed = event(captured, "http_request_failed")
    assert (failed["level"], failed["attributes"]["type"]) == ("WARNING", "ClientDisconnect")
    assert "exception.stacktrace" not in failed["attributes"]
    assert events(captured, "http_response_sent") == []


def test_background_tasks_keep_the_context_and_their_failure_is_told(captured: Captured) -> None:
    app = service()

    async def store() -> None:
        log.info("stored")
        raise ValueError("disk full")

    @app.get("/upload")
    async def upload(tasks: BackgroundTasks) -> None:
        bind(session_id="s1")
        tasks.add_task(store)

    with serving(app) as url:
        response = httpx.get(f"{url}/upload", headers={"X-User-ID": "ada"})
        failed = event(captured, "http_request_failed")
    sent, stored = event(captured, "http_response_sent"), event(captured, "stored")
    assert response.status_code == sent["attributes"]["status"] == 200
    for record in (stored, sent, failed):
        assert record["trace_id"] == response.headers["X-Trace-ID"]
        assert record["attributes"].items() >= {"user.id": "ada", "session.id": "s1"}.items()
    assert failed["attributes"]["type"] == "ValueError"


def test_a_hundred_requests_at_once_are_not_mixed_up(captured: Captured) -> None:
    app, together = service(), asyncio.Barrier(100)

    @app.get("/meet/{user}")
    async def meet(user: str) -> Mapping[str, str]:
        bind(session_id=f"session of {user}")
        await together.wait()
        await asyncio.create_task(later(user))
        return context()

    async def later(user: str) -> None:
        await asyncio.sleep(0)
        log.info("met", expected=user)

    async def ask(client: httpx.AsyncClient, url: str, user: str) -> None:
        response = await client.get(
            f"{url}/meet/{user}", headers={"X-User-ID": user, "X-Trace-ID": f"{int(user):032x}"}
        )
        assert response.json().items() >= {"user_id": user, "session_id": f"session of {user}"}.items()
        assert response.headers["X-Trace-ID"] == f"{int(user):032x}"

    async def everyone(url: str) -> None:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(limits=limits, timeout=10) as client:
            await asyncio.gather(*(ask(client, url, str(user)) for user in range(1, 101)))

    with serving(app) as url:
        asyncio.run(everyone(url))
    met = events(captured, "met")
    assert len(met) == len({record["attributes"]["request.id"] for record in met}) == 100
    for record in met:
        user = record["attributes"]["expected"]
        assert record["attributes"]["user.id"] == user
        assert record["trace_id"] == f"{int(user):032x}"
    assert len(events(captured, "http_response_sent")) == 100


def test_a_request_sees_nothing_of_the_one_in_whose_context_the_server_made_it(captured: Captured) -> None:
    """Two requests sent at once: uvicorn starts the second's task within the context of the first."""
    first = b"GET /users/a HTTP/1.1\r\nHost: a\r\nX-User-ID: ada\r\nX-Trace-ID: " + HEX.encode() + b"\r\n\r\n"
    second = b"GET /users/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with serving(service()) as url, socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as line:
        line.sendall(first + second)
        with line.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 OK") == 2
    spans = [span for span in captured.spans if span["kind"] == "SERVER"]
    assert [span["parent_span_id"] for span in spans] == [None, None]
    assert [span["attributes"].get("user.id") for span in spans] == ["ada", None]
    assert spans[1]["trace_id"] != HEX
    received = events(captured, "http_request_received")
    assert [record["attributes"].get("user.id") for record in received] == ["ada", None]


async def test_an_application_called_without_a_server_leaves_the_caller_as_it_was(captured: Captured) -> None:
    app = service()

    @app.get("/binds")
    async def binds() -> None:
        bind(tenant_id="acme", user_id="eve")

    bind(user_id="ada", note="mine")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.get("/binds", headers={"X-User-ID": "eve"})
    assert context() == {"user_id": "ada", "note": "mine"}
    assert server_span(captured)["attributes"]["user.id"] == "eve"


async def test_a_request_that_is_cancelled_is_a_warning(captured: Captured) -> None:
    app, entered = service(), asyncio.Event()

    @app.get("/waits")
    async def waits() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        asking = asyncio.create_task(client.get("/waits"))
        await entered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    failed = event(captured, "http_request_failed")
    assert (failed["level"], failed["attributes"]["type"]) == ("WARNING", "CancelledError")
    assert server_span(captured)["trace_id"] == failed["trace_id"]


def test_a_websocket_has_its_trace_id_in_the_handshake_and_its_end_is_told(captured: Captured) -> None:
    app = service()

    @app.websocket("/chat/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        await websocket.accept(subprotocol=None, headers=[(b"x-room", room.encode())])
        log.info("said", text=await websocket.receive_text())
        await websocket.close(4000)

    headers = {"X-Trace-ID": UUID, "X-User-ID": "ada"}
    with serving(app) as url, connect(f"{url.replace('http', 'ws')}/chat/1", additional_headers=headers) as line:
        assert line.response
        assert (line.response.headers["X-Trace-ID"], line.response.headers["x-room"]) == (HEX, "1")
        assert line.response.headers["traceresponse"].startswith(f"00-{HEX}-")
        line.send("hello")
        closed = event(captured, "websocket_closed")
    assert closed["attributes"].items() >= {"code": 4000, "path": "/chat/{room}", "user.id": "ada"}.items()
    assert event(captured, "http_response_sent")["attributes"]["status"] == 101
    assert {record["trace_id"] for record in captured.logs} == {HEX}
    assert server_span(captured)["name"] == "HTTP /chat/{room}"


def test_a_websocket_that_the_client_closes_is_no_error(captured: Captured) -> None:
    app = service()

    @app.websocket("/chat")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    with serving(app) as url:
        with connect(f"{url.replace('http', 'ws')}/chat"):
            pass
        assert event(captured, "websocket_closed")["attributes"]["code"] == 1000
    assert events(captured, "http_request_failed") == []


def test_a_websocket_that_is_refused_or_fails_is_told(captured: Captured) -> None:
    app = service()

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/broken")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("no model")

    with serving(app) as url:
        with pytest.raises(InvalidStatus):
            connect(f"{url.replace('http', 'ws')}/refused")
        sent = event(captured, "http_response_sent")
        with connect(f"{url.replace('http', 'ws')}/broken"):
            failed = event(captured, "http_request_failed")
    assert (sent["attributes"]["status"], sent["level"]) == (403, "WARNING")
    assert (failed["attributes"]["type"], failed["attributes"]["path"]) == ("ValueError", "/broken")
    assert events(captured, "websocket_closed") == []


def test_the_lifespan_is_left_alone(captured: Captured) -> None:
    lived: list[Mapping[str, str]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lived.append(context())
        yield
        lived.append(context())

    app = FastAPI(lifespan=lifespan)
    instrument(app)
    with serving(app) as url:
        assert httpx.get(f"{url}/nothing").status_code == 404
    assert lived == [{}, {}]
    assert len(captured.logs) == 2


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
def test_a_mounted_application_is_part_of_the_outer_request(captured: Captured, kind: type[Starlette]) -> None:
    app, inner = service(), kind()
    if isinstance(inner, FastAPI):
        inner.add_api_route("/files/{name}", context)
    else:
        inner.add_route("/files/{name}", lambda _: PlainTextResponse("x"))
    app.mount("/sub", inner)
    instrument(inner)
    with serving(app) as url:
        httpx.get(f"{url}/sub/files/a")
    sent = event(captured, "http_response_sent")
    assert sent["attributes"]["path"] == "/sub/files/{name}"
    span = server_span(captured)
    assert (span["name"], span["attributes"]["http.route"]) == ("GET /sub/files/{name}", "/sub/files/{name}")
    assert len(events(captured, "http_request_received")) == len(captured.spans) == 1


def test_a_starlette_application_is_instrumented_too(captured: Captured) -> None:
    async def files(_: Request) -> PlainTextResponse:
        return PlainTextResponse("x")

    app = Starlette(routes=[Mount("/sub", routes=[Route("/files/{name}", files)])])
    instrument(app)
    with serving(app) as url:
        response = httpx.get(f"{url}/sub/files/a")
    assert response.headers["X-Trace-ID"] == server_span(captured)["trace_id"]
    assert event(captured, "http_response_sent")["attributes"]["path"] == "/sub/files/{name}"


def test_excluded_requests_get_nothing(captured: Captured) -> None:
    app, inner = service(excluded_urls="/health,/sub/quiet"), FastAPI()
    for target in (app, inner):
        target.add_api_route("/quiet" if target is inner else "/health", context)
    app.mount("/sub", inner)
    with serving(app) as url:
        for path in ("/health", "/sub/quiet"):
            response = httpx.get(f"{url}{path}", headers={"X-User-ID": "ada"})
            assert (response.json(), "X-Trace-ID" in response.headers) == ({}, False)
        httpx.get(f"{url}/users/ada")
    assert event(captured, "http_response_sent")["attributes"]["path"] == "/users/{user}"
    assert server_span(captured)["name"] == "GET /users/{user}"


def test_a_page_of_another_origin_may_read_the_trace_id(captured: Captured) -> None:
    app = service()
    app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"])
    with serving(app) as url:
        allowed = httpx.get(f"{url}/users/a", headers={"Origin": "https://page.example"})
        other = httpx.get(f"{url}/users/a", headers={"Origin": "https://other.example"})
    assert allowed.headers["access-control-expose-headers"] == "X-Trace-ID, traceresponse"
    assert "access-control-expose-headers" not in other.headers
    assert captured.logs


def test_a_trace_id_that_the_service_sends_itself_is_not_doubled(captured: Captured) -> None:
    app = service()

    @app.get("/own")
    async def own() -> JSONResponse:
        return JSONResponse({}, headers={"X-Trace-ID": "something"})

    with serving(app) as url:
        response = httpx.get(f"{url}/own")
    assert response.headers.get_list("X-Trace-ID") == [server_span(captured)["trace_id"]]


def test_an_application_that_runs_already_keeps_its_middleware(captured: Captured) -> None:
    made: list[object] = []

    class Counting:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app
            made.append(self)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    app = FastAPI()
    app.add_middleware(Counting)
    with serving(app) as url:
        httpx.get(f"{url}/before")
        instrument(app)
        instrument(app)
        response = httpx.get(f"{url}/after")
        uninstrument(app)
        assert "X-Trace-ID" not in httpx.get(f"{url}/undone").headers
    assert "X-Trace-ID" in response.headers
    assert [record["attributes"]["path"] for record in events(captured, "http_response_sent")] == ["/after"]
    assert len(made) == 1


def test_an_application_that_nobody_needs_is_let_go() -> None:
    app = FastAPI()
    instrument(app)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


@pytest.fixture
def instrumentor() -> Iterator[GanglionFastAPIInstrumentor]:
    instrumentor = GanglionFastAPIInstrumentor()
    yield instrumentor
    for one in (instrumentor, FastAPIInstrumentor()):
        if one.is_instrumented_by_opentelemetry:
            one.uninstrument()


ORDERS: dict[str, Callable[[GanglionFastAPIInstrumentor], None]] = {
    "ours alone": lambda ours: ours.instrument(),
    "ours first": lambda ours: (ours.instrument(), FastAPIInstrumentor().instrument(), None)[-1],
    "ours last": lambda ours: (FastAPIInstrumentor().instrument(), ours.instrument(), None)[-1],
}


@pytest.mark.parametrize("install", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("early", [True, False], ids=["made before", "made after"])
def test_every_application_is_instrumented_once(
    captured: Captured,
    instrumentor: GanglionFastAPIInstrumentor,
    install: Callable[[GanglionFastAPIInstrumentor], None],
    *,
    early: bool,
) -> None:
    app = fastapi.FastAPI() if early else None
    install(instrumentor)
    with serving(app or fastapi.FastAPI()) as url:
        response = httpx.get(f"{url}/nothing", headers={"X-Trace-ID": UUID})
    assert response.headers.get_list("X-Trace-ID") == [HEX]
    assert [(span["name"], span["trace_id"]) for span in captured.spans] == [("GET", HEX)]
    assert len(captured.logs) == 2


def test_the_instrumentor_can_be_switched_off(
    captured: Captured, instrumentor: GanglionFastAPIInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, fastapi")
    instrumentor.instrument()
    with serving(FastAPI()) as url:
        assert "X-Trace-ID" not in httpx.get(f"{url}/nothing").headers
    assert captured.logs == []


def test_a_missing_extra_is_named() -> None:
    program = "import sys; sys.modules['opentelemetry.instrumentation.fastapi'] = None; import ganglion.fastapi"
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "pip install 'ganglion[fastapi]'" in ended.stderr.splitlines()[-1]


def test_an_instrumentor_undone_leaves_nothing(captured: Captured, instrumentor: GanglionFastAPIInstrumentor) -> None:
    before = (FastAPI.__call__, Starlette.__call__)
    instrumentor.instrument()
    app = FastAPI()
    with serving(app) as url:
        httpx.get(f"{url}/nothing")
        instrumentor.uninstrument()
        assert "X-Trace-ID" not in httpx.get(f"{url}/nothing").headers
    assert (FastAPI.__call__, Starlette.__call__) == before
    assert len(events(captured, "http_response_sent")) == 1
