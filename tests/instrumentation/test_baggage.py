"""The ids as W3C baggage: to whom they go, and from whom they are taken. Real servers, real clients."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ganglion
import httpx
import httpx2
import pytest
import requests
import urllib3
import wrapt
from ganglion import _baggage
from ganglion.testing import capture
from opentelemetry import baggage, context, propagate
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

IDS = "user.id=u%201,tenant.id=t1"


class Service(ThreadingHTTPServer):
    """Remembers the baggage of each request; /away redirects to another service."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.received: list[str | None] = []
        self.other = ""
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.received.append(self.headers["baggage"])
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", self.server.other)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def services() -> Iterator[tuple[Service, Service]]:
    both = Service(), Service()
    threads = [threading.Thread(target=one.serve_forever, args=(0.01,)) for one in both]
    both[0].other = f"{both[1].url}/"
    for thread in threads:
        thread.start()
    yield both
    for one, thread in zip(both, threads, strict=True):
        one.shutdown()
        thread.join()
        one.server_close()


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    _baggage.uninstall()


def get_by_urllib3(url: str) -> None:
    with urllib3.PoolManager(headers={"x-own": "1"}) as pool:
        pool.request("GET", url)


def get_by_requests(url: str) -> None:
    with requests.Session() as session:
        session.get(url)


def get_by_httpx(url: str) -> None:
    with httpx.Client(follow_redirects=True) as client:
        client.get(url)


def get_by_httpx2(url: str) -> None:
    with httpx2.Client(follow_redirects=True) as client:
        client.get(url)


CLIENTS = pytest.mark.parametrize("get", [get_by_urllib3, get_by_requests, get_by_httpx, get_by_httpx2])


@CLIENTS
def test_ids_go_to_an_allowed_origin_only(services: tuple[Service, Service], get: Callable[[str], None]) -> None:
    friend, stranger = services
    _baggage.install([friend.url])
    with ganglion.bound(user_id="u 1", tenant_id="t1", plan="secret"):
        get(friend.url)
        get(stranger.url)

    assert (friend.received, stranger.received) == ([IDS], [None])


@CLIENTS
def test_nothing_goes_anywhere_by_default(services: tuple[Service, Service], get: Callable[[str], None]) -> None:
    _baggage.install()
    with ganglion.bound(user_id="u 1"):
        get(services[0].url)

    assert services[0].received == [None]


@CLIENTS
def test_a_redirect_to_a_stranger_takes_nothing_along(
    services: tuple[Service, Service], get: Callable[[str], None]
) -> None:
    friend, stranger = services
    _baggage.install([friend.url])
    with ganglion.bound(user_id="u 1", tenant_id="t1"):
        get(f"{friend.url}/away")

    assert (friend.received, stranger.received) == ([IDS], [None])


@pytest.mark.parametrize("client_class", [httpx.AsyncClient, httpx2.AsyncClient])
async def test_an_asynchronous_client_is_as_the_others(
    services: tuple[Service, Service], client_class: type[httpx.AsyncClient] | type[httpx2.AsyncClient]
) -> None:
    friend, stranger = services
    _baggage.install([friend.url])
    with ganglion.bound(user_id="u 1", tenant_id="t1"):
        async with client_class() as client:
            await client.get(friend.url)
            await client.get(stranger.url)

    assert (friend.received, stranger.received) == ([IDS], [None])


@pytest.fixture
def instrumented() -> Iterator[None]:
    HTTPXClientInstrumentor().instrument()
    HTTPX2ClientInstrumentor().instrument()
    RequestsInstrumentor().instrument()
    with capture():
        yield
    HTTPXClientInstrumentor().uninstrument()
    HTTPX2ClientInstrumentor().uninstrument()
    RequestsInstrumentor().uninstrument()


def test_what_an_instrumentation_that_came_first_adds_is_seen_and_it_goes_alone() -> None:
    class Client:
        def send(self, headers: list[str]) -> list[str]:
            return headers

    def adds(name: str) -> Callable[..., object]:
        return lambda send, _self, args, _kwargs: send([*args[0], name])

    for name in ("instrumentation", "another"):
        wrapt.wrap_function_wrapper(Client, "send", adds(name))
    _baggage._wrap_innermost(Client, "send", adds("gate"))

    assert Client().send([]) == ["another", "instrumentation", "gate"]
    unwrap(Client, "send")
    assert Client().send([]) == ["instrumentation", "gate"]
    unwrap(Client, "send")
    assert Client().send([]) == ["gate"]


@pytest.mark.usefixtures("instrumented")
@CLIENTS
def test_other_baggage_goes_on_as_the_propagator_has_it(
    services: tuple[Service, Service], get: Callable[[str], None]
) -> None:
    friend, stranger = services
    _baggage.install([friend.url])
    ours = baggage.set_baggage("user.id", "forged", baggage.set_baggage("colour", "blue"))
    token = context.attach(ours)
    with ganglion.bound(user_id="u1"):
        get(friend.url)
        get(stranger.url)
    context.detach(token)

    is_instrumented = get is not get_by_urllib3
    assert friend.received == ["colour=blue,user.id=u1" if is_instrumented else "user.id=u1"]
    assert stranger.received == ["colour=blue" if is_instrumented else None]


def extracted(header: str) -> context.Context:
    return propagate.extract({"baggage": header})


def test_what_comes_in_is_not_believed_by_default_and_goes_no_further() -> None:
    _baggage.install()
    now = extracted("user.id=u1,colour=blue")
    carrier: dict[str, str] = {}
    propagate.inject(carrier, now)

    assert _baggage.received(now) == {}
    assert carrier["baggage"] == "colour=blue"


def test_an_id_in_the_applications_own_baggage_stays_here() -> None:
    _baggage.install()
    carrier: dict[str, str] = {}
    propagate.inject(carrier, baggage.set_baggage("tenant.id", "t1", baggage.set_baggage("colour", "blue")))

    assert carrier["baggage"] == "colour=blue"


def test_trusted_ids_are_received_and_bounded() -> None:
    _baggage.install(trust=True)
    long = "x" * 129

    assert _baggage.received(extracted(f"user.id=u%201,session.id={long},tenant.id=a%0Ab,request.id=r1,plan=pro")) == {
        "user_id": "u 1",
        "request_id": "r1",
    }


def test_without_the_baggage_propagator_nothing_is_received() -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    _baggage.install(trust=True)
    found = _baggage.received(extracted("user.id=u1"))
    propagate.set_global_textmap(before)

    assert found == {}


def test_a_round_trip_keeps_every_character(services: tuple[Service, Service]) -> None:
    friend, _ = services
    _baggage.install([friend.url.upper().replace("HTTP", "http")], trust=True)
    for user in ("a,b;c=d", "Zoë", '100% "\\', "+"):
        with ganglion.bound(user_id=user):
            get_by_httpx(friend.url)
        header = friend.received.pop()
        assert header is not None
        assert _baggage.received(extracted(header)) == {"user_id": user}


def test_install_is_safe_twice_and_undone() -> None:
    before = propagate.get_global_textmap()
    _baggage.install()
    _baggage.install(trust=True)
    _baggage.uninstall()
    _baggage.uninstall()

    assert propagate.get_global_textmap() is before


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://[::1/"])
def test_a_wrong_url_is_the_clients_matter(url: str) -> None:
    _baggage.install(["http://[::1]"])
    with ganglion.bound(user_id="u1"), pytest.raises((httpx.InvalidURL, httpx.ConnectError, OverflowError)):
        get_by_httpx(url)
