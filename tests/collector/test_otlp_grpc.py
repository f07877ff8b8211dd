import asyncio
import gzip
import zlib
from typing import Any

import grpc
import grpc.aio
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.errors import InvalidRequestError, RefusedError
from ganglion_collector.otlp_status import STATUS_DETAILS_KEY
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.collector.otlp_requests import PAYLOADS, SPAN, TRACE, logs, spans
from tests.collector.receiving import METHODS, RunningReceiver, closed, grpc_receiver

MEBIBYTE = 1024 * 1024


async def refusal(receiver: RunningReceiver, signal: Signal, message: bytes, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await receiver.export(signal, message, **options)
    return caught.value


def status_of(error: grpc.aio.AioRpcError) -> Status:
    metadata = dict(error.trailing_metadata() or ())
    details = metadata[STATUS_DETAILS_KEY]
    assert isinstance(details, bytes)
    return Status.FromString(details)


@pytest.mark.parametrize("signal", Signal)
async def test_a_request_is_handed_over_as_it_came(signal: Signal) -> None:
    async with grpc_receiver() as receiver:
        assert await receiver.export(signal, PAYLOADS[signal]) == b""
    assert [(one.signal, one.payload, one.item_count) for one in receiver.accepted] == [(signal, PAYLOADS[signal], 1)]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=["gzip", "deflate"])
async def test_a_compressed_request_is_taken(compression: grpc.Compression) -> None:
    payload = logs(500).SerializeToString()
    async with grpc_receiver() as receiver:
        await receiver.export(Signal.LOGS, payload, compression=compression)
    assert receiver.accepted[0].payload == payload


async def test_an_empty_request_succeeds_without_being_handed_over() -> None:
    async with grpc_receiver() as receiver:
        assert await receiver.export(Signal.TRACES, b"") == b""
    assert receiver.accepted == []


async def test_the_library_leaves_decompression_to_us() -> None:
    """It would decompress all of a bomb before it looks at the limit."""
    async with grpc_receiver({"max_recv_msg_size_mib": 1}) as receiver:
        large = logs(body="x" * MEBIBYTE).SerializeToString()
        error = await refusal(receiver, Signal.LOGS, large, compression=grpc.Compression.Gzip)
    assert status_of(error).message == f"the request is larger than {MEBIBYTE} bytes after decompression"


async def test_a_signal_that_no_pipeline_wants_is_unimplemented() -> None:
    async with grpc_receiver(signals=frozenset({Signal.TRACES})) as receiver:
        error = await refusal(receiver, Signal.LOGS, PAYLOADS[Signal.LOGS])
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_spans_with_wrong_ids_are_rejected_and_the_others_taken() -> None:
    request = spans((TRACE, SPAN), (b"short", SPAN), (TRACE, bytes(8)))
    async with grpc_receiver() as receiver:
        answer = ExportTraceServiceResponse.FromString(
            await receiver.export(Signal.TRACES, request.SerializeToString())
        )
    assert answer.partial_success.rejected_spans == 2
    assert answer.partial_success.error_message == (
        "2 of 3 spans rejected: item 1: trace_id has 5 bytes instead of 16; item 2: span_id is all zeros"
    )
    assert [(one.item_count, one.request) for one in receiver.accepted] == [(1, spans((TRACE, SPAN)))]


async def test_when_all_are_rejected_nothing_is_handed_over() -> None:
    async with grpc_receiver() as receiver:
        answer = ExportTraceServiceResponse.FromString(
            await receiver.export(Signal.TRACES, spans((b"", b"")).SerializeToString())
        )
    assert answer.partial_success.rejected_spans == 1
    assert receiver.accepted == []


async def test_logs_sent_as_traces_are_refused_with_advice() -> None:
    async with grpc_receiver() as receiver:
        error = await refusal(receiver, Signal.TRACES, PAYLOADS[Signal.LOGS])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "these are logs, not traces; send them to the logs path"
    detail = BadRequest()
    assert status_of(error).details[0].Unpack(detail)
    assert detail.field_violations[0].description == error.details()


