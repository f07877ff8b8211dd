"""The OTLP/gRPC exporter against a real server that answers as told."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
import trustme
from ganglion_collector.component import Signal
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import response_type
from ganglion_collector.testing import Answer, OTLPSink, make_batch, make_request
from ganglion_exporters.otlp_grpc import OTLPGRPCConfig, OTLPGRPCExporter
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from pydantic import ValidationError

Code = grpc.StatusCode
LOGS = make_batch(make_request(Signal.LOGS, "a"), make_request(Signal.LOGS, "b"))


@asynccontextmanager
async def exporting(endpoint: str, **config: Any) -> AsyncIterator[OTLPGRPCExporter]:
    exporter = OTLPGRPCExporter(OTLPGRPCConfig.model_validate({"endpoint": endpoint, **config}))
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown()


def status_details(seconds: int) -> bytes:
    status = Status(code=8, message="busy")
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return bytes(status.SerializeToString())


@pytest.mark.parametrize("signal", list(Signal))
async def test_bytes_arrive_as_they_were_received(signal: Signal) -> None:
    # Field 99 is unknown to us: only untouched bytes still hold it.
    unknown = b"\x9a\x06\x03new"
    batch = make_batch(
        make_request(signal, "a").SerializeToString() + unknown, make_request(signal, "b"), signal=signal
    )
    async with OTLPSink() as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        assert await exporter.export(batch) is None
    (request,) = sink.requests
    assert (request.signal, request.body) == (signal, b"".join(record.payload for record in batch.records))


@pytest.mark.parametrize("compression", ["gzip", "deflate", "zlib", "none", ""])
async def test_every_compression_is_understood(compression: str) -> None:
    batch = make_batch(make_request(Signal.LOGS, "x" * 100_000))
    async with OTLPSink() as sink, exporting(f"http://{sink.grpc_endpoint}", compression=compression) as exporter:
        await exporter.export(batch)
    assert sink.requests[0].body == batch.records[0].payload


async def test_headers_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer s3cret"}
    async with OTLPSink() as sink, exporting(f"http://{sink.grpc_endpoint}", headers=headers) as exporter:
        sink.answers.append(Answer(grpc_code=Code.UNAUTHENTICATED))
        with pytest.raises(PermanentError) as refused:
            await exporter.export(LOGS)
    assert sink.requests[0].headers["authorization"] == "Bearer s3cret"
    shown = (
        caplog.text + str(refused.value) + repr(OTLPGRPCConfig.model_validate({"endpoint": "x:1", "headers": headers}))
    )
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "code", [Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS]
)
async def test_retryable_codes(code: grpc.StatusCode) -> None:
    async with (
        OTLPSink(Answer(grpc_code=code, grpc_message="later")) as sink,
        exporting(f"http://{sink.grpc_endpoint}") as exporter,
    ):
        with pytest.raises(RetryableError, match=f"{code.name}: later") as error:
            await exporter.export(LOGS)
    assert error.value.retry_after is None
    assert len(sink.requests) == 1


@pytest.mark.parametrize(
    ("code", "divisible"),
    [
        (Code.UNKNOWN, True),
        (Code.INVALID_ARGUMENT, True),
        (Code.RESOURCE_EXHAUSTED, True),
        (Code.FAILED_PRECONDITION, True),
        (Code.ALREADY_EXISTS, True),
        (Code.INTERNAL, True),
        (Code.NOT_FOUND, False),
        (Code.PERMISSION_DENIED, False),
        (Code.UNAUTHENTICATED, False),
        (Code.UNIMPLEMENTED, False),
    ],
)
async def test_other_codes_are_permanent(code: grpc.StatusCode, divisible: bool) -> None:
    async with OTLPSink(Answer(grpc_code=code)) as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        with pytest.raises(PermanentError, match=code.name) as error:
            await exporter.export(LOGS)
    assert error.value.divisible is divisible


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
@pytest.mark.parametrize(("asked", "kept"), [(7, 7.0), (0, 0.0), (10**9, 3600.0), (-5, 0.0)])
async def test_retry_info_is_kept_within_bounds(code: grpc.StatusCode, asked: int, kept: float) -> None:
    answer = Answer(grpc_code=code, grpc_status_details=status_details(asked))
    async with OTLPSink(answer) as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        with pytest.raises(RetryableError) as error:
            await exporter.export(LOGS)
    assert error.value.retry_after == kept


async def test_garbage_details_change_nothing() -> None:
    answer = Answer(grpc_code=Code.UNAVAILABLE, grpc_status_details=b"\xff\xff\xff")
    async with OTLPSink(answer) as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        with pytest.raises(RetryableError):
            await exporter.export(LOGS)


@pytest.mark.parametrize(
    ("signal", "field"),
    [
        (Signal.TRACES, "rejected_spans"),
        (Signal.METRICS, "rejected_data_points"),
        (Signal.LOGS, "rejected_log_records"),
    ],
)
async def test_partial_success_is_returned(signal: Signal, field: str) -> None:
    answer: Any = response_type(signal)()
    setattr(answer.partial_success, field, 3)
    answer.partial_success.error_message = "too\nold\x1b"
    batch = make_batch(make_request(signal, "a"), signal=signal)
    async with (
        OTLPSink(Answer(body=answer.SerializeToString())) as sink,
        exporting(f"http://{sink.grpc_endpoint}") as exporter,
    ):
        assert await exporter.export(batch) == PartialSuccess(3, "too old")
    assert len(sink.requests) == 1


async def test_an_unreadable_acceptance_is_an_acceptance(caplog: pytest.LogCaptureFixture) -> None:
    async with OTLPSink(Answer(body=b"\xff\xff")) as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        assert await exporter.export(LOGS) is None
    assert "unreadable" in caplog.text


async def test_a_slow_destination_is_retryable() -> None:
    async with (
        OTLPSink(Answer(delay=5)) as sink,
        exporting(f"http://{sink.grpc_endpoint}", timeout="50ms") as exporter,
    ):
        with pytest.raises(RetryableError, match="DEADLINE_EXCEEDED"):
            await exporter.export(LOGS)


@pytest.mark.parametrize("cut_by", ["deadline", "worker"])
async def test_a_silent_connection_is_not_used_again(cut_by: str) -> None:
    connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # SETTINGS and its acknowledgement (RFC 9113, 6.5): the connection is up, and then nothing more.
        writer.write(b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\0\x04\x01\0\0\0\0")
        connected.put_nowait(writer)
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        ended.put_nowait(None)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    writers: list[asyncio.StreamWriter] = []
    async with server:
        async with exporting(address, timeout="1s" if cut_by == "deadline" else "0s") as exporter:
            for _ in range(2):
                attempt = asyncio.create_task(exporter.export(LOGS))
                async with asyncio.timeout(10):
                    writer = await connected.get()
                writers.append(writer)
                if cut_by == "worker":
                    attempt.cancel()
                with pytest.raises((RetryableError, asyncio.CancelledError)):
                    await attempt
        # From Python 3.12 on, a server's end waits for its connections.
        for writer in writers:
            writer.close()
            await ended.get()


async def test_a_destination_that_is_down_is_retryable(unused_tcp_port: int) -> None:
    async with exporting(f"http://127.0.0.1:{unused_tcp_port}") as exporter:
        with pytest.raises(RetryableError, match="UNAVAILABLE"):
            await exporter.export(LOGS)


async def test_an_unknown_host_is_retryable() -> None:
    async with exporting("http://host.invalid:4317") as exporter:
        with pytest.raises(RetryableError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
            await exporter.export(LOGS)


def credentials(authority: trustme.CA, name: str = "127.0.0.1") -> grpc.ServerCredentials:
    issued = authority.issue_cert(name)
    return grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())])


@pytest.mark.parametrize(("name", "override"), [("127.0.0.1", ""), ("tempo.example", "tempo.example")])
async def test_tls_with_a_private_authority(name: str, override: str) -> None:
    authority = trustme.CA()
    tls = {"ca_pem": authority.cert_pem.bytes().decode(), "server_name_override": override}
    async with (
        OTLPSink(grpc_credentials=credentials(authority, name)) as sink,
        exporting(sink.grpc_endpoint, tls=tls) as exporter,
    ):
        await exporter.export(LOGS)
    assert len(sink.requests) == 1


@pytest.mark.parametrize("prefix", ["", "https://"])
async def test_a_server_with_another_authority_is_retryable(prefix: str) -> None:
    tls = {"ca_pem": trustme.CA().cert_pem.bytes().decode(), "insecure": bool(prefix)}
    async with (
        OTLPSink(grpc_credentials=credentials(trustme.CA())) as sink,
        exporting(prefix + sink.grpc_endpoint, tls=tls) as exporter,
    ):
        with pytest.raises(RetryableError):
            await exporter.export(LOGS)
    assert sink.requests == []


async def test_a_batch_without_records_sends_nothing() -> None:
    async with OTLPSink() as sink, exporting(f"http://{sink.grpc_endpoint}") as exporter:
        assert await exporter.export(make_batch()) is None
    assert sink.requests == []


@pytest.mark.parametrize(
    "endpoint",
    ["tempo:4317", "http://tempo:4317", "https://tempo:4317/", "[::1]:4317", "unix:/run/x", "dns:///tempo:1"],
)
def test_accepted_endpoints(endpoint: str) -> None:
    assert OTLPGRPCConfig(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["", "tempo", "http://", "ftp://tempo:4317", "::1:4317", "a b:1", "tempo:4317/v1"])
def test_refused_endpoints(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="write host:port"):
        OTLPGRPCConfig(endpoint=endpoint)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"compression": "zstd"}, "write gzip"),
        ({"compression": "brotli"}, "'gzip'"),
        ({"auth": {"authenticator": "oauth2client"}}, "set headers::authorization"),
        ({"headers": {"bad name": "x"}}, "not a header name"),
        ({"headers": {"x": "a\nb"}}, "characters that a header cannot carry"),
        ({"headers": {"x-bin": "a"}}, "binary metadata"),
        ({"headers": {"grpc-timeout": "1"}}, "cannot be gRPC metadata"),
        ({"tls": {"insecure_skip_verify": True}}, "set tls::ca_file"),
        ({"endpont": "x"}, "endpont"),
    ],
)
def test_refused_configurations(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OTLPGRPCConfig.model_validate({"endpoint": "tempo:4317", **config})


@pytest.mark.parametrize(
    ("endpoint", "tls", "plain"),
    [
        ("tempo:4317", None, False),
        ("tempo:4317", {"insecure": True}, True),
        ("http://tempo:4317", None, True),
        ("http://tempo:4317", {"insecure": False}, False),
        ("https://tempo:4317", {"insecure": True}, False),
    ],
)
def test_tls_is_used_unless_told_otherwise(endpoint: str, tls: dict[str, Any] | None, plain: bool) -> None:
    given = {"endpoint": endpoint} | ({"tls": tls} if tls else {})
    assert OTLPGRPCConfig.model_validate(given).is_plain is plain
