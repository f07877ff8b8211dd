import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
import zstandard
from ganglion_collector.component import Signal
from ganglion_collector.errors import RefusedError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.collector.otlp_requests import PAYLOADS, SPAN, TRACE, logs, spans
from tests.collector.receiving import RunningReceiver, http_receiver

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
LOGS = PAYLOADS[Signal.LOGS]
ONE_LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}'
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


GZIP, ZSTD = (COMPRESSIONS[encoding](LOGS) for encoding in ("gzip", "zstd"))


async def post(receiver: RunningReceiver, path: str, content: bytes, **headers: str) -> httpx.Response:
    named = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(timeout=15) as client:
        return await client.post(receiver.http + path, content=content, headers=named)


def status_of(response: httpx.Response) -> tuple[int, str]:
    if response.headers["content-type"] == PROTOBUF:
        status = Status.FromString(response.content)
        return status.code, status.message
    document = orjson.loads(response.content)
    return document["code"], document["message"]


@pytest.mark.parametrize("signal", Signal)
async def test_protobuf_is_handed_over_as_it_came(signal: Signal) -> None:
    async with http_receiver() as receiver:
        response = await post(receiver, f"/v1/{signal}", PAYLOADS[signal])
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == PROTOBUF
    assert [(one.signal, one.payload, one.item_count) for one in receiver.accepted] == [(signal, PAYLOADS[signal], 1)]


async def test_json_is_handed_over_as_protobuf_and_answered_in_json() -> None:
    async with http_receiver() as receiver:
        response = await post(receiver, "/v1/logs", ONE_LOG, content_type="application/json; charset=utf-8")
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["content-type"] == JSON
    assert "hi" in str(receiver.accepted[0].request)


@pytest.mark.parametrize("encoding", COMPRESSIONS)
@pytest.mark.parametrize("count", [1, 2000], ids=["small", "large"])
async def test_a_compressed_request_is_taken(encoding: str, count: int) -> None:
    payload = logs(count).SerializeToString()
    async with http_receiver() as receiver:
        response = await post(receiver, "/v1/logs", COMPRESSIONS[encoding](payload), content_encoding=encoding)
    assert response.status_code == 200
    assert receiver.accepted[0].payload == payload


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_body_of_several_members_is_taken_whole(encoding: str) -> None:
    compress = COMPRESSIONS[encoding]
    async with http_receiver() as receiver:
        content = compress(LOGS) + compress(LOGS)
        response = await post(receiver, "/v1/logs", content, content_encoding=encoding)
    assert response.status_code == 200
    assert receiver.accepted[0].item_count == 2


async def test_json_in_zstd_and_chunks_is_taken() -> None:
    async def chunks() -> Any:
        body = COMPRESSIONS["zstd"](ONE_LOG)
        yield body[:10]
        yield body[10:]

    async with http_receiver() as receiver, httpx.AsyncClient() as client:
        headers = {"content-type": JSON, "content-encoding": "zstd"}
        response = await client.post(f"{receiver.http}/v1/logs", content=chunks(), headers=headers)
    assert (response.status_code, len(receiver.accepted)) == (200, 1)


async def test_an_empty_request_succeeds_without_being_handed_over() -> None:
    async with http_receiver() as receiver:
        assert (await post(receiver, "/v1/logs", b"")).status_code == 200
        assert (await post(receiver, "/v1/logs", b"{}", content_type=JSON)).content == b"{}"
    assert receiver.accepted == []


async def test_partial_success_in_protobuf_and_json() -> None:
    request = spans((TRACE, SPAN), (TRACE, b"123"))
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "00" * 16, "spanId": SPAN.hex()}]}]}]}
    async with http_receiver() as receiver:
        binary = await post(receiver, "/v1/traces", request.SerializeToString())
        text = await post(receiver, "/v1/traces", orjson.dumps(body), content_type=JSON)
    partial = ExportTraceServiceResponse.FromString(binary.content).partial_success
    assert (binary.status_code, partial.rejected_spans) == (200, 1)
    assert partial.error_message == "1 of 2 spans rejected: item 1: span_id has 3 bytes instead of 8"
    assert (text.status_code, orjson.loads(text.content)) == (
        200,
        {
            "partialSuccess": {
                "rejectedSpans": "1",
                "errorMessage": "1 of 1 spans rejected: item 0: trace_id is all zeros",
            }
        },
    )
    assert [one.item_count for one in receiver.accepted] == [1]


