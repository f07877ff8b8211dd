"""The parts that are shipped for tests of components do what they say."""

import httpx
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.errors import PermanentError, RetryableError
from ganglion_collector.otlp import count_items
from ganglion_collector.testing import Answer, FlakyExporter, MemoryExporter, OTLPSink, make_batch, make_request

BATCH = make_batch(make_request(Signal.LOGS, "a"), make_request(Signal.LOGS, "b"))


async def attempts(exporter: FlakyExporter, count: int) -> int:
    """Return how many of `count` attempts failed."""
    failures = 0
    await exporter.start()
    for _ in range(count):
        try:
            await exporter.export(BATCH)
        except RetryableError:
            failures += 1
    return failures


@pytest.mark.parametrize("signal", list(Signal))
def test_a_request_has_an_item_for_each_name(signal: Signal) -> None:
    assert count_items(signal, make_request(signal, "a", "b", "c")) == 3


def test_a_batch_numbers_its_records() -> None:
    assert [record.sequence for record in BATCH.records] == [1, 2]
    assert (BATCH.start.sequence, BATCH.end.sequence) == (1, 3)


async def test_failures_have_their_rate_and_reach_nobody() -> None:
    inner = MemoryExporter()
    failures = await attempts(FlakyExporter(inner, 0.3), 1000)
    assert 250 < failures < 350
    assert len(inner.batches) == 1000 - failures


async def test_lost_answers_reach_the_destination() -> None:
    inner = MemoryExporter()
    assert await attempts(FlakyExporter(inner, 1.0, lose_answers=True), 10) == 10
    assert len(inner.batches) == 10


async def test_a_poisoned_record_fails_its_batch() -> None:
    inner = MemoryExporter()
    exporter = FlakyExporter(inner, poison=lambda record: record.sequence == 2)
    await exporter.start()
    good, bad = BATCH.split()
    await exporter.export(good)
    with pytest.raises(PermanentError):
        await exporter.export(bad)
    assert inner.payloads == [BATCH.records[0].payload]


async def test_answers_come_in_order_then_the_usual_one() -> None:
    async with OTLPSink(Answer(http_status=429)) as sink, httpx.AsyncClient(base_url=sink.http_endpoint) as client:
        sink.answers.extend([Answer(http_status=500), Answer(body=b"ok")])
        answers = [await client.post("/v1/logs", content=b"") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 200, 429]
    assert answers[1].content == b"ok"


async def test_waiting_for_requests_has_an_end() -> None:
    async with OTLPSink() as sink:
        with pytest.raises(TimeoutError):
            await sink.received(1, timeout=0.01)