async def test_a_refusal_says_when_to_come_again() -> None:
    async with grpc_receiver() as receiver:
        receiver.failure = RefusedError("the journal is full", 2.5)
        error = await refusal(receiver, Signal.LOGS, PAYLOADS[Signal.LOGS])
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the journal is full")
    info = RetryInfo()
    assert status_of(error).details[0].Unpack(info)
    assert info.retry_delay.ToTimedelta().total_seconds() == 2.5


async def test_an_unforeseen_error_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with grpc_receiver() as receiver:
        receiver.failure = KeyError("secret of the payload")
        error = await refusal(receiver, Signal.LOGS, PAYLOADS[Signal.LOGS])
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.details()) + caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "KeyError" in caplog.text


async def test_a_request_past_the_limit_is_refused_for_good() -> None:
    async with grpc_receiver({"max_recv_msg_size_mib": 1}) as receiver:
        error = await refusal(receiver, Signal.LOGS, logs(body="x" * MEBIBYTE).SerializeToString())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert STATUS_DETAILS_KEY not in dict(error.trailing_metadata() or ())


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_the_limit_counts_after_decompression(compress: Any) -> None:
    async with grpc_receiver({"max_recv_msg_size_mib": 1}) as receiver:
        bomb = compress(logs(body="x" * MEBIBYTE).SerializeToString())
        error = await refusal(receiver, Signal.LOGS, bomb)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not status_of(error).details
    assert receiver.accepted == []


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xff\xff\xff", id="garbage"),
        pytest.param(PAYLOADS[Signal.LOGS][:-1], id="truncated"),
        pytest.param(b"\x10\x01", id="unknown fields only"),
        pytest.param(gzip.compress(PAYLOADS[Signal.LOGS])[:-4], id="truncated gzip"),
        pytest.param(gzip.compress(PAYLOADS[Signal.LOGS]) + b"x", id="garbage after gzip"),
        pytest.param(zlib.compress(PAYLOADS[Signal.LOGS])[:-1], id="truncated deflate"),
    ],
)
async def test_what_cannot_be_read_is_invalid(message: bytes) -> None:
    async with grpc_receiver() as receiver:
        error = await refusal(receiver, Signal.LOGS, message)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert receiver.accepted == []


async def test_shutdown_answers_what_is_in_flight_and_takes_nothing_new() -> None:
    async with grpc_receiver() as receiver:
        receiver.gate = asyncio.Event()
        async with grpc.aio.insecure_channel(receiver.grpc) as channel:
            call: Any = channel.unary_unary(METHODS[Signal.LOGS])
            waiting = asyncio.ensure_future(call(PAYLOADS[Signal.LOGS], timeout=10))
            await receiver.entered.wait()
            stopping = asyncio.create_task(receiver.receiver.shutdown())
            await closed(int(receiver.grpc.rpartition(":")[2]))
            receiver.gate.set()
            assert await waiting == b""
            await stopping
            with pytest.raises(grpc.aio.AioRpcError):
                await call(PAYLOADS[Signal.LOGS], timeout=5)
    assert len(receiver.accepted) == 1


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with grpc_receiver() as receiver:
        with pytest.raises(OSError, match=f"cannot listen on {receiver.grpc}: Address already in use"):
            async with grpc_receiver({"endpoint": receiver.grpc}):
                pass


async def test_localhost_serves_every_address_of_it() -> None:
    async with grpc_receiver({"endpoint": "localhost:0"}) as receiver:
        host, _, port = receiver.grpc.rpartition(":")
        assert host == "localhost"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary(METHODS[Signal.LOGS])
            assert await call(PAYLOADS[Signal.LOGS], timeout=10) == b""


async def test_concurrent_requests_are_all_taken() -> None:
    async with grpc_receiver() as receiver, grpc.aio.insecure_channel(receiver.grpc) as channel:
        call: Any = channel.unary_unary(METHODS[Signal.LOGS])
        await asyncio.gather(*(call(PAYLOADS[Signal.LOGS], timeout=10) for _ in range(100)))
    assert len(receiver.accepted) == 100


async def test_an_error_of_the_acceptor_reaches_the_sender() -> None:
    async with grpc_receiver() as receiver:
        receiver.failure = InvalidRequestError("not like this")
        error = await refusal(receiver, Signal.LOGS, PAYLOADS[Signal.LOGS])
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "not like this")