@pytest.mark.parametrize(
    ("path", "content", "headers", "expected"),
    [
        pytest.param("/v1/logs", b"\xff\xff", {}, 400, id="garbage"),
        pytest.param("/v1/logs", LOGS[:-1], {}, 400, id="truncated"),
        pytest.param("/v1/traces", LOGS, {}, 400, id="logs as traces"),
        pytest.param("/v1/metrics", PAYLOADS[Signal.TRACES], {}, 400, id="traces as metrics"),
        pytest.param("/v1/logs", PAYLOADS[Signal.METRICS], {}, 400, id="metrics as logs"),
        pytest.param("/v1/traces", ONE_LOG, {"content_type": JSON}, 400, id="logs as traces in JSON"),
        pytest.param("/v1/logs", b"", {"content_type": JSON}, 400, id="empty JSON"),
        pytest.param("/v1/logs", b"[]", {"content_type": JSON}, 400, id="JSON array"),
        pytest.param("/v1/logs", ONE_LOG[:-1], {"content_type": JSON}, 400, id="truncated JSON"),
        pytest.param("/v1/logs", LOGS, {"content_type": JSON}, 400, id="protobuf as JSON"),
        pytest.param("/v1/logs", ONE_LOG, {}, 400, id="JSON as protobuf"),
        pytest.param("/v1/logs", LOGS, {"content_encoding": "gzip"}, 400, id="not gzip"),
        pytest.param("/v1/logs", b"", {"content_encoding": "gzip"}, 400, id="empty gzip"),
        pytest.param("/v1/logs", gzip.compress(LOGS)[:-1], {"content_encoding": "gzip"}, 400, id="truncated gzip"),
        pytest.param("/v1/logs", gzip.compress(LOGS) + b"!", {"content_encoding": "gzip"}, 400, id="gzip and more"),
        pytest.param("/v1/logs", zlib.compress(LOGS) + b"!", {"content_encoding": "deflate"}, 400, id="zlib and more"),
        pytest.param("/v1/logs", LOGS, {"content_encoding": "zstd"}, 400, id="not zstd"),
        pytest.param(
            "/v1/logs", COMPRESSIONS["zstd"](LOGS)[:-1], {"content_encoding": "zstd"}, 400, id="truncated zstd"
        ),
        pytest.param(
            "/v1/logs", COMPRESSIONS["zstd"](LOGS) + b"abcd", {"content_encoding": "zstd"}, 400, id="zstd and more"
        ),
        pytest.param("/v1/logs", ZSTD + ZSTD[:6], {"content_encoding": "zstd"}, 400, id="second frame truncated"),
        pytest.param("/v1/logs", GZIP + GZIP[:6], {"content_encoding": "gzip"}, 400, id="second member truncated"),
        pytest.param("/v1/logs", LOGS, {"content_encoding": "br"}, 415, id="unknown encoding"),
        pytest.param("/v1/logs", LOGS, {"content_encoding": "gzip, gzip"}, 415, id="two encodings"),
        pytest.param("/v1/logs", LOGS, {"content_type": "text/plain"}, 415, id="unknown type"),
        pytest.param("/v1/logs", LOGS, {"content_type": ""}, 415, id="no type"),
        pytest.param("/v1/spans", LOGS, {}, 404, id="unknown path"),
        pytest.param("/v1/logs/", LOGS, {}, 404, id="slash after the path"),
    ],
)
async def test_a_bad_request_is_answered_with_a_status(
    path: str, content: bytes, headers: dict[str, str], expected: int
) -> None:
    async with http_receiver() as receiver:
        response = await post(receiver, path, content, **headers)
        assert (await post(receiver, "/v1/logs", LOGS)).status_code == 200
    assert response.status_code == expected
    wanted = PROTOBUF if headers.get("content_type", PROTOBUF) == PROTOBUF else JSON
    assert response.headers["content-type"] == wanted
    code, message = status_of(response)
    assert code
    assert message
    assert len(receiver.accepted) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_only_post_is_allowed(method: str) -> None:
    async with http_receiver() as receiver, httpx.AsyncClient() as client:
        response = await client.request(method, f"{receiver.http}/v1/logs")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert status_of(response)[1] == "send it by POST"


