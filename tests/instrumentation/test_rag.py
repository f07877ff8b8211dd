import asyncio
import contextvars
import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import ganglion
import pytest
from ganglion import rag, testing
from ganglion.testing import Captured
from opentelemetry import trace

_DOCS = Path(__file__).parents[2] / "docs" / "rag.md"

# What a Prometheus exporter with its default settings is to show, and the labels of each.
_EXPECTED = {
    "rag_requests_total": {"layer", "status"},
    "rag_errors_total": {"error_type", "layer"},
    "rag_active_queries": {"layer"},
    "rag_request_latency_ms": {"layer", "operation"},
    "rag_token_usage": {"model"},
    "rag_cost_usd_total": {"layer", "model"},
    "rag_rate_limit_hits_total": {"model"},
    "rag_documents_total": set[str](),
    "rag_chunks_total": set[str](),
    "rag_cache_hits_total": {"cache"},
    "rag_cache_misses_total": {"cache"},
    "rag_cache_size_bytes": {"cache"},
    "rag_claims_total": set[str](),
    "rag_hallucinated_claims_total": set[str](),
    "rag_quality_tiers_total": {"tier"},
    "rag_ragas_score": {"metric"},
}
_UNITS = {"ms": "milliseconds", "s": "seconds", "By": "bytes", "1": "ratio", "%": "percent"}

