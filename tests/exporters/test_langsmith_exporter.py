"""The exporter from batches to the stand-in server: whole traces, once, through every failure."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.component import Buries, KeepsFiles, KeepsPosition, Record, Reports, Signal
from ganglion_collector.errors import RetryableError
from ganglion_collector.otlp import parse_request
from ganglion_collector.testing import Answer, OTLPSink, Received
from ganglion_exporters.langsmith import LangSmithConfig, LangSmithExporter, LangSmithForwarder, factory
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from tests.exporters.langsmith_runs import span_id
from tests.exporters.langsmith_spans import log_batch, request, trace_batch
from tests.langsmith_server import LangSmithServer

QUICK = {"initial_interval": "50ms", "max_interval": "200ms"}


class Surroundings:
    """What a worker gives the exporter, and what the exporter said to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buried: list[tuple[Record, str]] = []
        self.reports: list[str] = []

    async def bury(self, record: Record, reason: str) -> None:
        self.buried.append((record, reason))

    @property
    def reported(self) -> str:
        return self.reports[-1] if self.reports else ""


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


def config(server: LangSmithServer | str, **settings: Any) -> LangSmithConfig:
    assembly = {"settle": "50ms", "idle_timeout": "300ms", **settings.pop("assembly", {})}
    endpoint = server if isinstance(server, str) else server.url
    given = {"endpoint": endpoint, "api_key": "lsv2_k", "retry_on_failure": QUICK, "assembly": assembly}
    return LangSmithConfig.model_validate({**given, **settings})


@asynccontextmanager
async def running(
    server: LangSmithServer | str, around: Surroundings, **settings: Any
) -> AsyncIterator[LangSmithExporter]:
    exporter = LangSmithExporter(config(server, **settings))
    exporter.keep_in(around.folder)
    exporter.bury_with(around.bury)
    exporter.report_to(around.reports.append)
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown()


async def until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        await asyncio.sleep(0.01)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_contract_is_met() -> None:
    exporter = factory.create(LangSmithConfig.model_validate({"api_key": "k"}))

    for wanted in (Buries, KeepsFiles, KeepsPosition, Reports):
        assert isinstance(exporter, wanted)


async def test_a_trace_arrives_as_a_tree(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, spans=range(5))))
        await until(lambda: len(langsmith_server.runs) == 5)

    (root,) = langsmith_server.trees()
    assert root.outline() == {"span 0": ["span 1", "span 2", "span 3", "span 4"]}
    assert langsmith_server.run("span 1").run_type == "llm"
    assert langsmith_server.run("span 1").project == "default"


async def test_spans_of_a_trace_in_several_batches_go_together(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    # Longer than storing them may take: what comes after that goes alone.
    async with running(langsmith_server, around, assembly={"settle": "2s", "idle_timeout": "1m"}) as exporter:
        for number, spans in enumerate([[3], [2, 1], [0], [4]], 1):
            await exporter.export(trace_batch(request(1, spans=spans), first=number))
        await until(lambda: len(langsmith_server.runs) == 5)

    (root,) = langsmith_server.trees()
    assert len(list(root.walk())) == 5
    assert len([one for one in langsmith_server.requests if one.method == "POST"]) == 1


async def test_many_traces_go_in_few_requests(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(*range(1, 101), spans=range(5))))
        await until(lambda: len(langsmith_server.runs) == 500)

    assert len(langsmith_server.trees()) == 100
    assert len([one for one in langsmith_server.requests if one.method == "POST"]) <= 8


async def test_the_position_moves_with_the_spans(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    batch = trace_batch(request(1))
    async with running(langsmith_server, around) as exporter:
        assert await exporter.position(batch.source) is None
        await exporter.export(batch)
        await exporter.export(batch)
        assert await exporter.position(batch.source) == batch.end
        await until(lambda: len(langsmith_server.runs) == 3)

    async with running(langsmith_server, around) as exporter:
        assert await exporter.position(batch.source) == batch.end


async def test_what_was_not_sent_is_sent_after_a_restart(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    langsmith_server.refuse()
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, 2, 3)))
        await until(lambda: "Connect" in around.reported)
    langsmith_server.recover()

    async with running(langsmith_server, around):
        await until(lambda: len(langsmith_server.runs) == 9)

    assert len(langsmith_server.trees()) == 3


