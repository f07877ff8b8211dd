"""The example RAG service as `make demo` runs it: real collector, real PostgreSQL, 100 uploads at once."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ganglion_collector.component import Signal
from ganglion_collector.testing import OTLPSink
from ganglion_query.commands import app
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from typer.testing import CliRunner

from examples import rag_demo, running
from tests.fix_collector import RunningCollector, eventually, simple
from tests.fix_postgresql import fresh_database

pytestmark = pytest.mark.timeout(120)

EVENTS = {
    "ingestion": "file_upload_started file_parsed chunks_created enrichment_complete embedding_complete "
    "storage_complete file_upload_failed",
    "data": "search_query_executed cache_hit cache_miss",
    "retrieval": "search_query_received hybrid_search_executed reranking_complete chunks_retrieved",
    "generation": "generation_started token_budget_allocated streaming_started generation_complete rate_limit_hit "
    "slow_generation",
    "evaluation": "evaluation_started claims_checked ragas_score_computed quality_tier_assigned evaluation_complete",
    "memory": "history_retrieved history_summarized history_stored",
}
METRICS = {
    "rag_requests_total": {"layer", "status"},
    "rag_errors_total": {"error_type", "layer"},
    "rag_active_queries": {"layer"},
    "rag_cache_size_bytes": {"cache"},
    "rag_request_latency_ms": {"layer", "operation"},
    "rag_token_usage": {"model"},
    "rag_claims_total": set(),
    "rag_hallucinated_claims_total": set(),
    "rag_cache_hits_total": {"cache"},
    "rag_cache_misses_total": {"cache"},
    "rag_ragas_score": {"metric"},
    "rag_cost_usd_total": {"layer", "model"},
}
COMPARED = ("level", "logger", "message", "trace_id", "span_id", "user_id", "session_id", "tenant_id")


@dataclass(frozen=True, slots=True)
class Metric:
    labels: set[str]
    exemplar_traces: set[str]
    points: list[Any]


@dataclass(frozen=True, slots=True)
class Used:
    """All that is known after the service was used and has ended."""

    outcome: rag_demo.Outcome
    printed: list[dict[str, Any]]
    logs: list[DictRow]
    spans: list[DictRow]
    metrics: dict[str, Metric]

    def of(self, fault: str) -> list[DictRow]:
        return [log for log in self.logs if log["trace_id"] == self.outcome.traces[fault]]


@pytest.fixture(scope="module")
def database(postgresql_server: str) -> Iterator[str]:
    with fresh_database(postgresql_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def used(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    folder = tmp_path_factory.mktemp("rag")
    text = simple(f"{{postgresql: {{dsn: {json.dumps(database)}}}}}", "logs: [postgresql]", "traces: [postgresql]")
    collector = RunningCollector(text, folder / "home")
    try:
        collector.start()
        yield asyncio.run(use(collector, database))
    finally:
        collector.close()


async def use(collector: RunningCollector, database: str) -> Used:
    async with OTLPSink() as sink:
        addresses = {"otlp/grpc": collector.address("otlp/grpc")}
        variables = rag_demo.otel_variables(addresses, "grpc") | {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://{sink.grpc_endpoint}",
            "GANGLION_LOG_LEVEL": "DEBUG",
            "GANGLION_SHUTDOWN_TIMEOUT": "20",  # the test asks what is sent, not how fast a busy machine is
        }
        service = running.running_service(rag_demo.PROGRAM, variables)
        started = await asyncio.to_thread(service.__enter__)
        try:
            outcome = await rag_demo.send_requests(started.url)
        finally:
            await asyncio.to_thread(service.__exit__, None, None, None)
        metrics = metrics_of(sink)
    printed = rag_demo.logs_of(started)
    with suppress(AssertionError):  # then a test tells which log or span is missing
        eventually(lambda: len(rows(database, "logs")) >= len(printed), timeout=20)
        # Another process stores the spans. A request's own ends last, and spans are stored as they ended.
        eventually(lambda: outcome.users.keys() <= requests_in(rows(database, "spans")), timeout=20)
    return Used(outcome, printed, rows(database, "logs"), rows(database, "spans"), metrics)


def requests_in(spans: list[DictRow]) -> set[str]:
    return {span["trace_id"] for span in spans if span["parent_span_id"] is None}


def rows(database: str, table: str) -> list[DictRow]:
    with psycopg.connect(database, row_factory=dict_row) as connection:
        found = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
    for row in found:
        row["trace_id"] = row["trace_id"].hex if isinstance(row["trace_id"], UUID) else row["trace_id"]
    return found


def metrics_of(sink: OTLPSink) -> dict[str, Metric]:
    """Return what the service sent, under the names Prometheus gives them."""
    found: dict[str, Metric] = {}
    for received in sink.requests:
        if received.signal is not Signal.METRICS:
            continue
        request: Any = received.parsed()
        for metric in (m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics):
            data = getattr(metric, metric.WhichOneof("data"))
            kept = found.setdefault(prometheus_name(metric), Metric(set(), set(), []))
            kept.points.extend(data.data_points)
            kept.labels.update(pair.key for point in data.data_points for pair in point.attributes)
            kept.exemplar_traces.update(e.trace_id.hex() for point in data.data_points for e in point.exemplars)
    return found


def prometheus_name(metric: Any) -> str:
    """Translate as https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ says."""
    unit = {"By": "_bytes", "s": "_seconds", "ms": "_milliseconds"}.get(metric.unit, "")
    name = str(metric.name).replace(".", "_")
    name += "" if name.endswith(unit) else unit
    return name + ("_total" if metric.sum.is_monotonic and not name.endswith("_total") else "")


def test_every_upload_is_taken(used: Used) -> None:
    assert used.outcome.statuses["100 uploads at once"] == {201: 100}


def test_all_that_the_demo_suggests_finds_something(used: Used, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_DATABASE_URL", database)
    for command, _ in rag_demo.suggestions(used.outcome):
        result = CliRunner().invoke(app, shlex.split(command))
        assert (result.exit_code, result.stderr) == (0, ""), command


def test_every_log_that_was_printed_is_in_postgresql_once(used: Used) -> None:
    printed = Counter(tuple(log[name] for name in COMPARED) for log in used.printed)
    stored = Counter(tuple(log[name] for name in COMPARED) for log in used.logs)
    assert stored == printed


def test_no_log_has_the_user_of_another_request(used: Used) -> None:
    said: dict[str, set[str]] = {}
    for log in used.logs:
        if log["trace_id"] and log["user_id"]:
            said.setdefault(log["trace_id"], set()).add(log["user_id"])
    assert said == {trace_id: {user} for trace_id, user in used.outcome.users.items()}


def test_every_span_of_an_upload_is_under_its_request(used: Used) -> None:
    spans = {(span["trace_id"], span["span_id"]): span for span in used.spans}
    uploads = [span for span in used.spans if span["name"] == "ingestion.upload"]
    assert len(uploads) > 100
    parents = [spans[(span["trace_id"], span["parent_span_id"])]["name"] for span in uploads]
    assert set(parents) == {"POST /documents"}


@pytest.mark.parametrize("layer", EVENTS)
def test_every_event_of_the_layer_is_told(used: Used, layer: str) -> None:
    told = {log["message"] for log in used.logs if log["logger"] == f"rag.{layer}"}
    assert told >= set(EVENTS[layer].split())


def test_metrics_have_their_exact_names_and_labels(used: Used) -> None:
    ours = {name: metric.labels for name, metric in used.metrics.items() if name in METRICS}
    assert ours == METRICS


def test_a_latency_leads_to_its_trace(used: Used) -> None:
    assert used.metrics["rag_request_latency_ms"].exemplar_traces & set(used.outcome.users)


def test_one_trace_holds_all_layers_of_a_question(used: Used) -> None:
    spans = [span for span in used.spans if span["trace_id"] == used.outcome.traces["slow"]]
    (request,) = [span for span in spans if span["parent_span_id"] is None]
    children = {span["name"] for span in spans if span["parent_span_id"] == request["span_id"]}
    layers = {"memory.retrieve", "retrieval.search", "generation.generate", "evaluation.evaluate", "memory.store"}
    assert request["name"] == "POST /ask"
    assert layers <= children
    assert {span["tenant_id"] for span in spans} - {None} == {"acme"}


def test_what_takes_long_is_said(used: Used) -> None:
    (slow,) = [log for log in used.of("slow") if log["message"] == "slow_generation"]
    assert slow["level"] == "WARNING"
    assert slow["duration_ms"] > slow["metrics"]["threshold_ms"]


def test_an_invented_claim_is_found(used: Used) -> None:
    (checked,) = [log for log in used.of("hallucinate") if log["message"] == "claims_checked"]
    (scores,) = [log for log in used.of("hallucinate") if log["message"] == "ragas_score_computed"]
    assert checked["metrics"]["hallucinated"] == 1
    assert scores["metrics"]["faithfulness"] < 1


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("fail", 503, "the store refused the connection"),
        ("budget", 422, "are left for sources"),
        ("rate_limit", 429, "retry after"),
    ],
)
def test_a_failure_is_answered_and_explained(used: Used, fault: str, status: int, error: str) -> None:
    assert used.outcome.statuses[f"questions, {fault}"] == {status: 1}
    explained = [log for log in used.of(fault) if error in (log["error"] or "")]
    assert [log["level"] for log in explained] == ["ERROR"]
    assert "Traceback" in explained[0]["stack_trace"]


def test_a_question_costs_what_its_tokens_cost(used: Used) -> None:
    (done,) = [log for log in used.of("slow") if log["message"] == "generation_complete"]
    tokens = done["metrics"]
    assert done["cost_usd"] == pytest.approx((tokens["input_tokens"] * 0.5 + tokens["output_tokens"] * 1.5) / 1e6)


def test_the_demo_says_that_nothing_is_running(tmp_path: Path) -> None:
    demo = [sys.executable, str(rag_demo.ROOT / "examples" / "demo.py")]
    shown = subprocess.run(demo, env={"GANGLION_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "make up" in shown.stderr
    assert shown.stdout == ""