EVENTS: list[tuple[Callable[[], None], str, str, dict[str, object]]] = [
    (
        lambda: rag.file_upload_started(size=2048, format="pdf", user="u-1"),
        "rag.ingestion",
        "file_upload_started",
        {"size": 2048, "format": "pdf", "user.id": "u-1"},
    ),
    (lambda: rag.file_parsed(documents=3), "rag.ingestion", "file_parsed", {"documents": 3}),
    (
        lambda: rag.chunks_created(count=12, average_size=480.5),
        "rag.ingestion",
        "chunks_created",
        {"count": 12, "average_size": 480.5},
    ),
    (lambda: rag.enrichment_complete(count=12), "rag.ingestion", "enrichment_complete", {"count": 12}),
    (
        lambda: rag.embedding_complete(model="e5", tokens=900, cost_usd=0.002, count=12),
        "rag.ingestion",
        "embedding_complete",
        {"model": "e5", "tokens": 900, "cost_usd": 0.002, "count": 12},
    ),
    (lambda: rag.storage_complete(ids=["a", "b"]), "rag.ingestion", "storage_complete", {"count": 2}),
    (
        lambda: rag.search_query_executed(duration_ms=4.5, results=40, store="vectors"),
        "rag.data",
        "search_query_executed",
        {"duration_ms": 4.5, "results": 40, "store": "vectors"},
    ),
    (lambda: rag.search_query_received(length=31, top_k=5), "rag.retrieval", "search_query_received", {"length": 31}),
    (
        lambda: rag.hybrid_search_executed(dense_results=20, sparse_results=15),
        "rag.retrieval",
        "hybrid_search_executed",
        {"dense_results": 20, "sparse_results": 15},
    ),
    (
        lambda: rag.reranking_complete(scores=[0.2, 0.9, 0.4]),
        "rag.retrieval",
        "reranking_complete",
        {"count": 3, "top_score": 0.9},
    ),
    (
        lambda: rag.chunks_retrieved(count=5, relevance=0.7),
        "rag.retrieval",
        "chunks_retrieved",
        {"count": 5, "relevance": 0.7},
    ),
    (
        lambda: rag.generation_started(model="m", temperature=0.1),
        "rag.generation",
        "generation_started",
        {"model": "m", "temperature": 0.1},
    ),
    (
        lambda: rag.token_budget_allocated(
            total_tokens=4096, query_tokens=30, context_tokens=3000, response_tokens=1066
        ),
        "rag.generation",
        "token_budget_allocated",
        {"total_tokens": 4096, "query_tokens": 30, "context_tokens": 3000, "response_tokens": 1066},
    ),
    (
        lambda: rag.streaming_started(model="m", first_token_ms=120.0),
        "rag.generation",
        "streaming_started",
        {"first_token_ms": 120.0},
    ),
    (
        lambda: rag.generation_complete(model="m", input_tokens=1000, output_tokens=200, cost_usd=0.01),
        "rag.generation",
        "generation_complete",
        {"model": "m", "input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200, "cost_usd": 0.01},
    ),
    (
        lambda: rag.cost_incurred(layer="retrieval", cost_usd=0.001, model="reranker"),
        "rag.retrieval",
        "cost_incurred",
        {"cost_usd": 0.001, "model": "reranker"},
    ),
    (lambda: rag.evaluation_started(evaluator="own"), "rag.evaluation", "evaluation_started", {"evaluator": "own"}),
    (
        lambda: rag.ragas_score_computed(faithfulness=0.9, relevancy=0.8),
        "rag.evaluation",
        "ragas_score_computed",
        {"faithfulness": 0.9, "relevancy": 0.8},
    ),
    (
        lambda: rag.claims_checked(claims=4, hallucinated=1),
        "rag.evaluation",
        "claims_checked",
        {"claims": 4, "hallucinated": 1},
    ),
    (
        lambda: rag.quality_tier_assigned(tier="good", score=0.85),
        "rag.evaluation",
        "quality_tier_assigned",
        {"tier": "good", "score": 0.85},
    ),
    (lambda: rag.evaluation_complete(score=0.85), "rag.evaluation", "evaluation_complete", {"score": 0.85}),
    (
        lambda: rag.history_retrieved(turns=6, tokens=700),
        "rag.memory",
        "history_retrieved",
        {"turns": 6, "tokens": 700},
    ),
    (lambda: rag.history_summarized(ratio=0.25), "rag.memory", "history_summarized", {"ratio": 0.25}),
    (lambda: rag.history_stored(turns=7), "rag.memory", "history_stored", {"turns": 7}),
]
_NOT_INFO: list[tuple[Callable[[], None], str, str]] = [
    (lambda: rag.file_upload_failed(error="no text in it"), "file_upload_failed", "ERROR"),
    (lambda: rag.rate_limit_hit(model="m", retry_after=2.0), "rate_limit_hit", "WARNING"),
    (lambda: rag.slow_generation(model="m", duration_ms=9000.0, threshold_ms=5000.0), "slow_generation", "WARNING"),
]


class Half:
    """A number type of an array library: convertible, and no float."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return self._value


def prometheus_name(metric: dict[str, Any]) -> str:
    """Name a metric by the rules of OpenTelemetry's compatibility specification, default translation."""
    name = "_".join(part for part in metric["name"].replace(".", "_").split("_") if part)
    unit = metric["unit"]
    if unit and not unit.startswith("{"):
        word = _UNITS.get(unit, unit)
        name = name if name.endswith(f"_{word}") else f"{name}_{word}"
    gauge_like = metric["type"] != "sum" or metric["name"] == "rag.active_queries"
    return name if gauge_like or name.endswith("_total") else f"{name}_total"


def metric(captured: Captured, name: str) -> dict[str, Any]:
    return next(one for one in captured.metrics if prometheus_name(one) == name)


def values(captured: Captured, name: str) -> dict[tuple[str, ...], float]:
    """Each point's value, or count of a histogram, by its labels' values in the order of their names."""
    return {
        tuple(value for _, value in sorted(point["attributes"].items())): point.get("value", point.get("count"))
        for point in metric(captured, name)["points"]
    }


def tell_everything() -> None:
    for tell in [*(row[0] for row in EVENTS), *(row[0] for row in _NOT_INFO)]:
        tell()
    rag.cache_hit("answers")
    rag.cache_miss("answers")
    rag.cache_size(4096, "answers")


def fail_in_search() -> None:
    with rag.layer("retrieval", operation="search"):
        raise LookupError("no index")


def test_every_metric_has_its_prometheus_name_and_labels() -> None:
    with testing.capture() as captured:
        tell_everything()
        with pytest.raises(LookupError):
            fail_in_search()
    shown = {prometheus_name(one): one for one in captured.metrics if one["scope"] == "ganglion.rag"}
    assert {name: set(one["points"][0]["attributes"]) for name, one in shown.items()} == _EXPECTED


def test_documentation_has_every_metric_and_function() -> None:
    page = _DOCS.read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `rag_")]
    assert {row.split("`")[1].partition("{")[0] for row in rows} == set(_EXPECTED)
    functions = [name for name in rag.__all__ if name not in {"Layer", "QualityTier", "Step"}]
    assert [name for name in functions if f"`{name}" not in page and f"rag.{name}(" not in page] == []


@pytest.mark.parametrize(("tell", "logger", "event", "fields"), EVENTS, ids=[row[2] for row in EVENTS])
def test_event_is_a_log_record(tell: Callable[[], None], logger: str, event: str, fields: dict[str, object]) -> None:
    with testing.capture() as captured:
        tell()
    (record,) = captured.logs
    assert (record["logger"], record["message"], record["level"]) == (logger, event, "INFO")
    assert fields.items() <= record["attributes"].items()
    assert None not in record["attributes"].values()


@pytest.mark.parametrize(("tell", "event", "level"), _NOT_INFO, ids=[row[1] for row in _NOT_INFO])
def test_what_went_wrong_has_a_level_that_says_so(tell: Callable[[], None], event: str, level: str) -> None:
    with testing.capture() as captured:
        tell()
    assert [(record["message"], record["level"]) for record in captured.logs] == [(event, level)]


def test_failed_upload_keeps_its_exception() -> None:
    with testing.capture() as captured:
        rag.file_upload_failed(error=ValueError("page 3 is torn"), user="u-2")
    attributes = captured.logs[0]["attributes"]
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "page 3 is torn"
    assert attributes["user.id"] == "u-2"


def test_layer_is_a_span_with_its_count_and_latency() -> None:
    with testing.capture() as captured, rag.layer("retrieval", operation="search", index="articles") as step:
        step.set(results=3, nothing=None)
    (span,) = captured.spans
    assert span["name"] == "retrieval.search"
    assert span["attributes"] == {
        "rag.layer": "retrieval",
        "rag.operation": "search",
        "index": "articles",
        "results": 3,
    }
    assert values(captured, "rag_requests_total") == {("retrieval", "success"): 1}
    (latency,) = metric(captured, "rag_request_latency_ms")["points"]
    assert latency["attributes"] == {"layer": "retrieval", "operation": "search"}
    assert latency["sum"] == step.duration_ms
    assert captured.logs == []


async def test_layer_in_async_code_holds_for_the_tasks_in_it() -> None:
    async def search(operation: str) -> None:
        async with rag.layer("data", operation=operation):
            await asyncio.sleep(0)

    with testing.capture() as captured:
        async with rag.layer("retrieval", operation="hybrid"):
            await asyncio.gather(search("dense"), search("sparse"))
    spans = {span["name"]: span for span in captured.spans}
    assert spans["data.dense"]["parent_span_id"] == spans["retrieval.hybrid"]["span_id"]
    assert spans["data.sparse"]["parent_span_id"] == spans["retrieval.hybrid"]["span_id"]
    assert values(captured, "rag_requests_total") == {("data", "success"): 2, ("retrieval", "success"): 1}


def test_failure_is_counted_logged_and_passed_on() -> None:
    with testing.capture() as captured, pytest.raises(LookupError):
        fail_in_search()
    (span,) = captured.spans
    assert (span["status"], span["status_message"]) == ("ERROR", "LookupError: no index")
    assert span["attributes"]["error.type"] == "LookupError"
    assert [event["name"] for event in span["events"]] == ["exception"]
    assert values(captured, "rag_requests_total") == {("retrieval", "error"): 1}
    assert values(captured, "rag_errors_total") == {("LookupError", "retrieval"): 1}
    (record,) = captured.logs
    assert (record["message"], record["level"], record["span_id"]) == (
        "retrieval.search_failed",
        "ERROR",
        span["span_id"],
    )
    assert record["attributes"]["exception.message"] == "no index"


def test_exception_through_several_layers_is_logged_once_and_counted_in_each() -> None:
    with testing.capture() as captured, pytest.raises(LookupError), rag.layer("generation", operation="answer"):
        fail_in_search()
    assert [record["message"] for record in captured.logs] == ["retrieval.search_failed"]
    assert values(captured, "rag_errors_total") == {("LookupError", "generation"): 1, ("LookupError", "retrieval"): 1}
    assert [len(span["events"]) for span in captured.spans] == [1, 0]


def test_exception_through_spans_of_both_kinds_is_recorded_once() -> None:
    with (
        testing.capture() as captured,
        pytest.raises(LookupError),
        ganglion.trace_span("answering"),
        rag.layer("generation", operation="answer"),
        ganglion.trace_span("searching"),
    ):
        fail_in_search()
    assert [(span["name"], len(span["events"])) for span in captured.spans] == [
        ("retrieval.search", 1),
        ("searching", 0),
        ("generation.answer", 0),
        ("answering", 0),
    ]
    stacks = [record["message"] for record in captured.logs if "exception.stacktrace" in record["attributes"]]
    assert stacks == ["retrieval.search_failed"]


def test_exception_without_text_passes_as_it_is() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with testing.capture() as captured, pytest.raises(MuteError), rag.layer("memory", operation="store"):
        raise MuteError
    (labels,) = values(captured, "rag_errors_total")
    assert labels == (f"{__name__}.test_exception_without_text_passes_as_it_is.<locals>.MuteError", "memory")


def test_handled_failure_leaves_the_outer_operation_a_success() -> None:
    with testing.capture() as captured, rag.layer("generation", operation="answer"), pytest.raises(LookupError):
        fail_in_search()
    assert values(captured, "rag_requests_total") == {("generation", "success"): 1, ("retrieval", "error"): 1}


def test_step_can_fail_without_an_exception() -> None:
    with testing.capture() as captured, rag.layer("generation", operation="answer") as step:
        step.fail("budget_exceeded", "4200 of 4096 tokens")
    assert values(captured, "rag_errors_total") == {("budget_exceeded", "generation"): 1}
    assert values(captured, "rag_requests_total") == {("generation", "error"): 1}
    assert captured.spans[0]["status_message"] == "4200 of 4096 tokens"


def test_layer_holds_in_a_thread_that_has_its_context() -> None:
    with testing.capture() as captured, rag.layer("generation", operation="answer"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(rag.history_stored,), kwargs={"turns": 2})
        thread.start()
        thread.join()
    assert captured.logs[0]["span_id"] == captured.spans[0]["span_id"]


async def test_cancelled_operation_is_no_error() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        async with rag.layer("generation", operation="stream"):
            started.set()
            await asyncio.Event().wait()

    with testing.capture() as captured:
        task = asyncio.create_task(wait())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert values(captured, "rag_requests_total") == {("generation", "cancelled"): 1}
    assert captured.spans[0]["status"] == "UNSET"
    assert captured.logs == []


async def test_stream_closed_elsewhere_ends_its_operation_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async def words() -> AsyncIterator[str]:
        with rag.layer("generation", operation="stream"):
            yield "first"
            yield "second"

    async def read_one(stream: AsyncIterator[str]) -> str:
        return await anext(stream)

    with testing.capture() as captured:
        stream = words()
        assert await asyncio.create_task(read_one(stream)) == "first"
        await cast("Any", stream).aclose()
    assert values(captured, "rag_requests_total") == {("generation", "cancelled"): 1}
    for name in ("rag_requests_total", "rag_request_latency_ms"):
        (exemplar,) = metric(captured, name)["points"][0]["exemplars"]
        assert exemplar["span_id"] == captured.spans[0]["span_id"]
    assert not trace.get_current_span().get_span_context().is_valid
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_only_the_outermost_operation_is_an_active_query() -> None:
    with testing.capture() as captured:
        with rag.layer("generation", operation="answer"):
            with rag.layer("retrieval", operation="search"):
                assert values(captured, "rag_active_queries") == {("generation",): 1}
            assert values(captured, "rag_active_queries") == {("generation",): 1}
        assert values(captured, "rag_active_queries") == {("generation",): 0}


async def test_task_that_outlives_its_operation_is_a_query_of_its_own() -> None:
    ended = asyncio.Event()

    async def store() -> None:
        await ended.wait()
        with rag.layer("memory", operation="store"):
            assert values(captured, "rag_active_queries") == {("generation",): 0, ("memory",): 1}

    with testing.capture() as captured:
        with rag.layer("generation", operation="answer"):
            later = asyncio.create_task(store())
        ended.set()
        await later


def test_measurements_carry_the_trace_id() -> None:
    with testing.capture() as captured, rag.layer("generation", operation="answer"):
        rag.generation_complete(model="m", input_tokens=10, output_tokens=5, cost_usd=0.1)
        rag.ragas_score_computed(faithfulness=0.5)
    (span,) = captured.spans
    for name in ("rag_requests_total", "rag_request_latency_ms", "rag_token_usage", "rag_cost_usd_total"):
        exemplars = metric(captured, name)["points"][0]["exemplars"]
        assert {one["trace_id"] for one in exemplars} == {span["trace_id"]}, name
        assert {one["span_id"] for one in exemplars} == {span["span_id"]}, name


def test_failed_request_has_an_exemplar() -> None:
    with testing.capture() as captured, pytest.raises(LookupError):
        fail_in_search()
    (exemplar,) = metric(captured, "rag_errors_total")["points"][0]["exemplars"]
    assert exemplar["trace_id"] == captured.spans[0]["trace_id"]


def test_generation_describes_its_span_by_semantic_conventions() -> None:
    with testing.capture() as captured, rag.layer("generation", operation="answer"):
        rag.generation_started(model="m", temperature=0.2)
        rag.token_budget_allocated(total_tokens=100, query_tokens=10, context_tokens=60, response_tokens=30)
        rag.streaming_started(model="m", first_token_ms=250)
        rag.generation_complete(model="m-2", input_tokens=70, output_tokens=20)
    attributes = captured.spans[0]["attributes"]
    assert {name: value for name, value in attributes.items() if name.startswith("gen_ai.")} == {
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 30,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.response.model": "m-2",
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 20,
    }


def test_token_usage_and_cost_are_by_model() -> None:
    with testing.capture() as captured:
        rag.generation_complete(model="large", input_tokens=1000, output_tokens=200, cost_usd=0.5)
        rag.embedding_complete(model="small", tokens=300, cost_usd=0.25)
        rag.evaluation_complete(cost_usd=0.125)
    usage = {point["attributes"]["model"]: point["sum"] for point in metric(captured, "rag_token_usage")["points"]}
    assert usage == {"large": 1200, "small": 300}
    assert values(captured, "rag_cost_usd_total") == {
        ("generation", "large"): 0.5,
        ("ingestion", "small"): 0.25,
        ("evaluation",): 0.125,
    }


def test_claims_and_caches_are_counted() -> None:
    with testing.capture() as captured:
        rag.claims_checked(claims=5, hallucinated=2)
        rag.claims_checked(claims=3, hallucinated=0)
        rag.cache_hit()
        rag.cache_miss("answers")
        rag.cache_size(100)
        rag.cache_size(80)
    assert values(captured, "rag_claims_total") == {(): 8}
    assert values(captured, "rag_hallucinated_claims_total") == {(): 2}
    assert values(captured, "rag_cache_hits_total") == {("default",): 1}
    assert values(captured, "rag_cache_misses_total") == {("answers",): 1}
    assert values(captured, "rag_cache_size_bytes") == {("default",): 80}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1.0, None, "high"])