async def test_a_lost_answer_sends_nothing_twice(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    langsmith_server.drop(times=1, store=True)
    before = metric("ganglion_langsmith_duplicate_runs_total")

    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, spans=range(30))))
        await until(lambda: metric("ganglion_langsmith_duplicate_runs_total") == before + 30)

    assert len(langsmith_server.runs) == 30
    assert around.buried == []


def nothing_waits() -> bool:
    return metric("ganglion_langsmith_spooled_spans") == 0 and metric("ganglion_langsmith_trouble") == 0


@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
async def test_passing_trouble_loses_nothing(
    langsmith_server: LangSmithServer, around: Surroundings, status: int
) -> None:
    langsmith_server.fail_with(status, times=3)

    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, 2, 3)))
        await until(lambda: len(langsmith_server.runs) == 9)
        await until(lambda: around.reported == "")

    assert any(str(status) in report for report in around.reports)
    assert around.buried == []
    assert len(langsmith_server.trees()) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_is_unhealthy_until_it_is_right(
    langsmith_server: LangSmithServer, around: Surroundings, status: int
) -> None:
    langsmith_server.fail_with(status)

    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1)))
        await until(lambda: "LANGSMITH_API_KEY" in around.reported)
        langsmith_server.recover()
        await until(lambda: len(langsmith_server.runs) == 3)
        await until(lambda: around.reported == "")

    assert around.buried == []


async def test_a_bad_run_goes_to_the_dead_letters_alone(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    bad = request(2, spans=[1])
    bad.resource_spans[0].scope_spans[0].spans[0].attributes.add(
        key="langsmith.trace.session_id"
    ).value.string_value = "8f0a9bb0-94f2-4a9a-9b0e-6a9b8d5d3c11"  # a project that is not there

    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1), request(3), request(2, spans=[0]), bad))
        await until(lambda: len(langsmith_server.runs) + len(around.buried) == 8)

    ((record, reason),) = [found for found in around.buried if span_of(found[0]) == span_id(1)]
    assert reason.startswith("HTTP 4")
    assert record.signal is Signal.TRACES
    assert record.item_count == 1


def span_of(record: Record) -> bytes:
    parsed = parse_request(Signal.TRACES, record.payload)
    assert isinstance(parsed, ExportTraceServiceRequest)
    (group,) = parsed.resource_spans
    (span,) = group.scope_spans[0].spans
    assert group.resource.attributes[0].value.string_value == "answers"
    return span.span_id


async def test_a_trace_without_its_root_gets_one_which_the_real_one_completes(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    before = metric("ganglion_langsmith_synthetic_roots_total")
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, spans=[1, 2])))
        await until(lambda: len(langsmith_server.runs) == 3)
        assert langsmith_server.run("(missing root)").run_type == "chain"

        await exporter.export(trace_batch(request(1, spans=[0]), first=2))
        await until(lambda: {run.name for run in langsmith_server.runs} == {"span 0", "span 1", "span 2"})

    (root,) = langsmith_server.trees()
    assert root.outline() == {"span 0": ["span 1", "span 2"]}
    assert metric("ganglion_langsmith_synthetic_roots_total") == before + 1


async def test_late_spans_find_their_place(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, spans=[0, 1])))
        await until(lambda: len(langsmith_server.runs) == 2)
        await exporter.export(trace_batch(request(1, spans=[2, 3]), first=2))
        await until(lambda: len(langsmith_server.runs) == 4)

    assert langsmith_server.trees()[0].outline() == {"span 0": ["span 1", "span 2", "span 3"]}


