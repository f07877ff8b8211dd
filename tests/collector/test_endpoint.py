import socket

import httpx
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.endpoint import Endpoint, free_addresses, listening_sockets, parse_endpoint

from tests.collector.otlp_requests import PAYLOADS
from tests.collector.receiving import RunningReceiver, grpc_receiver, http_receiver


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:4317", "localhost", 4317),
        (":4317", "", 4317),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:4317", "::1", 4317),
        ("collector.example:65535", "collector.example", 65535),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint, str(endpoint)) == (Endpoint(host, port), text)


@pytest.mark.parametrize(
    "text", ["", "localhost", "4317", "localhost:", "localhost:x", "a:65536", "a:-1", "::1:4317", "http://a:1", "a:٣"]
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="write host:port"):
        parse_endpoint(text)


def test_all_addresses_have_one_port() -> None:
    sockets = listening_sockets(Endpoint("localhost", 0))
    assert len({bound.getsockname()[1] for bound in sockets}) == 1
    assert "127.0.0.1" in {bound.getsockname()[0] for bound in sockets}
    for bound in sockets:
        bound.close()


def test_a_part_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for endpoint in (Endpoint("localhost", port), Endpoint("", port), Endpoint("::", port)):
            with pytest.raises(OSError, match="Address already in use"):
                free_addresses(endpoint)


def test_an_unknown_host_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid:1: "):
        listening_sockets(Endpoint("nowhere.invalid", 1))


@pytest.mark.parametrize("endpoint", [":0", "[::]:0", "0.0.0.0:0", "localhost:0"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_every_form_serves_ipv4(protocol: str, endpoint: str) -> None:
    running = grpc_receiver if protocol == "grpc" else http_receiver
    async with running({"endpoint": endpoint}, {"endpoint": endpoint}) as receiver:
        port = receiver.addresses[f"otlp/{protocol}"].rpartition(":")[2]
        local = RunningReceiver(receiver.receiver, {"otlp/grpc": f"127.0.0.1:{port}"})
        if protocol == "grpc":
            assert await local.export(Signal.LOGS, PAYLOADS[Signal.LOGS]) == b""
        else:
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 404