def test_score_that_cannot_be_measured_spoils_nothing(score: Any, caplog: pytest.LogCaptureFixture) -> None:
    with testing.capture() as captured:
        rag.ragas_score_computed(faithfulness=0.5)
        rag.ragas_score_computed(faithfulness=score)
    (point,) = metric(captured, "rag_ragas_score")["points"]
    assert (point["count"], point["sum"]) == (1, 0.5)
    assert len(captured.logs) == 2
    assert caplog.records == []


def test_count_below_zero_is_told_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    with testing.capture() as captured:
        rag.claims_checked(claims=2, hallucinated=0)
        rag.claims_checked(claims=-2, hallucinated=0)
    assert values(captured, "rag_claims_total") == {(): 2}
    assert [record["attributes"]["claims"] for record in captured.logs] == [2, -2]
    assert caplog.records == []


def test_numbers_of_array_libraries_become_plain() -> None:
    scores = cast("Any", [Half(0.25), Half(0.75)])
    with testing.capture() as captured, rag.layer("retrieval", operation="rerank") as step:
        rag.reranking_complete(scores=scores)
        rag.ragas_score_computed(faithfulness=cast("Any", Half(0.5)))
        step.set(best=Half(0.75), worst=object)
    assert captured.spans[0]["attributes"]["best"] == 0.75
    assert captured.spans[0]["attributes"]["worst"] == "<class 'object'>"
    assert captured.logs[0]["attributes"]["top_score"] == 0.75
    assert list(captured.logs[0]["attributes"]["scores"]) == [0.25, 0.75]
    assert metric(captured, "rag_ragas_score")["points"][0]["sum"] == 0.5