async def test_logs_of_a_span_are_events_of_its_run(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    async with running(langsmith_server, around) as exporter:
        await exporter.export(log_batch(1, 1, "first", "second"))
        await exporter.export(trace_batch(request(1)))
        await until(lambda: len(langsmith_server.runs) == 3)

    told = [(event["name"], event["kwargs"]) for event in langsmith_server.run("span 1").events]
    assert told == [
        ("log", {"severity": "INFO", "message": "first"}),
        ("log", {"severity": "INFO", "message": "second"}),
    ]


async def test_a_full_spool_leaves_the_rest_in_the_journal_and_says_why(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    langsmith_server.fail_with(503)
    async with running(langsmith_server, around, spool={"quota_mib": 1}) as exporter:
        stored = await fill(exporter)
        await until(lambda: "503" in around.reported)
        following = trace_batch(incompressible(stored + 1), first=stored + 1)
        with pytest.raises(RetryableError, match=r"spool holds.*HTTP 503"):
            await exporter.export(following)
        langsmith_server.recover()
        await until(nothing_waits)
        await exporter.export(following)


async def fill(exporter: LangSmithExporter) -> int:
    """Store traces until there is no room; return how many there are."""
    for number in range(1, 50):
        try:
            await exporter.export(trace_batch(incompressible(number), first=number))
        except RetryableError:
            return number - 1
    raise AssertionError("there was room for everything")


def incompressible(trace: int) -> ExportTraceServiceRequest:
    return request(trace, spans=[0], prompt=random.Random(trace).randbytes(100_000).hex())


async def test_one_trace_in_trouble_does_not_hold_the_others(around: Surroundings) -> None:
    poisoned = {"is_on": True}
    attempts: list[float] = []
    arrived: list[str] = []

    def answer(received: Received) -> Answer:
        if received.path == "/info":
            return Answer(body=b"{}")
        if poisoned["is_on"] and b"poison" in received.body:
            attempts.append(time.monotonic())
            return Answer(http_status=500)
        arrived.extend(re.findall(r'name="post[.]([^".]+)"', received.body.decode()))
        return Answer(http_status=202)

    async with (
        OTLPSink(answer) as sink,
        running(sink.http_endpoint, around, compression="none") as exporter,
    ):
        await exporter.export(trace_batch(request(1), request(2, input="poison"), request(3)))
        await until(lambda: len(arrived) == 6)
        await exporter.export(trace_batch(request(4), first=4))
        await until(lambda: len(arrived) == 9)
        await until(lambda: len(attempts) >= 6)
        poisoned["is_on"] = False
        await until(lambda: len(set(arrived)) == 12)
        await until(lambda: around.reported == "")

    assert around.buried == []
    assert len(arrived) == 12
    assert attempts[5] - attempts[1] > 0.1  # each waits longer than the one before


async def test_it_gives_up_where_it_is_told_to(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    langsmith_server.fail_with(503)

    retry = {**QUICK, "max_elapsed_time": "300ms"}
    async with running(langsmith_server, around, retry_on_failure=retry) as exporter:
        await exporter.export(trace_batch(request(1)))
        await until(lambda: len(around.buried) == 3)

    assert all(reason.startswith("given up") for _, reason in around.buried)


async def test_a_large_trace_goes_on_where_trouble_stopped_it(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    before = metric("ganglion_langsmith_duplicate_runs_total")
    langsmith_server.rules.max_runs = 10
    langsmith_server.rules.requests_per_10_s = 20
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, spans=range(300))))
        await until(lambda: "429" in around.reported)
        assert 0 < len(langsmith_server.runs) < 300
        langsmith_server.rules.requests_per_10_s = None
        await until(lambda: len(langsmith_server.runs) == 300)
        await until(lambda: around.reported == "")

    assert len(list(langsmith_server.trees()[0].walk())) == 300
    assert metric("ganglion_langsmith_duplicate_runs_total") == before


async def test_hours_away_are_made_up_for(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    langsmith_server.refuse()
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(*range(1, 50), spans=range(4))))
        await until(lambda: around.reported != "")
        langsmith_server.clock.advance(6 * 3600)
        langsmith_server.recover()
        await until(lambda: len(langsmith_server.runs) == 196)

    assert len(langsmith_server.trees()) == 49
    assert around.buried == []


