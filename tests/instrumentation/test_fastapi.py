import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from ganglion.context import context
from ganglion.fastapi import TraceId, instrument
from ganglion.logs import get_logger
from ganglion.testing import Captured, capture
from starlette.types import ASGIApp

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
