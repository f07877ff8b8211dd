"""The bench's own parts, at a tiny size; no figure is judged here."""

import asyncio
import json
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.request import Request, urlopen

import grpc
import psycopg
import pytest
from ganglion_collector.component import Batch
from ganglion_collector.otlp import Signal, count_items, item_lists, parse_request
from ganglion_collector.testing import Answer, OTLPSink
from ganglion_exporters._langsmith.encoding import compress, multipart_body
from ganglion_exporters._prometheus.exposition import Format, render
from ganglion_exporters._prometheus.translate import TranslationSettings, Translator
from ganglion_exporters.prometheus.store import Limits, Store
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from bench.__main__ import MEASURES, STUDIES
from bench.collector import page_sums, running_collector
from bench.data import Template, log_template, span_template
from bench.fault_engine import difference
from bench.langsmith import sink, taken
from bench.langsmith_upload import SPANS, encoded, requests
from bench.load import Load
from bench.load import run as send
from bench.metric_data import MetricRequests, measured
from bench.postgresql import (
    BATCH_REQUESTS,
    batches,
    copied_out,
    copy_in,
    database,
    export_all,
    open_exporter,
    running_postgresql,
    server,
    table_bytes,
)
from bench.processes import cpu_seconds, process_tree, started, wait_until, watch_memory
from bench.prometheus_client_page import Registry
from bench.report import Budget, CannotMeasureError, Figure, percentile, show, write_json
from bench.rotel import running_rotel
from tests.langsmith_server import LangSmithServer

OF_THE_TARGET = ("job", "instance", "otel_scope_name")
TEMPLATES = [log_template(60), span_template(60)]


@pytest.mark.parametrize("template", TEMPLATES, ids=["logs", "traces"])
def test_stamped_requests_share_no_trace(template: Template) -> None:
    now = time.time_ns()
    one, two = (parse_request(template.signal, template.stamp(number, now)) for number in (1, 2))
    assert count_items(template.signal, one) == 60
    ours, others = (
        {item.trace_id for items in item_lists(template.signal, request) for item in items} for request in (one, two)
    )
    assert len(ours) == len(others) >= 3
    assert ours.isdisjoint(others)


@pytest.mark.parametrize("template", TEMPLATES, ids=["logs", "traces"])
def test_every_time_is_near_the_stamp(template: Template) -> None:
    now = time.time_ns()
    request = parse_request(template.signal, template.stamp(7, now))
    field = "time_unix_nano" if template.signal is Signal.LOGS else "end_time_unix_nano"
    times = [getattr(item, field) for items in item_lists(template.signal, request) for item in items]
    assert all(abs(at - now) <= 1 << 32 for at in times)


def test_first_trace_is_the_one_stamped() -> None:
    request = parse_request(Signal.LOGS, TEMPLATES[0].stamp(41, time.time_ns()))
    first = next(iter(next(iter(item_lists(Signal.LOGS, request)))))
    assert first.trace_id.hex() == TEMPLATES[0].first_trace(41)


def test_variants_differ() -> None:
    variants = TEMPLATES[0].variants(time.time_ns())
    payloads = {variants.payload(number) for number in range(1000)}
    assert len(payloads) == 1000
    assert {len(payload) for payload in payloads} == {len(TEMPLATES[0].payload)}


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("signal", ["logs", "traces", "metrics"])
async def test_load_counts_what_a_real_server_acknowledged(transport: str, signal: str) -> None:
    async with OTLPSink() as sink:
        sink.answers.append(Answer(grpc_code=grpc.StatusCode.UNAVAILABLE, http_status=503))
        address = sink.grpc_endpoint if transport == "grpc" else sink.http_endpoint.removeprefix("http://")
        outcome = await asyncio.to_thread(send, Load(address, transport, signal, records=20, requests=30))
    assert (outcome.requests, outcome.records, outcome.all_records, outcome.refused) == (30, 600, 600, 1)
    assert len(outcome.latencies) == 30
    assert [(one.transport, one.signal) for one in sink.requests] == [(transport, signal)] * 31
    assert {count_items(one.signal, one.parsed()) for one in sink.requests if one.signal} == {20}
    assert len({one.body for one in sink.requests}) == 30


