"""The OTLP/HTTP exporter against a real server that answers as told."""

import gzip
import logging
import socket
import ssl
import struct
import zlib
from asyncio import StreamReader, StreamWriter, start_server
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme
import zstandard
from ganglion_collector.component import Signal
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import response_type
from ganglion_collector.testing import Answer, OTLPSink, make_batch, make_request
from ganglion_exporters.otlp_http import OTLPHTTPConfig, OTLPHTTPExporter
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from pydantic import ValidationError

LOGS = make_batch(make_request(Signal.LOGS, "a"), make_request(Signal.LOGS, "b"))
BODY = b"".join(record.payload for record in LOGS.records)


@asynccontextmanager
async def exporting(endpoint: str, **config: Any) -> AsyncIterator[OTLPHTTPExporter]:
    exporter = OTLPHTTPExporter(OTLPHTTPConfig.model_validate({"endpoint": endpoint, **config}))
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown()


@pytest.mark.parametrize("signal", list(Signal))
async def test_bytes_arrive_as_they_were_received(signal: Signal) -> None:
    # Field 99 is unknown to us: only untouched bytes still hold it.
    payload = make_request(signal, "a").SerializeToString() + b"\x9a\x06\x03new"
    batch = make_batch(payload, payload, signal=signal)
    async with OTLPSink() as sink, exporting(sink.http_endpoint, compression="none") as exporter:
        assert await exporter.export(batch) is None
    (request,) = sink.requests
    assert (request.path, request.body) == (f"/v1/{signal}", payload * 2)
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["user-agent"].startswith("Ganglion/")
    assert "content-encoding" not in request.headers


def unzstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body)


@pytest.mark.parametrize(
    ("compression", "level", "read"),
    [
        ("gzip", None, gzip.decompress),
        ("gzip", 1, gzip.decompress),
        ("zlib", 9, zlib.decompress),
        ("deflate", None, zlib.decompress),
        ("zstd", 19, unzstd),
    ],
)
async def test_compressed_requests_say_so(compression: str, level: int | None, read: Callable[[bytes], bytes]) -> None:
    params = {"compression": compression, "compression_params": {"level": level}}
    async with OTLPSink() as sink, exporting(sink.http_endpoint, **params) as exporter:
        await exporter.export(LOGS)
    assert sink.requests[0].headers["content-encoding"] == compression
    assert read(sink.requests[0].body) == BODY


async def test_the_same_batch_makes_the_same_bytes() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        await exporter.export(LOGS)
        await exporter.export(LOGS)
    assert sink.requests[0].body == sink.requests[1].body
    # gzip's header has a place for the time (RFC 1952, MTIME); it stays empty.
    assert sink.requests[0].body[4:8] == bytes(4)


async def test_headers_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer s3cret"}
    async with OTLPSink() as sink, exporting(sink.http_endpoint, headers=headers) as exporter:
        sink.answers.append(Answer(http_status=401))
        with pytest.raises(PermanentError) as refused:
            await exporter.export(LOGS)
    assert sink.requests[0].headers["authorization"] == "Bearer s3cret"
    shown = str(refused.value) + repr(OTLPHTTPConfig.model_validate({"endpoint": "http://x", "headers": headers}))
    assert "s3cret" not in shown + "".join(r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_retryable_statuses(status: int) -> None:
    async with OTLPSink(Answer(http_status=status)) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError, match=f"HTTP {status}") as error:
            await exporter.export(LOGS)
    assert error.value.retry_after is None
    assert len(sink.requests) == 1


@pytest.mark.parametrize(
    ("status", "divisible"),
    [
        (301, False), (307, False), (304, False), (400, True), (401, False), (403, False), (404, False), (405, False),
        (413, True), (415, False), (418, False), (422, True), (500, True), (501, False), (505, False),
    ],
)  # fmt: skip
async def test_other_statuses_are_permanent(status: int, divisible: bool) -> None:
    answer = Answer(http_status=status, http_headers={"location": "/elsewhere"})
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(PermanentError, match=f"HTTP {status}") as error:
            await exporter.export(LOGS)
    assert error.value.divisible is divisible
    assert [request.path for request in sink.requests] == ["/v1/logs"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999999999", 3600.0), ("-3", None), ("soon", None), ("", None), ("1.5", None)],
)
async def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    answer = Answer(http_status=503, http_headers={"retry-after": value})
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError) as error:
            await exporter.export(LOGS)
    assert error.value.retry_after == seconds


