"""A stand-in for LangSmith: a real HTTP server on 127.0.0.1 with its ingest endpoints, its hidden rules, its failures.

with LangSmithServer() as server:
    ...  # send to server.url with any API key
    assert server.tree(trace_id).outline() == {"root": ["child"]}

server.rules.window = None                        # other rules
server.fail_with(429, retry_after=1, times=2)     # failures, until their number is used up or `recover`
server.fail_with(500, store=True)                 # … after the data was kept
server.drop(store=True)                           # the line breaks instead of an answer
server.hang(), server.slow(0.5), server.refuse()
server.clock.advance(6 * 3600)
"""

import json
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Lock, Thread
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from tests.langsmith_endpoints import TEXTS, Answer, Clock, Endpoints, Forwarded, Request, Rules
from tests.langsmith_kept import DEFAULT_TENANT, KeptRun, Node, Workspace

__all__ = ["LangSmithServer", "Received", "Rules"]


@dataclass(frozen=True)
class Received:
    """A request as it came; `status` is the answer, 0 where there was none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    status: int
    run_ids: tuple[str, ...]
    """The runs in it, in their order, where it could be read."""


@dataclass
class _Failure:
    kind: Literal["status", "hang", "slow", "drop"]
    times: int | None
    path: str | None
    status: int = 0
    text: str = ""
    retry_after: str | None = None
    seconds: float = 0.0
    store: bool = False

    def concerns(self, method: str, path: str) -> bool:
        if self.path is not None:
            return path == self.path
        return method in {"POST", "PATCH"}


class LangSmithServer:
    """The server; a context manager. What it shows may be read from any thread."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.clock = Clock()
        self.requests: list[Received] = []
        self._endpoints = Endpoints(self.rules, self.clock)
        self._failures: deque[_Failure] = deque()
        self._changed = Condition(Lock())
        self._released = Event()
        self._http = _HTTP(self, 0)
        self.port = self._http.server_port

    def __enter__(self) -> Self:
        self._http.begin()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._http.end()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workspace(self, tenant: UUID = DEFAULT_TENANT) -> Workspace:
        return self._endpoints.workspace(tenant)

    @property
    def otlp(self) -> list[Forwarded]:
        """What came to the endpoint for OTLP."""
        return self._endpoints.otlp

    @property
    def runs(self) -> list[KeptRun]:
        """The runs of all workspaces, in the order in which they first came."""
        with self._changed:
            return [run for workspace in self._endpoints.workspaces.values() for run in workspace.runs.values()]

    def run(self, name: str) -> KeptRun:
        """Return the only run of that name."""
        found = [run for run in self.runs if run.name == name]
        assert len(found) == 1, f"{len(found)} runs named {name!r} among {sorted(run.name for run in self.runs)}"
        return found[0]

    def tree(self, trace_id: UUID | str, tenant: UUID = DEFAULT_TENANT) -> Node:
        """Return a whole trace; fail where LangSmith could not show it as one."""
        with self._changed:
            return self.workspace(tenant).tree(UUID(str(trace_id)))

    def trees(self, tenant: UUID = DEFAULT_TENANT) -> list[Node]:
        """Return all traces, whole, by their start."""
        with self._changed:
            return self.workspace(tenant).trees()

    def wait_for_runs(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many are kept; for tests without an event loop."""
        with self._changed:
            come = self._changed.wait_for(lambda: self._kept() >= count, timeout)
            assert come, f"{self._kept()} runs within {timeout} s"

    def _kept(self) -> int:
        return sum(len(workspace.runs) for workspace in self._endpoints.workspaces.values())

    def wait_for_requests(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many have come, failed ones with them."""
        with self._changed:
            come = self._changed.wait_for(lambda: len(self.requests) >= count, timeout)
            assert come, f"{len(self.requests)} requests within {timeout} s"

    def fail_with(
        self,
        status: int,
        *,
        times: int | None = None,
        retry_after: float | str | None = None,
        text: str | None = None,
        store: bool = False,
        path: str | None = None,
    ) -> None:
        """Answer so, after keeping the data where `store`; `path` alone, else whatever is posted or patched."""
        body = text if text is not None else TEXTS.get(status, json.dumps({"error": f"status {status}"}))
        after = None if retry_after is None else str(retry_after)
        self._fail(_Failure("status", times, path, status=status, text=body, retry_after=after, store=store))

    def drop(self, *, times: int | None = None, store: bool = False, path: str | None = None) -> None:
        """Read the request, keep it where `store`, and close the connection without an answer."""
        self._fail(_Failure("drop", times, path, store=store))

    def hang(self, *, times: int | None = None, store: bool = False, path: str | None = None) -> None:
        """Read the request and do not answer until `recover`; then the connection is closed."""
        self._fail(_Failure("hang", times, path, store=store))

    def slow(self, seconds: float, *, times: int | None = None, path: str | None = None) -> None:
        """Answer rightly, but only after `seconds`."""
        self._fail(_Failure("slow", times, path, seconds=seconds))

    def refuse(self) -> None:
        """Close the port and all connections: who comes is refused, until `recover`."""
        self._http.end()

    def recover(self) -> None:
        """End all failures."""
        with self._changed:
            self._failures.clear()
            self._released.set()
            self._released = Event()
        if self._http.ended:
            self._http = _HTTP(self, self.port)
            self._http.begin()

    def _fail(self, failure: _Failure) -> None:
        with self._changed:
            self._failures.append(failure)

    def _next_failure(self, request: Request) -> _Failure | None:
        for failure in self._failures:
            if failure.concerns(request.method, request.path):
                if failure.times is not None:
                    failure.times -= 1
                    if failure.times <= 0:
                        self._failures.remove(failure)
                return failure
        return None

    def answer(self, request: Request) -> Answer | None:
        """Return what to answer; None where the connection is to be closed."""
        with self._changed:
            failure, released = self._next_failure(request), self._released
        if failure and failure.kind == "slow":
            released.wait(failure.seconds)
        with self._changed:
            answer = None
            if not failure or failure.store or failure.kind == "slow":
                answer = self._endpoints.answer(request)
            if failure and failure.kind != "slow":
                answer = _failed(failure)
            self._record(request, answer.status if answer else 0)
        if failure and failure.kind == "hang":
            released.wait()
        return answer

    def _record(self, request: Request, status: int) -> None:
        self.requests.append(
            Received(request.method, request.path, request.headers, request.body, status, request.run_ids)
        )
        self._changed.notify_all()


def _failed(failure: _Failure) -> Answer | None:
    if failure.kind != "status":
        return None
    headers = {} if failure.retry_after is None else {"Retry-After": failure.retry_after}
    return Answer(failure.status, failure.text.encode(), headers)


class _HTTP(ThreadingHTTPServer):
    """Connections in threads of their own, all of which can be ended."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, owner: LangSmithServer, port: int) -> None:
        self.owner = owner
        self.ended = False
        self._connections: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        super().__init__(("127.0.0.1", port), _Handler)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Close the port and every connection; may be called again."""
        if self.ended:
            return
        self.ended = True
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: some are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTP

    def _serve(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, parse_qs(url.query), headers, self._body(self.headers))
        answer = self.server.owner.answer(request)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PATCH = do_HEAD = _serve  # noqa: N815 - the base class looks for these names

    def _body(self, headers: Message) -> bytes:
        if headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("Content-Length", "0")))
        chunks = list[bytes]()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Keep quiet: the requests are recorded."""