def test_metric_requests_go_through_all_series_again_and_again_with_new_times() -> None:
    store, requests = Store(Limits(1000, 0, 0)), MetricRequests(50, 200)
    translator = Translator(TranslationSettings(target_info=False))
    for number in range(2 * len(requests)):
        request = ExportMetricsServiceRequest.FromString(requests.payload(number))
        points, dropped = translator.points(request)
        assert (len(points), store.take(points, time.time_ns()), dropped) == (50, Counter(), Counter())
    assert len(store) == 200


def test_page_is_compared_with_the_same_series_of_prometheus_client() -> None:
    registry = Registry()
    registry.update(list(measured(200)))
    theirs = {
        (sample.name, frozenset(sample.labels.items()))
        for family in registry.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    store, requests = Store(Limits(1000, 0, 0)), MetricRequests(50, 200)
    translator = Translator(TranslationSettings(target_info=False))
    for number in range(len(requests)):
        store.take(translator.points(ExportMetricsServiceRequest.FromString(requests.payload(number))).points, 0)
    page = b"".join(render(store.families(), Format(), timestamps=False)).decode()
    ours = {
        (sample.name, frozenset((label, value) for label, value in sample.labels.items() if label not in OF_THE_TARGET))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert ours == theirs


def test_sums_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "metrics"
    page.write_text('# TYPE a counter\na{x="{} 1"} 2\na{x="2"} 3\nab 7\n')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        try:
            assert page_sums(f"127.0.0.1:{server.server_port}", ["a", "none"]) == {"a": 5.0, "none": 0.0}
        finally:
            server.shutdown()


def test_load_without_a_server_says_so() -> None:
    with pytest.raises(RuntimeError, match="the load generator failed"):
        send(Load("127.0.0.1:1", "http", requests=1))


def test_rotel_that_does_not_start_is_said_in_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "rotel-agent"
    binary.write_text('#!/bin/sh\necho "looked in $LD_LIBRARY_PATH: libpython.so => not found"\nexit 127\n')
    binary.chmod(0o755)
    with pytest.raises(CannotMeasureError) as caught, running_rotel(tmp_path, binary):
        pass
    reason, _, looked = str(caught.value).partition("looked in ")
    assert reason == "Rotel cannot be measured here: it ended with 127: "
    assert looked.split(":")[0] == sysconfig.get_config_var("LIBDIR")
    assert looked.endswith("not found")


@pytest.mark.parametrize(
    ("budget", "value", "reached"),
    [
        (Budget(0.5, 1.5), 0.4, "no"),
        (Budget(0.5, 1.5), 0.5, "first mark"),
        (Budget(0.5, 1.5), 1.5, "goal"),
        (Budget(600, 400, "less"), 601, "no"),
        (Budget(600, 400, "less"), 500, "first mark"),
        (Budget(600, 400, "less"), 400, "goal"),
    ],
)
def test_budget_is_judged(budget: Budget, value: float, reached: str) -> None:
    assert budget.reached(value) == reached


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_report_shows_ratio_and_writes_it(tmp_path: Path) -> None:
    figures = [("ingest", Figure("logs", 300_000, "/s", 600_000, Budget(0.5, 1.5), "2 rounds"))]
    console = Console(record=True, width=140)
    show(figures, console)
    text = console.export_text()
    assert "0.50" in text
    assert "first mark" in text
    assert "2 rounds" in text
    target = tmp_path / "new" / "figures.json"
    write_json(figures, {"rows": "TimeoutError: late"}, target)
    document = json.loads(target.read_text())
    assert document["figures"][0]["ratio"] == 0.5
    assert document["figures"][0]["reached"] == "first mark"
    assert document["failed"] == {"rows": "TimeoutError: late"}


def test_fault_verdict_names_what_is_wrong() -> None:
    lost, doubled, unknown = difference({"a", "b", "c"}, ["b", "c", "c", "d"])
    assert (lost, doubled, unknown) == (["a"], ["c"], ["d"])


def test_process_that_outlives_its_block_is_stopped(tmp_path: Path) -> None:
    with started([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as process:
        assert process.poll() is None
        assert cpu_seconds(process_tree(process.pid)) >= 0
    assert process.returncode is not None


def test_measures_and_studies_are_there() -> None:
    for name in (*MEASURES, *STUDIES):
        assert find_spec(f"bench.{name}"), name


def test_rows_are_the_same_ones_on_both_sides(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    embedded = server(tmp_path / "ganglion-bench-database")
    with running_postgresql(embedded) as dsn, database(dsn) as bench:
        work = batches([log_template(20, seed=seed) for seed in range(3)], 0, 2, time.time_ns())
        asyncio.run(_export(bench, list(work)))
        with psycopg.connect(bench) as connection:
            pieces = copied_out(connection, "logs", 500)
            before = table_bytes(connection, "logs")
            connection.execute("TRUNCATE logs")
            copy_in(connection, "logs", pieces)
            again = copied_out(connection, "logs", 500)
    rows = 2 * BATCH_REQUESTS * 20
    assert sum(piece.count(b"\n") for piece in pieces) == rows
    assert sorted(b"".join(again).splitlines()) == sorted(b"".join(pieces).splitlines())
    assert before["total"] >= before["heap"] + before["indexes"] > 100 * rows


async def _export(dsn: str, work: Sequence[Batch]) -> None:
    exporter = open_exporter(dsn)
    await exporter.start()
    await export_all(exporter, work)
    await exporter.shutdown()


def test_whole_collector_is_loaded_and_tells_its_processes(tmp_path: Path) -> None:
    with running_collector(tmp_path / "run", {"debug": {}}) as collector:
        outcome = send(Load(collector.grpc, records=20, requests=30, stamped=True))
        assert outcome.records == 600
        assert collector.metric("otelcol_receiver_accepted_log_records") == 600
        assert {"supervisor", "receiver"} < set(collector.processes())
        with watch_memory(collector.processes(), 0.01) as peaks:
            wait_until(lambda: set(peaks) == set(collector.processes()), "a sample of each process")
    assert all(peak.resident > peak.anonymous > 0 for peak in peaks.values())


def test_uploads_to_langsmith_are_of_the_same_runs() -> None:
    payloads = list(requests(30))
    made = [run for trace in encoded(payloads) for run in trace]
    assert len(made) == 30 * SPANS
    assert len({run.run.id for run in made}) == len(made)
    assert Counter(run.run.draft.run_type for run in made) == {"chain": 30, "retriever": 150, "llm": 120}
    assert all(run.run.draft.inputs and run.run.draft.outputs for run in made)


@pytest.mark.parametrize("who", ["ours", "sdk"])
def test_uploads_bring_every_run_to_langsmith_in_its_tree(tmp_path: Path, who: str) -> None:
    with LangSmithServer() as server:
        command = [sys.executable, "-m", "bench.langsmith_upload", who, server.url, "200", str(tmp_path)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=45).stdout)
        trees = [runs for tree in server.trees() if len(runs := list(tree.walk())) > 1]
    assert told["runs"] == 200
    assert [len(runs) for runs in trees] == [SPANS] * (200 // SPANS)
    assert all(run.inputs and run.outputs and run.end for runs in trees for run in runs)


def test_sink_for_langsmith_counts_runs(tmp_path: Path) -> None:
    made = [run for trace in encoded(list(requests(4))) for run in trace]
    plain = multipart_body(made, "0" * 32)
    with sink(tmp_path) as url:
        for body, coding in ((compress(plain, "zstd"), "zstd"), (plain, "identity")):
            request = Request(f"{url}/runs/multipart", body, {"Content-Encoding": coding})
            with urlopen(request, timeout=10) as answer:
                assert answer.status == 202
        assert taken(url)["runs"] == 2 * len(made)
        assert taken(url)["runs"] == 0