@pytest.mark.parametrize(("ahead", "least", "most"), [(60, 50, 60), (-60, 0, 0), (10**6, 3600, 3600)])
async def test_retry_after_as_a_date(ahead: int, least: float, most: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    answer = Answer(http_status=429, http_headers={"retry-after": date})
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError) as error:
            await exporter.export(LOGS)
    assert error.value.retry_after is not None
    assert least <= error.value.retry_after <= most


def status_body(seconds: int) -> bytes:
    status = Status(code=14, message="too\nbusy")
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return bytes(status.SerializeToString())


@pytest.mark.parametrize(("headers", "seconds"), [({}, 9.0), ({"retry-after": "0"}, 0.0), ({"retry-after": "2"}, 2.0)])
async def test_the_status_says_why_and_how_long(headers: dict[str, str], seconds: float) -> None:
    answer = Answer(http_status=503, http_headers=headers, body=status_body(9))
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError, match=r"^HTTP 503: too busy$") as error:
            await exporter.export(LOGS)
    assert error.value.retry_after == seconds


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"<html>no</html>", b"x" * (5 * 1024 * 1024)])
async def test_odd_bodies_change_nothing(body: bytes) -> None:
    async with OTLPSink(Answer(http_status=503, body=body)) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError, match="HTTP 503"):
            await exporter.export(LOGS)


async def test_an_answer_larger_than_any_may_be_is_not_read() -> None:
    body = Status(message="x" * (5 * 1024 * 1024)).SerializeToString()
    async with OTLPSink(Answer(http_status=503, body=body)) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError, match=r"^HTTP 503$"):
            await exporter.export(LOGS)


@pytest.mark.parametrize("body", [b"\xff\xff", b"\0" * (5 * 1024 * 1024)], ids=["garbage", "huge"])
async def test_an_odd_acceptance_is_an_acceptance(body: bytes) -> None:
    async with OTLPSink(Answer(body=body)) as sink, exporting(sink.http_endpoint) as exporter:
        assert await exporter.export(LOGS) is None
    assert len(sink.requests) == 1


async def test_partial_success_is_returned() -> None:
    response: Any = response_type(Signal.LOGS)()
    response.partial_success.rejected_log_records = 1
    response.partial_success.error_message = "no body"
    async with (
        OTLPSink(Answer(body=response.SerializeToString())) as sink,
        exporting(sink.http_endpoint) as exporter,
    ):
        assert await exporter.export(LOGS) == PartialSuccess(1, "no body")
    assert len(sink.requests) == 1


async def test_a_warning_without_rejection_is_returned() -> None:
    response: Any = response_type(Signal.LOGS)()
    response.partial_success.error_message = "deprecated"
    async with (
        OTLPSink(Answer(body=response.SerializeToString())) as sink,
        exporting(sink.http_endpoint) as exporter,
    ):
        assert await exporter.export(LOGS) == PartialSuccess(0, "deprecated")


@pytest.mark.parametrize("answer", [Answer(hang_up=True), Answer(http_headers={"content-length": "9"}, hang_up=True)])
async def test_a_dropped_connection_is_retryable(answer: Answer) -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        sink.answers.append(answer)
        with pytest.raises(RetryableError):
            await exporter.export(LOGS)
        assert await exporter.export(LOGS) is None