async def test_a_signal_that_no_pipeline_wants_is_not_found() -> None:
    async with http_receiver(signals=frozenset({Signal.TRACES})) as receiver:
        response = await post(receiver, "/v1/logs", LOGS)
    assert (response.status_code, status_of(response)) == (
        404,
        (12, "nothing is received at this path, only /v1/traces"),
    )


async def test_paths_can_be_set() -> None:
    async with http_receiver(http_config={"logs_url_path": "/otlp/logs"}) as receiver:
        assert (await post(receiver, "/otlp/logs", LOGS)).status_code == 200


async def test_a_refusal_says_when_to_come_again() -> None:
    async with http_receiver() as receiver:
        receiver.failure = RefusedError("the journal is full", 2.2)
        binary = await post(receiver, "/v1/logs", LOGS)
        text = await post(receiver, "/v1/logs", ONE_LOG, content_type=JSON)
    assert (binary.status_code, binary.headers["retry-after"]) == (503, "3")
    assert status_of(binary) == (14, "the journal is full")
    assert orjson.loads(text.content)["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.200s"}
    ]


async def test_an_unforeseen_error_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with http_receiver() as receiver:
        receiver.failure = KeyError("secret of the payload")
        response = await post(receiver, "/v1/logs", LOGS)
    assert (response.status_code, status_of(response)[0]) == (500, 13)
    assert "secret" not in response.text + caplog.text


@pytest.mark.parametrize("size", [1000, 1001], ids=["at the limit", "past it"])
async def test_the_limit_is_exact(size: int) -> None:
    empty = len(logs(body="").SerializeToString())
    payload = logs(body="x" * (size - empty)).SerializeToString()
    payload = logs(body="x" * (size - empty - (len(payload) - size))).SerializeToString()
    assert len(payload) == size
    async with http_receiver(http_config={"max_request_body_size": 1000}) as receiver:
        response = await post(receiver, "/v1/logs", payload)
        compressed = await post(receiver, "/v1/logs", gzip.compress(payload), content_encoding="gzip")
    expected = 200 if size == 1000 else 413
    assert [response.status_code, compressed.status_code] == [expected, expected]


async def test_a_large_body_that_is_refused_early_gets_its_answer() -> None:
    async with http_receiver(http_config={"max_request_body_size": 1000}) as receiver:
        response = await post(receiver, "/v1/logs", bytes(20_000_000))
    assert (response.status_code, status_of(response)[0]) == (413, 8)


@pytest.fixture
def bomb(encoding: str) -> bytes:
    """256 MiB of zeros, compressed: outside the event loop, since it takes a while."""
    piece = bytes(1024 * 1024)
    if encoding == "zstd":
        stream: Any = zstandard.ZstdCompressor().compressobj()
    else:
        stream = zlib.compressobj(level=1, wbits=31 if encoding == "gzip" else 15)
    return b"".join([*(stream.compress(piece) for _ in range(256)), stream.flush()])


@pytest.mark.parametrize("encoding", COMPRESSIONS)
async def test_a_bomb_is_refused_without_the_memory_it_asks_for(encoding: str, bomb: bytes) -> None:
    async with http_receiver(http_config={"max_request_body_size": 8 * 1024 * 1024}) as receiver:
        tracemalloc.start()
        response = await post(receiver, "/v1/logs", bomb, content_encoding=encoding)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert response.status_code == 413
    assert peak < 24 * 1024 * 1024


async def test_a_tiny_bomb_of_many_members_does_not_take_long() -> None:
    content = gzip.compress(b"") * 100_000
    async with http_receiver() as receiver:
        response = await post(receiver, "/v1/logs", content, content_encoding="gzip")
    assert response.status_code == 400