def test_long_lists_and_labels_are_cut() -> None:
    with testing.capture() as captured:
        rag.storage_complete(ids=(f"id-{number}" for number in range(5000)))
        rag.rate_limit_hit(model="m" * 10_000)
        rag.rate_limit_hit(model="")
        rag.rate_limit_hit(model="\ud800")
    stored = captured.logs[0]["attributes"]
    assert (stored["count"], len(stored["ids"])) == (5000, 100)
    assert values(captured, "rag_rate_limit_hits_total") == {("m" * 200,): 1, ("unknown",): 1, ("\\ud800",): 1}


def test_score_of_any_name_is_told() -> None:
    with testing.capture() as captured:
        rag.ragas_score_computed(**{"level": 0.5, "event": 0.25, "answer relevancy": 0.75})
    assert captured.logs[0]["attributes"]["answer relevancy"] == 0.75
    assert values(captured, "rag_ragas_score") == {("level",): 1, ("event",): 1, ("answer relevancy",): 1}


def test_unknown_layer_is_refused_with_the_six_names() -> None:
    with pytest.raises(ValueError, match="'search'; a layer is one of ingestion, data, retrieval, generation, eval"):
        rag.layer(cast("Any", "search"), operation="query")
    with pytest.raises(ValueError, match="no such layer"):
        rag.cost_incurred(layer=cast("Any", "search"), cost_usd=1.0)