async def test_a_reset_connection_is_retryable_and_its_reason_is_whole() -> None:
    async def reset(_reader: StreamReader, writer: StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with await start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with exporting(f"http://127.0.0.1:{port}") as exporter:
            with pytest.raises(RetryableError, match=r"\w$"):
                await exporter.export(LOGS)


async def test_a_slow_destination_is_retryable() -> None:
    async with OTLPSink(Answer(delay=5)) as sink, exporting(sink.http_endpoint, timeout="50ms") as exporter:
        with pytest.raises(RetryableError, match=r"no answer within 0\.05 s"):
            await exporter.export(LOGS)


@pytest.mark.parametrize("host", ["host.invalid", "127.0.0.1"])
async def test_an_unreachable_destination_is_retryable(host: str, unused_tcp_port: int) -> None:
    async with exporting(f"http://{host}:{unused_tcp_port}") as exporter:
        with pytest.raises(RetryableError, match="ConnectError"):
            await exporter.export(LOGS)


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(("name", "override"), [("127.0.0.1", ""), ("tempo.example", "tempo.example")])
async def test_tls_with_a_private_authority(name: str, override: str) -> None:
    authority = trustme.CA()
    tls = {"ca_pem": authority.cert_pem.bytes().decode(), "server_name_override": override}
    async with (
        OTLPSink(tls=server_context(authority, name)) as sink,
        exporting(sink.http_endpoint, tls=tls) as exporter,
    ):
        await exporter.export(LOGS)
    assert len(sink.requests) == 1


@pytest.mark.parametrize("tls", [{}, {"server_name_override": "tempo.example"}])
async def test_a_server_that_cannot_be_verified_is_retryable(tls: dict[str, str]) -> None:
    async with OTLPSink(tls=server_context(trustme.CA())) as sink, exporting(sink.http_endpoint, tls=tls) as exporter:
        with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
            await exporter.export(LOGS)
    assert sink.requests == []


async def test_verification_can_be_switched_off() -> None:
    async with (
        OTLPSink(tls=server_context(trustme.CA())) as sink,
        exporting(sink.http_endpoint, tls={"insecure_skip_verify": True}) as exporter,
    ):
        await exporter.export(LOGS)
    assert len(sink.requests) == 1


async def test_a_proxy_is_used() -> None:
    async with OTLPSink() as proxy, exporting("http://tempo.invalid:4318", proxy_url=proxy.http_endpoint) as exporter:
        await exporter.export(LOGS)
    assert proxy.requests[0].path == "http://tempo.invalid:4318/v1/logs"


async def test_a_signal_without_destination_stays_in_the_journal() -> None:
    exporter = OTLPHTTPExporter(OTLPHTTPConfig(traces_endpoint="http://tempo:4318/v1/traces"))
    await exporter.start()
    with pytest.raises(RetryableError, match="set endpoint or logs_endpoint"):
        await exporter.export(LOGS)
    await exporter.shutdown()


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({"endpoint": "http://a:4318"}, "http://a:4318/v1/logs"),
        ({"endpoint": "http://a:4318/"}, "http://a:4318/v1/logs"),
        ({"endpoint": "https://a/otlp/"}, "https://a/otlp/v1/logs"),
        ({"endpoint": "http://a", "logs_endpoint": "http://b/loki"}, "http://b/loki"),
    ],
)
def test_where_logs_go(config: dict[str, str], url: str) -> None:
    assert OTLPHTTPConfig.model_validate(config).url(Signal.LOGS) == url


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"endpoint": ""}, "endpoint is missing"),
        ({"endpoint": "tempo:4318"}, "write scheme, host and port"),
        ({"endpoint": "ftp://tempo"}, "write scheme, host and port"),
        ({"endpoint": "http://"}, "write scheme, host and port"),
        ({"logs_endpoint": "http://[::1"}, "not a URL"),
        ({"encoding": "json"}, "write proto"),
        ({"compression": "snappy"}, "write gzip or zstd"),
        ({"compression_params": {"level": 12}}, "levels -1 to 9"),
        ({"headers": {"Content-Type": "x"}}, "set by the exporter itself"),
        ({"headers": {"x": "ä"}}, "characters that a header cannot carry"),
        ({"auth": {"authenticator": "basicauth"}}, "set headers::authorization"),
        ({"proxy": "http://x"}, "proxy"),
        ({"proxy_url": "proxy:8080"}, "write http://host:port"),
    ],
)
def test_refused_configurations(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OTLPHTTPConfig.model_validate({"endpoint": "http://tempo:4318", **config})
