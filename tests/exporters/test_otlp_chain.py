"""Collector to collector: our exporters against our own receiver."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ganglion_collector.component import Exporter, ReceiverSettings, Signal
from ganglion_collector.errors import PartialSuccess, PermanentError, RefusedError, RetryableError
from ganglion_collector.receivers import otlp
from ganglion_collector.testing import make_batch, make_request
from ganglion_exporters.otlp_grpc import OTLPGRPCConfig, OTLPGRPCExporter
from ganglion_exporters.otlp_http import OTLPHTTPConfig, OTLPHTTPExporter

Taken = list[tuple[Signal, bytes, int]]


def over_grpc(address: str) -> Exporter:
    return OTLPGRPCExporter(OTLPGRPCConfig(endpoint=f"http://{address}"))


def over_http(address: str) -> Exporter:
    return OTLPHTTPExporter(OTLPHTTPConfig(endpoint=f"http://{address}", compression="zstd"))


BOTH = pytest.mark.parametrize(("protocol", "make"), [("grpc", over_grpc), ("http", over_http)])


@asynccontextmanager
async def chain(
    protocol: str, make: Callable[[str], Exporter], refusal: Exception | None = None, **config: Any
) -> AsyncIterator[tuple[Exporter, Taken]]:
    taken: Taken = []
    addresses: dict[str, str] = {}

    async def accept(signal: Signal, payload: bytes, item_count: int, _context: Mapping[str, str]) -> None:
        if refusal is not None:
            raise refusal
        taken.append((signal, payload, item_count))

    protocols = {name: {"endpoint": "127.0.0.1:0", **config.get(name, {})} for name in ("grpc", "http")}
    settings = ReceiverSettings("otlp", frozenset({Signal.LOGS, Signal.TRACES}), accept, {}, addresses.__setitem__)
    receiver = otlp.factory.create(otlp.factory.config.model_validate({"protocols": protocols}), settings)
    await receiver.start()
    exporter = make(addresses[f"otlp/{protocol}"])
    await exporter.start()
    try:
        yield exporter, taken
    finally:
        await exporter.shutdown()
        await receiver.shutdown()


@BOTH
async def test_bytes_pass_through_untouched(protocol: str, make: Callable[[str], Exporter]) -> None:
    batch = make_batch(make_request(Signal.TRACES, "a", "b"), make_request(Signal.TRACES, "c"), signal=Signal.TRACES)
    async with chain(protocol, make) as (exporter, taken):
        assert await exporter.export(batch) is None
    assert taken == [(Signal.TRACES, b"".join(record.payload for record in batch.records), 3)]


@BOTH
async def test_a_full_collector_is_asked_again_after_its_delay(protocol: str, make: Callable[[str], Exporter]) -> None:
    async with chain(protocol, make, RefusedError("the journal is full", 3.0)) as (exporter, taken):
        with pytest.raises(RetryableError, match="the journal is full") as refused:
            await exporter.export(make_batch(make_request(Signal.LOGS, "a")))
    assert refused.value.retry_after == 3.0
    assert taken == []


@BOTH
async def test_rejected_items_are_told_and_not_retried(protocol: str, make: Callable[[str], Exporter]) -> None:
    request: Any = make_request(Signal.TRACES, "good", "bad")
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    async with chain(protocol, make) as (exporter, taken):
        outcome = await exporter.export(make_batch(request, signal=Signal.TRACES))
    assert isinstance(outcome, PartialSuccess)
    assert outcome.rejected == 1
    assert [count for _signal, _payload, count in taken] == [1]


@BOTH
async def test_a_signal_that_is_not_wanted_is_not_split(protocol: str, make: Callable[[str], Exporter]) -> None:
    async with chain(protocol, make) as (exporter, _taken):
        with pytest.raises(PermanentError) as refused:
            await exporter.export(make_batch(make_request(Signal.METRICS, "a"), signal=Signal.METRICS))
    assert not refused.value.divisible


@BOTH
async def test_what_is_too_large_can_be_split(protocol: str, make: Callable[[str], Exporter]) -> None:
    limits = {"grpc": {"max_recv_msg_size_mib": 1}, "http": {"max_request_body_size": 1024 * 1024}}
    batch = make_batch(*[make_request(Signal.LOGS, "x" * 700_000) for _ in range(2)])
    async with chain(protocol, make, None, **limits) as (exporter, taken):
        with pytest.raises(PermanentError) as refused:
            await exporter.export(batch)
        assert refused.value.divisible
        for half in batch.split():
            await exporter.export(half)
    assert len(taken) == 2


@BOTH
async def test_a_broken_request_is_permanent(protocol: str, make: Callable[[str], Exporter]) -> None:
    async with chain(protocol, make) as (exporter, taken):
        with pytest.raises(PermanentError) as refused:
            await exporter.export(make_batch(b"\xff\xff\xff"))
    assert refused.value.divisible
    assert taken == []
