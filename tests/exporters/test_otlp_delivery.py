"""What the OTLP exporters promise inside a whole collector: real processes, a destination that fails."""

import asyncio
from collections.abc import Callable
from contextlib import closing

import grpc
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.testing import Answer, OTLPSink, Received, make_request

from tests.fix_collector import MakeCollector, RunningCollector, simple

RETRY = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}"
Exporter = Callable[[OTLPSink], str]


def over_grpc(sink: OTLPSink) -> str:
    return f'{{otlp: {{endpoint: "http://{sink.grpc_endpoint}", compression: none, {RETRY}}}}}'


def over_http(sink: OTLPSink) -> str:
    return f'{{otlphttp: {{endpoint: "{sink.http_endpoint}", compression: none, {RETRY}}}}}'


BOTH = pytest.mark.parametrize(("exporter", "name"), [(over_grpc, "otlp"), (over_http, "otlphttp")])


async def started(make: MakeCollector, exporter: Exporter, name: str, sink: OTLPSink) -> RunningCollector:
    running = make(simple(exporter(sink), f"logs: [{name}]"))
    await asyncio.to_thread(running.start)
    return running


async def send(running: RunningCollector, *names: str) -> None:
    body = make_request(Signal.LOGS, *names).SerializeToString()
    assert await asyncio.to_thread(running.post, "/v1/logs", body) == 200


def taken(sink: OTLPSink, refused: Callable[[Received], bool]) -> list[str]:
    """Return the bodies of the logs in the requests that the sink accepted, in order."""
    return [
        record.body.string_value
        for request in sink.requests
        if not refused(request)
        for resource in request.parsed().resource_logs  # type: ignore[union-attr]
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def letters(running: RunningCollector) -> DeadLetters:
    return DeadLetters(running.home / "dead-letters.sqlite")


@BOTH
async def test_a_busy_destination_gets_the_same_bytes_later(
    exporter: Exporter, name: str, collector: MakeCollector
) -> None:
    async with OTLPSink() as sink:
        busy = Answer(http_status=503, http_headers={"retry-after": "0"}, grpc_code=grpc.StatusCode.UNAVAILABLE)
        sink.answers.extend([busy, busy])
        running = await started(collector, exporter, name, sink)
        await send(running, "a", "b")
        requests = await sink.received(3, timeout=30)
        assert {request.body for request in requests} == {make_request(Signal.LOGS, "a", "b").SerializeToString()}
        assert await asyncio.to_thread(running.stop) == 0
    assert len(sink.requests) == 3


async def test_only_the_bad_item_goes_to_the_dead_letters(collector: MakeCollector) -> None:
    def is_bad(request: Received) -> bool:
        return b"bad" in request.body

    def judge(request: Received) -> Answer:
        refusal = Answer(grpc_code=grpc.StatusCode.INVALID_ARGUMENT, grpc_message="bad item")
        return refusal if is_bad(request) else Answer()

    async with OTLPSink(judge) as sink:
        running = await started(collector, over_grpc, "otlp", sink)
        await send(running, "a", "b", "bad", "c", "d", "e")
        await send(running, "last")
        while "last" not in taken(sink, is_bad):
            await sink.received(len(sink.requests) + 1, timeout=30)
        assert await asyncio.to_thread(running.stop) == 0
        assert taken(sink, is_bad) == ["a", "b", "c", "d", "e", "last"]
    with closing(letters(running)) as kept:
        (summary,) = kept.list()
        letter = kept.get(summary.id)
    assert letter is not None
    assert letter.payload == make_request(Signal.LOGS, "bad").SerializeToString()
    assert letter.reason == "INVALID_ARGUMENT: bad item"


async def test_a_killed_worker_sends_again(collector: MakeCollector) -> None:
    async with OTLPSink() as sink:
        sink.answers.append(Answer(delay=30))
        running = await started(collector, over_http, "otlphttp", sink)
        await send(running, "a", "b")
        await sink.received(1, timeout=30)
        await asyncio.to_thread(running.kill, "worker")
        requests = await sink.received(2, timeout=30)
        assert requests[0].body == requests[1].body
        assert await asyncio.to_thread(running.stop) == 0