async def test_two_days_away_end_in_the_dead_letters(langsmith_server: LangSmithServer, around: Surroundings) -> None:
    langsmith_server.refuse()
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, 2, spans=range(4))))
        await until(lambda: around.reported != "")
        langsmith_server.clock.advance(48 * 3600)
        langsmith_server.recover()
        await until(lambda: len(around.buried) == 8)

    assert langsmith_server.runs == []
    assert {reason.partition(":")[0] for _, reason in around.buried} <= {"HTTP 400", "HTTP 422"}


async def test_old_spans_are_dead_letters_where_configured(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    long_ago = time.time_ns() - 30 * 3600 * 10**9
    async with running(langsmith_server, around, old_spans="dead_letter") as exporter:
        await exporter.export(trace_batch(request(1, start=long_ago), request(2)))
        await until(lambda: len(langsmith_server.runs) == 3 and len(around.buried) == 3)


async def test_old_spans_do_not_spoil_the_others_request(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    long_ago = time.time_ns() - 30 * 3600 * 10**9
    async with running(langsmith_server, around) as exporter:
        await exporter.export(trace_batch(request(1, start=long_ago), request(2)))
        await until(lambda: len(langsmith_server.runs) == 3 and len(around.buried) == 3)

    refused = [one for one in langsmith_server.requests if one.status in {400, 422}]
    assert {len(one.run_ids) for one in refused} == {1}


async def test_shutdown_in_an_outage_is_quick_and_loses_nothing(
    langsmith_server: LangSmithServer, around: Surroundings
) -> None:
    langsmith_server.hang()
    async with running(langsmith_server, around, timeout="60s") as exporter:
        await exporter.export(trace_batch(request(1)))
        await until(lambda: bool(langsmith_server.requests))
        started = time.monotonic()
        await exporter.shutdown()
    assert time.monotonic() - started < 8
    langsmith_server.recover()

    async with running(langsmith_server, around):
        await until(lambda: len(langsmith_server.runs) == 3)


async def test_otlp_mode_passes_spans_on(langsmith_server: LangSmithServer) -> None:
    exporter = factory.create(config(langsmith_server, mode="otlp", project="answers"))
    assert isinstance(exporter, LangSmithForwarder)
    await exporter.start()
    sent = request(1)

    assert await exporter.export(trace_batch(sent)) is None
    rejected = await exporter.export(log_batch(1, 1, "x"))
    await exporter.shutdown()

    (forwarded,) = langsmith_server.otlp
    assert forwarded.project == "answers"
    assert forwarded.request == sent
    assert rejected is not None
    assert rejected.rejected == 1


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
async def test_otlp_mode_keeps_what_is_not_taken(langsmith_server: LangSmithServer, status: int) -> None:
    langsmith_server.fail_with(status)
    exporter = factory.create(config(langsmith_server, mode="otlp"))
    await exporter.start()

    with pytest.raises(RetryableError, match=f"HTTP {status}"):
        await exporter.export(trace_batch(request(1)))
    await exporter.shutdown()


def test_without_a_key_it_is_disabled() -> None:
    assert factory.disabled is not None
    for nothing in ({}, {"api_key": ""}, {"api_key": None}, {"api_key": "  "}):
        reason = factory.disabled(LangSmithConfig.model_validate(nothing))
        assert reason is not None
        assert "LANGSMITH_API_KEY" in reason
    assert factory.disabled(LangSmithConfig.model_validate({"api_key": "k"})) is None


def test_unset_variables_are_defaults() -> None:
    found = LangSmithConfig.model_validate({"api_key": None, "endpoint": None, "project": "", "workspace_id": None})

    assert (found.endpoint, found.project, found.workspace_id) == ("https://api.smith.langchain.com", "default", "")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"endpoint": "api.smith.langchain.com"}, "https://"),
        ({"endpoint": "https://user:pass@host"}, "api_key"),
        ({"api_key": "k\ny"}, "header"),
        ({"mode": "both"}, "'runs' or 'otlp'"),
        ({"prices": "/no/such/file"}, "No such file"),
        ({"proxy_url": "socks://x"}, "http://host:port"),
        ({"old_spans": "drop"}, "dead_letter"),
    ],
)
def test_what_is_wrong_is_said(written: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LangSmithConfig.model_validate({"api_key": "secret-key", **written})

    assert told in str(refused.value)
    assert "secret-key" not in str(refused.value)