def test_unknown_tier_is_refused() -> None:
    with pytest.raises(ValueError, match="'excellent'; a tier is one of good, fair, poor"):
        rag.quality_tier_assigned(tier=cast("Any", "excellent"))


def test_step_is_for_one_use() -> None:
    step = rag.layer("memory", operation="store")
    with step:
        pass
    with pytest.raises(RuntimeError, match="call layer"), step:
        pass


_BEFORE_CONFIGURE = """
    from ganglion import rag

    def work():
        rag.cache_hit("answers")
        with rag.layer("retrieval", operation="search"):
            rag.chunks_retrieved(count=1)

    work()
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    work()
    found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    print(sorted((metric.name, metric.data.data_points[0].value) for metric in found if metric.name == "rag.requests"))
    """
_TOO_MANY_NAMES = """
    from ganglion import rag, testing

    with testing.capture() as captured:
        for number in range(500):
            with rag.layer("data", operation=f"query-{number}"):
                pass
    (latency,) = (metric for metric in captured.metrics if metric["name"] == "rag.request.latency_ms")
    counts = {point["attributes"]["operation"]: point["count"] for point in latency["points"]}
    print(len(counts), counts["other"], len({span["name"] for span in captured.spans}))
    """


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_works_without_configure_and_measures_after_it() -> None:
    assert run(_BEFORE_CONFIGURE) == "[('rag.requests', 1)]\n"


def test_label_has_a_bounded_number_of_values() -> None:
    assert run(_TOO_MANY_NAMES) == "201 300 500\n"
