"""Retrieval and generation: from a question to its answer."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards import tables
from deploy.grafana.boards.frame import ENVIRONMENT, MODEL, SERVICE, assemble
from deploy.grafana.boards.panels import About, Query, over_time, over_time_sql, rows_of_sql
from deploy.grafana.boards.promql import current, increase, quantile, rate, ratio, total
from deploy.grafana.boards.sql import LOGS

__all__ = ["dashboard"]

_LATENCY = "rag_request_latency_ms"
_FINDING = 'layer=~"retrieval|data|memory"'
_GENERATING = 'layer="generation"'
_MODEL = 'model=~"$model"'
_ERRORS = ((0.05, "orange"), (0.25, "red"))
_SLOW = ((2000.0, "red"),)
_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-answers",
        "retrieval and generation",
        "From a question to its answer: search, caches, memory, models, tokens, limits.",
        (SERVICE, ENVIRONMENT, MODEL),
        (
            ("Retrieval, data and memory", (*_operations(_FINDING), _relevance(), _misses(), _cache_size())),
            ("Generation", (*_operations(_GENERATING), _tokens(), _first_token(), _rate_limits())),
            (
                "Requests",
                (_slow_generations(), tables.slowest_operations("retrieval|data|memory|generation"), _errors()),
            ),
        ),
    )


def _operations(layers: str) -> tuple[Panel, ...]:
    by = "layer, operation"
    errors, operations = (total("layer", increase(name, layers)) for name in ("rag_errors_total", "rag_requests_total"))
    return (
        over_time(
            About("Operations", "Operations a second, by layer and outcome.", "ops", width=8),
            Query(total("layer, status", rate("rag_requests_total", layers)), "{{layer}} {{status}}"),
            stacked=True,
        ),
        over_time(
            About("Failed operations", "Errors per operation.", "percentunit", _ERRORS, width=8),
            Query(ratio(errors, operations), "{{layer}}", exemplars=True),
        ),
        over_time(
            About("Latency", "Of each operation; points are traces.", "ms", _SLOW, width=8),
            *(
                Query(quantile(q, by, _LATENCY, layers), f"{{{{layer}}}}.{{{{operation}}}} {n}", exemplars=True)
                for q, n in _QUANTILES
            ),
        ),
    )


def _relevance() -> Panel:
    return over_time_sql(
        About(
            "What was retrieved",
            "Mean number and relevance of chunks, from the event chunks_retrieved.",
            "short",
            width=8,
        ),
        f"""\
SELECT $__timeGroup(timestamp, $__interval) AS time,
       avg((metrics->>'count')::double precision) AS chunks,
       avg((metrics->>'relevance')::double precision) AS relevance
FROM logs
WHERE {LOGS} AND logger = 'rag.retrieval' AND message = 'chunks_retrieved'
GROUP BY 1 ORDER BY 1
""",
    )


def _misses() -> Panel:
    misses, hits = (total("cache", increase(f"rag_cache_{found}_total")) for found in ("misses", "hits"))
    lookups = f"(({misses} or {hits} * 0) + ({hits} or {misses} * 0))"
    return over_time(
        About("Cache misses", "Share of the look-ups in a cache that missed.", "percentunit", ((0.8, "red"),), width=8),
        Query(ratio(misses, lookups), "{{cache}}", exemplars=True),
        most=1,
    )


def _cache_size() -> Panel:
    return over_time(
        About("Size of caches", "As the services say it.", "bytes", width=8),
        Query(total("cache", current("rag_cache_size_bytes")), "{{cache}}"),
        stacked=True,
    )


def _tokens() -> Panel:
    return over_time(
        About("Tokens of a call", "Median and p95 of the tokens of one call of a model.", "short", width=8),
        *(
            Query(quantile(q, "model", "rag_token_usage", _MODEL), f"{{{{model}}}} {n}", exemplars=True)
            for q, n in _QUANTILES[:2]
        ),
    )


def _first_token() -> Panel:
    return over_time_sql(
        About(
            "First token",
            "Median and p95 of the time to a stream's first token, from streaming_started.",
            "ms",
            width=8,
        ),
        f"""\
SELECT $__timeGroup(timestamp, $__interval) AS time,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY (metrics->>'first_token_ms')::double precision) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY (metrics->>'first_token_ms')::double precision) AS p95
FROM logs
WHERE {LOGS} AND message = 'streaming_started' AND metrics ? 'first_token_ms'
GROUP BY 1 ORDER BY 1
""",
    )


def _rate_limits() -> Panel:
    return over_time(
        About(
            "Rate limits met",
            "Calls that a model's provider refused, in the interval between two points.",
            "short",
            width=8,
        ),
        Query(total("model", increase("rag_rate_limit_hits_total", _MODEL)), "{{model}}", exemplars=True),
        stacked=True,
    )


def _slow_generations() -> Panel:
    return rows_of_sql(
        About("Slow generations", "The latest events slow_generation and rate_limit_hit.", "string", height=9),
        f"""\
SELECT timestamp AS time, message, context->>'model' AS model, duration_ms, user_id,
       replace(trace_id::text, '-', '') AS trace_id
FROM logs
WHERE {LOGS} AND message IN ('slow_generation', 'rate_limit_hit')
ORDER BY timestamp DESC LIMIT 20
""",
    )


def _errors() -> Panel:
    return tables.errors("logger IN ('rag.retrieval', 'rag.data', 'rag.memory', 'rag.generation')")
