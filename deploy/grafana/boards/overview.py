"""The overview: how many requests, how many fail, how long they take, what they cost, how good the answers are."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards import cost, quality, tables
from deploy.grafana.boards.frame import ENVIRONMENT, LAYER, SERVICE, assemble
from deploy.grafana.boards.panels import About, Query, alert_table, figure, over_time
from deploy.grafana.boards.promql import RANGE, current, increase, quantile, rate, ratio, total

__all__ = ["dashboard"]

_CALLS = "traces_span_metrics_calls_total"
_DURATION = "traces_span_metrics_duration_milliseconds"
_ENTRY = 'span_kind=~"SPAN_KIND_(SERVER|CONSUMER)"'
_FAILED = 'status_code="STATUS_CODE_ERROR"'
_LAYER = 'layer=~"$layer"'
_ERRORS = ((0.05, "orange"), (0.25, "red"))
_SLOW = ((2000.0, "red"),)


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-overview",
        "overview",
        "Requests, errors, latency, cost and quality of every service, and the requests behind them.",
        (SERVICE, ENVIRONMENT, LAYER),
        (
            ("The time range in figures", _figures()),
            ("Services (from spans)", _services()),
            ("Layers (from ganglion.rag)", _layers()),
            ("Quality and cost", (quality.scores(), quality.hallucinations(), cost.by_layer(), cost.tokens())),
            ("Alerts", (_alerts(),)),
            ("Requests", (tables.errors(), tables.slowest_requests(), tables.most_expensive_traces())),
        ),
    )


def _figures() -> tuple[Panel, ...]:
    requests = total("", increase(_CALLS, _ENTRY, window=RANGE))
    failed = total("", increase(_CALLS, _ENTRY, _FAILED, window=RANGE))
    errors = total("", increase("rag_errors_total", _LAYER, window=RANGE))
    operations = total("", increase("rag_requests_total", _LAYER, window=RANGE))
    slowest = quantile(0.95, "", _DURATION, _ENTRY, window=RANGE)
    return (
        figure("Requests", "What the services were asked for: server and consumer spans.", "short", requests),
        figure(
            "Failed requests", "Share of these spans with an error.", "percentunit", ratio(failed, requests), _ERRORS
        ),
        figure("Failed operations", "Errors in operations.", "percentunit", ratio(errors, operations), _ERRORS),
        figure("Latency, p95", "Of server and consumer spans.", "ms", slowest, _SLOW),
        cost.spent(),
        quality.hallucinated_share(),
    )


def _services() -> tuple[Panel, ...]:
    by = "service_name"
    failed, calls = (total(by, increase(_CALLS, _ENTRY, *more)) for more in ((_FAILED,), ()))
    return (
        over_time(
            About("Requests", "Server and consumer spans a second, by service.", "reqps", width=8),
            Query(total(by, rate(_CALLS, _ENTRY)), "{{service_name}}"),
        ),
        over_time(
            About("Failed requests", "Share of these spans with an error.", "percentunit", _ERRORS, width=8),
            Query(ratio(failed, calls), "{{service_name}}", exemplars=True),
        ),
        over_time(
            About("Latency", "Of server and consumer spans; points are traces.", "ms", _SLOW, width=8),
            *(
                Query(quantile(q, by, _DURATION, _ENTRY), f"{{{{service_name}}}} {n}", exemplars=True)
                for q, n in _QUANTILES
            ),
        ),
    )


_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def _layers() -> tuple[Panel, ...]:
    errors, operations = (total("layer", increase(name, _LAYER)) for name in ("rag_errors_total", "rag_requests_total"))
    latency = "rag_request_latency_ms"
    return (
        over_time(
            About("Operations", "Operations a second, by layer.", "ops", width=8),
            Query(total("layer", rate("rag_requests_total", _LAYER)), "{{layer}}"),
            stacked=True,
        ),
        over_time(
            About("Failed operations", "Errors per operation, by layer.", "percentunit", _ERRORS, width=8),
            Query(ratio(errors, operations), "{{layer}}", exemplars=True),
        ),
        over_time(
            About("Latency, p95", "Of the operations of a layer; points are traces.", "ms", _SLOW, width=8),
            Query(quantile(0.95, "layer", latency, _LAYER), "{{layer}}", exemplars=True),
        ),
        over_time(
            About("Latency of all layers", "Of all operations chosen; points are traces.", "ms", _SLOW, width=8),
            *(Query(quantile(q, "", latency, _LAYER), n, exemplars=True) for q, n in _QUANTILES),
        ),
        over_time(
            About("Errors", "Errors in the interval between two points, by type.", "short", width=8),
            Query(
                total("error_type, layer", increase("rag_errors_total", _LAYER)),
                "{{layer}} {{error_type}}",
                exemplars=True,
            ),
            stacked=True,
        ),
        over_time(
            About("Under way", "Requests inside their outermost operation, by layer.", "short", width=8),
            Query(total("layer", current("rag_active_queries", _LAYER)), "{{layer}}"),
            stacked=True,
        ),
    )


def _alerts() -> Panel:
    return alert_table(About("Alerts", "Alerts of Prometheus that fire or are pending.", "string", width=24, height=6))
