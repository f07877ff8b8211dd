"""The client against the stand-in server: every status, every way a connection fails, splitting, pace, compression."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from ganglion_exporters._langsmith.client import ClientSettings, LangSmithClient, Outcome
from ganglion_exporters._langsmith.encoding import encode_run
from ganglion_exporters._langsmith.model import Attachment, Run

from tests.exporters.langsmith_runs import START, make_run, make_trace
from tests.langsmith_server import LangSmithServer

KEY = "lsv2_pt_0123456789abcdef"
WORKSPACE = UUID("5b2f1c9e-8d1a-4c83-9f6e-0c1d2e3f4a5b")


@pytest.fixture
def server() -> Iterator[LangSmithServer]:
    with LangSmithServer() as running:
        yield running


@asynccontextmanager
async def connected(server: LangSmithServer, **settings: Any) -> AsyncIterator[LangSmithClient]:
    client = LangSmithClient(ClientSettings(server.url, KEY, **{"timeout": 5.0, **settings}))
    try:
        yield client
    finally:
        await client.close()


async def send(server: LangSmithServer, *runs: Run, **settings: Any) -> Outcome:
    async with connected(server, **settings) as client:
        return await client.send([encode_run(run, client.encoding) for run in runs])


def names(outcome: Outcome) -> list[str]:
    return [run.run.draft.name for run in outcome.delivered]


def posts(server: LangSmithServer) -> list[int]:
    """Return the status of each request with runs."""
    return [request.status for request in server.requests if request.method == "POST"]


def bad_run(number: int) -> Run:
    return make_run(number, run_type="no such type")


async def test_a_trace_arrives_whole_in_one_request(server: LangSmithServer) -> None:
    trace = make_trace(20)

    outcome = await send(server, *trace)

    assert names(outcome) == [run.draft.name for run in trace]
    assert server.tree(trace[0].trace_id).outline() == {"run 0": [f"run {number}" for number in range(1, 20)]}
    assert posts(server) == [202]


async def test_more_than_the_server_takes_at_once_goes_in_several_requests(server: LangSmithServer) -> None:
    server.rules.enforce_max_runs = True
    trace = make_trace(250)

    outcome = await send(server, *trace)

    assert len(outcome.delivered) == 250
    assert posts(server) == [202, 202, 202]


@pytest.mark.parametrize(
    ("zstd", "settings", "expected"),
    [
        pytest.param(True, {}, "zstd", id="as the server says"),
        pytest.param(False, {}, "gzip", id="a server without zstd"),
        pytest.param(True, {"compression": "gzip"}, "gzip", id="as configured"),
        pytest.param(True, {"compression": "none"}, None, id="none"),
    ],
)
async def test_compression(server: LangSmithServer, zstd: bool, settings: dict[str, Any], expected: str | None) -> None:
    server.rules.zstd = zstd

    await send(server, make_run(0), **settings)

    assert server.requests[-1].headers.get("content-encoding") == expected
    assert server.runs


async def test_headers_carry_key_and_workspace(server: LangSmithServer) -> None:
    server.rules.keys = {KEY: None}

    outcome = await send(server, make_run(0), workspace_id=str(WORKSPACE))

    assert names(outcome) == ["run 0"]
    assert server.workspace(WORKSPACE).runs


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_bad_run_is_refused_alone(server: LangSmithServer, status: int) -> None:
    if status == 422:
        bad = bad_run(5)
    elif status == 400:
        bad = make_run(5)
        bad.dotted_order = bad.dotted_order.rpartition(".")[2]
    else:
        server.rules.max_bytes = 50_000
        bad = make_run(5, inputs={"text": "x" * 60_000})
    trace = make_trace(12)
    trace[5] = bad

    async with connected(server) as client:
        outcome = await client.send([encode_run(run, client.encoding) for run in trace])

    assert [refused.run.run for refused in outcome.refused] == [bad]
    assert outcome.refused[0].reason.startswith(f"HTTP {status}: ")
    assert outcome.trouble is None
    assert len(server.runs) == 11


async def test_what_was_sent_before_is_delivered(server: LangSmithServer) -> None:
    trace = make_trace(40)
    server.drop(times=1, store=True)

    async with connected(server) as client:
        encoded = [encode_run(run, client.encoding) for run in trace]
        first = await client.send(encoded)
        second = await client.send(encoded)

    assert first.delivered == []
    assert first.trouble is not None
    assert first.trouble.kind == "unreachable"
    assert sorted(names(second)) == sorted(run.draft.name for run in trace)
    assert second.repeated == 40
    assert len(server.runs) == 40


@pytest.mark.parametrize("mixed", ["store_rest", "store_none"])
async def test_known_runs_among_new_ones_lose_none(server: LangSmithServer, mixed: Any) -> None:
    server.rules.mixed = mixed
    trace = make_trace(30)
    await send(server, trace[0], trace[17])

    outcome = await send(server, *trace)

    assert len(outcome.delivered) == 30
    assert len(server.runs) == 30
    server.tree(trace[0].trace_id)


@pytest.mark.parametrize(
    ("status", "text", "kind", "told"),
    [
        pytest.param(401, None, "key", "LANGSMITH_API_KEY", id="401"),
        pytest.param(403, None, "key", "LANGSMITH_API_KEY", id="403"),
        pytest.param(
            403, '{"error":"org_scoped_key_requires_workspace"}', "key", "LANGSMITH_WORKSPACE_ID", id="organisation"
        ),
        pytest.param(429, None, "rate", "Rate limit exceeded", id="429"),
        pytest.param(
            429, '{"detail":"Monthly unique traces usage limit exceeded"}', "quota", "the month's quota", id="month"
        ),
        pytest.param(429, '{"detail":"Hourly ingest limit exceeded"}', "quota", "the hour's quota", id="hour"),
        pytest.param(408, None, "server", "HTTP 408", id="408"),
        pytest.param(425, None, "server", "HTTP 425", id="425"),
        pytest.param(500, None, "server", "HTTP 500", id="500"),
        pytest.param(502, "<html><b>Bad gateway</b></html>", "server", "Bad gateway", id="502"),
        pytest.param(503, None, "server", "HTTP 503", id="503"),
        pytest.param(404, None, "unreachable", "check it", id="404"),
        pytest.param(418, None, "server", "HTTP 418", id="any other"),
        pytest.param(301, None, "server", "HTTP 301", id="redirect"),
    ],
)
async def test_what_keeps_everything_back(
    server: LangSmithServer, status: int, text: str | None, kind: str, told: str
) -> None:
    server.fail_with(status, text=text)

    outcome = await send(server, *make_trace(5))

    assert not outcome.delivered
    assert not outcome.refused
    assert outcome.trouble is not None
    assert outcome.trouble.kind == kind
    assert told in outcome.trouble.reason
    assert outcome.trouble.is_own == (status == 500)


async def test_the_servers_delay_is_kept(server: LangSmithServer) -> None:
    server.fail_with(429, retry_after=17)

    outcome = await send(server, make_run(0))

    assert outcome.trouble is not None
    assert outcome.trouble.retry_after == 17


async def test_trouble_later_keeps_what_was_delivered_before(server: LangSmithServer) -> None:
    server.rules.requests_per_10_s = 2

    outcome = await send(server, *make_trace(250))

    assert outcome.trouble is not None
    assert outcome.trouble.kind == "rate"
    assert 0 < len(outcome.delivered) == len(server.runs) < 250


async def test_nobody_there_is_trouble(server: LangSmithServer) -> None:
    server.refuse()

    outcome = await send(server, make_run(0))

    assert outcome.trouble is not None
    assert outcome.trouble.kind == "unreachable"
    assert "ConnectError" in outcome.trouble.reason


async def test_no_answer_in_time_is_trouble(server: LangSmithServer) -> None:
    server.hang()

    outcome = await send(server, make_run(0), timeout=0.3)

    assert outcome.trouble is not None
    assert outcome.trouble.reason == "no answer within 0.3 s"


async def test_an_older_server_gets_batches(server: LangSmithServer) -> None:
    server.rules.multipart = False
    trace = make_trace(5, attachments=[Attachment("a", "text/plain", b"x")])

    async with connected(server) as client:
        for run in trace:
            await client.send([encode_run(run, client.encoding)])

    assert len(server.runs) == 5
    assert posts(server) == [404, *[202] * 5]


async def test_a_patch_completes_a_root(server: LangSmithServer) -> None:
    made = make_run(0, name="(missing root)", outputs={})
    await send(server, made, make_run(1))

    outcome = await send(server, make_run(0, update=True, name="the real one", outputs={"answer": 42}))

    assert names(outcome) == ["the real one"]
    assert server.run("the real one").outputs == {"answer": 42}
    assert server.tree(made.id).outline() == {"the real one": ["run 1"]}


async def test_attachments_arrive(server: LangSmithServer) -> None:
    await send(server, make_run(0, attachments=[Attachment("a.png", "image/png", b"\x89PNG")]))

    (file,) = server.runs[0].files
    assert (file.mime_type, file.content) == ("image/png", b"\x89PNG")


async def test_runs_keep_their_pace(server: LangSmithServer) -> None:
    server.rules.max_runs = 10
    started = time.monotonic()

    outcome = await send(server, *make_trace(70), runs_per_second=40.0)

    assert len(outcome.delivered) == 70
    # The first second's worth goes at once.
    assert 0.4 <= time.monotonic() - started < 5


async def test_requests_keep_their_pace(server: LangSmithServer) -> None:
    server.rules.max_runs = 1
    started = time.monotonic()

    await send(server, *make_trace(15), requests_per_second=10.0)

    assert 0.3 <= time.monotonic() - started < 5


async def test_neither_key_nor_content_is_logged(server: LangSmithServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.fail_with(401, times=1)

    await send(server, make_run(0, inputs={"secret": "s3cr3t"}, start=START))
    await send(server, make_run(0, inputs={"secret": "s3cr3t"}, start=START))
    server.refuse()
    await send(server, make_run(1))

    assert KEY not in caplog.text
    assert "s3cr3t" not in caplog.text
