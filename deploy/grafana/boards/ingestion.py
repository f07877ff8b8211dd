"""Ingestion: uploads, what they became, how long their steps took, which failed."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards import tables
from deploy.grafana.boards.frame import ENVIRONMENT, MODEL, SERVICE, assemble
from deploy.grafana.boards.panels import About, Query, bars, figure, over_time, over_time_sql, rows_of_sql
from deploy.grafana.boards.promql import RANGE, increase, quantile, rate, ratio, total
from deploy.grafana.boards.sql import LOGS

__all__ = ["dashboard"]

_LAYER = 'layer="ingestion"'
_LATENCY = "rag_request_latency_ms"
_ERRORS = ((0.05, "orange"), (0.25, "red"))
_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-ingestion",
        "ingestion",
        "Uploads: how many, how long each step took, what failed, what they became and cost.",
        (SERVICE, ENVIRONMENT, MODEL),
        (
            ("The time range in figures", _figures()),
            ("Operations", _operations()),
            ("What uploads became", _products()),
            (
                "Uploads",
                (_failed_uploads(), tables.slowest_operations("ingestion"), tables.errors("logger = 'rag.ingestion'")),
            ),
        ),
    )


def _figures() -> tuple[Panel, ...]:
    operations = total("", increase("rag_requests_total", _LAYER, window=RANGE))
    errors = total("", increase("rag_errors_total", _LAYER, window=RANGE))
    documents, chunks = (total("", increase(f"rag_{name}_total", window=RANGE)) for name in ("documents", "chunks"))
    slow = quantile(0.95, "", _LATENCY, _LAYER, window=RANGE)
    spent = total("", increase("rag_cost_usd_total", _LAYER, 'model=~"$model"', window=RANGE))
    return (
        figure("Operations", "Operations of the layer ingestion.", "short", operations),
        figure("Failed", "Errors per operation.", "percentunit", ratio(errors, operations), _ERRORS),
        figure("Latency, p95", "Of the operations of the layer.", "ms", slow, ((10_000.0, "red"),)),
        figure("Documents", "Documents parsed.", "short", documents),
        figure("Chunks", "Chunks created.", "short", chunks),
        figure("Cost", "What embeddings and enrichment cost.", "currencyUSD", spent),
    )


def _operations() -> tuple[Panel, ...]:
    latency = (
        Query(quantile(q, "operation", _LATENCY, _LAYER), f"{{{{operation}}}} {n}", exemplars=True)
        for q, n in _QUANTILES
    )
    return (
        over_time(
            About("Operations by outcome", "Operations a second: success, error, cancelled.", "ops", width=8),
            Query(total("status", rate("rag_requests_total", _LAYER)), "{{status}}"),
            stacked=True,
        ),
        over_time(
            About("Errors by type", "Errors in the interval between two points.", "short", width=8),
            Query(total("error_type", increase("rag_errors_total", _LAYER)), "{{error_type}}", exemplars=True),
            stacked=True,
        ),
        over_time(About("Latency", "Of each operation; points are traces.", "ms", width=8), *latency),
    )


def _products() -> tuple[Panel, ...]:
    chunks, documents = (total("", increase(f"rag_{name}_total", window=RANGE)) for name in ("chunks", "documents"))
    return (
        over_time(
            About("Documents and chunks", "In the interval between two points.", "short", width=8),
            Query(total("", increase("rag_documents_total")), "documents"),
            Query(total("", increase("rag_chunks_total")), "chunks"),
        ),
        bars(
            About("Chunks per document", "Over the time range.", "short", width=4),
            Query(f"{chunks} / ({documents} > 0)", "chunks per document"),
        ),
        over_time(
            About("Cost by model", "US dollars in the interval between two points.", "currencyUSD", width=6),
            Query(total("model", increase("rag_cost_usd_total", _LAYER, 'model=~"$model"')), "{{model}}"),
            stacked=True,
        ),
        over_time_sql(
            About("Size of uploads", "Mean and largest upload, from the event file_upload_started.", "bytes", width=6),
            f"""\
SELECT $__timeGroup(timestamp, $__interval) AS time,
       avg((metrics->>'size')::double precision) AS mean,
       max((metrics->>'size')::double precision) AS largest
FROM logs
WHERE {LOGS} AND logger = 'rag.ingestion' AND message = 'file_upload_started' AND metrics ? 'size'
GROUP BY 1 ORDER BY 1
""",
        ),
    )


def _failed_uploads() -> Panel:
    return rows_of_sql(
        About("Failed uploads", "The latest uploads that failed, and why.", "string", height=9),
        f"""\
SELECT timestamp AS time, service_name, error, duration_ms, user_id, replace(trace_id::text, '-', '') AS trace_id
FROM logs
WHERE {LOGS} AND message = 'file_upload_failed'
ORDER BY timestamp DESC LIMIT 20
""",
    )