async def raw(receiver: RunningReceiver, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_bytes_that_are_no_http_get_a_status() -> None:
    async with http_receiver() as receiver:
        answer = await raw(receiver, b"\x16\x03\x01 hello\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(body)["code"] == 3


async def test_a_sender_that_goes_away_changes_nothing() -> None:
    async with http_receiver() as receiver:
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n")
        writer.write(b"content-length: 100\r\n\r\nabc")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await post(receiver, "/v1/logs", LOGS)).status_code == 200
    assert len(receiver.accepted) == 1


async def test_a_body_that_does_not_arrive_is_refused_to_come_again() -> None:
    request = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\n"
    async with http_receiver(http_config={"read_timeout": "50ms"}) as receiver:
        answer = await raw(receiver, request + b"content-length: 100\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 503 ")


async def test_shutdown_answers_what_is_in_flight_and_closes_kept_connections() -> None:
    async with http_receiver() as receiver, httpx.AsyncClient() as client:
        headers = {"content-type": PROTOBUF}
        assert (await client.post(f"{receiver.http}/v1/logs", content=LOGS, headers=headers)).status_code == 200
        receiver.gate = asyncio.Event()
        receiver.entered.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        waiting = asyncio.create_task(client.post(f"{receiver.http}/v1/logs", content=LOGS, headers=headers))
        await receiver.entered.wait()
        stopping = asyncio.create_task(receiver.receiver.shutdown())
        assert await reader.read() == b""
        receiver.gate.set()
        assert (await waiting).status_code == 200
        await stopping
        writer.close()
        with pytest.raises(httpx.ConnectError):
            await client.post(f"{receiver.http}/v1/logs", content=LOGS, headers=headers)


async def test_too_many_bytes_in_flight_are_refused_to_come_again() -> None:
    payload = logs(body="x" * 10_000_000).SerializeToString()
    async with http_receiver() as receiver:
        receiver.gate = asyncio.Event()
        requests = [asyncio.create_task(post(receiver, "/v1/logs", payload)) for _ in range(30)]
        done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED, timeout=15)
        receiver.gate.set()
        codes = sorted([response.status_code for response in await asyncio.gather(*requests)])
        assert {task.result().status_code for task in done} == {503}
        assert codes.count(200) >= 20
        assert (await post(receiver, "/v1/logs", payload)).status_code == 200


CORS = {
    "cors": {
        "allowed_origins": ["https://*.example.com", "http://localhost:3000"],
        "allowed_headers": ["X-Tenant"],
        "max_age": 600,
    }
}


async def preflight(receiver: RunningReceiver, origin: str, headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": headers,
        }
        return await client.options(f"{receiver.http}/v1/logs", headers=asked)


async def test_a_preflight_from_an_allowed_origin_is_granted() -> None:
    async with http_receiver(http_config=CORS) as receiver:
        response = await preflight(receiver, "https://app.example.com", "content-type,x-tenant")
    assert response.status_code == 204
    granted = {name: value for name, value in response.headers.items() if name.startswith("access-control")}
    assert granted == {
        "access-control-allow-origin": "https://app.example.com",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type, x-tenant",
        "access-control-max-age": "600",
    }


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("https://example.com.evil.org", "content-type"),
        ("https://evil.org/.example.com.", "content-type"),
        ("http://app.example.com", "content-type"),
        ("null", "content-type"),
        ("https://app.example.com", "x-secret"),
    ],
)
async def test_a_preflight_that_asks_too_much_is_not(origin: str, headers: str) -> None:
    async with http_receiver(http_config=CORS) as receiver:
        response = await preflight(receiver, origin, headers)
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_page_can_read_the_answer_and_the_error() -> None:
    async with http_receiver(http_config=CORS) as receiver:
        good = await post(receiver, "/v1/logs", LOGS, origin="http://localhost:3000")
        bad = await post(receiver, "/v1/logs", b"\xff", origin="http://localhost:3000")
    assert [answer.headers["access-control-allow-origin"] for answer in (good, bad)] == ["http://localhost:3000"] * 2
    assert [answer.headers["vary"] for answer in (good, bad)] == ["Origin"] * 2


async def test_every_origin_can_be_allowed_and_headers_set() -> None:
    config = {"cors_allowed_origins": ["*"], "response_headers": {"X-Served-By": "ganglion"}}
    async with http_receiver(http_config=config) as receiver:
        response = await post(receiver, "/v1/logs", LOGS, origin="https://any.where")
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["x-served-by"] == "ganglion"


async def test_connections_are_kept_unless_told_otherwise() -> None:
    async with http_receiver(http_config={"keep_alives_enabled": False}) as receiver:
        response = await post(receiver, "/v1/logs", LOGS)
    assert response.headers["connection"] == "close"


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with http_receiver() as receiver:
        taken = f"127.0.0.1:{receiver.port}"
        with pytest.raises(OSError, match=f"cannot listen on {taken}: Address already in use"):
            async with http_receiver(http_config={"endpoint": taken}):
                pass
