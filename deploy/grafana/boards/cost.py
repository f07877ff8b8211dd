"""Cost and tokens: what is spent on which layer, model, user and request."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards import tables
from deploy.grafana.boards.frame import ENVIRONMENT, LAYER, MODEL, SERVICE, assemble
from deploy.grafana.boards.panels import About, Query, bars, figure, over_time, rows_of_sql
from deploy.grafana.boards.promql import RANGE, increase, mean, quantile, rate, total
from deploy.grafana.boards.sql import LOGS

__all__ = ["by_layer", "dashboard", "spent", "tokens"]

_COST = "rag_cost_usd_total"
_TOKENS = "rag_token_usage"
_MODEL = 'model=~"$model"'
_LAYER = 'layer=~"$layer"'


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-cost",
        "cost and tokens",
        "What is spent, on which layer, model, user and request, and the tokens it is spent on.",
        (SERVICE, ENVIRONMENT, LAYER, MODEL),
        (
            ("The time range in figures", (*_figures(), _models())),
            ("Cost", (by_layer(_LAYER, _MODEL), _by_model())),
            ("Tokens", (tokens(_MODEL), _of_a_call(), _calls())),
            ("Who and what", (tables.most_expensive_traces(), _users())),
        ),
    )


def spent(*matchers: str) -> Panel:
    """Return what was spent in the time range."""
    cost = total("", increase(_COST, *matchers, window=RANGE))
    return figure("Cost", "US dollars, from the events that say what they cost.", "currencyUSD", cost)


def by_layer(*matchers: str) -> Panel:
    """Return US dollars an hour by layer."""
    return over_time(
        About("Cost by layer", "US dollars an hour; points are traces.", "currencyUSD"),
        Query(f"{total('layer', rate(_COST, *matchers))} * 3600", "{{layer}}", exemplars=True),
        stacked=True,
    )


def tokens(*matchers: str) -> Panel:
    """Return tokens a second by model."""
    return over_time(
        About("Tokens", "Tokens a second, by model.", "cps"),
        Query(total("model", rate(f"{_TOKENS}_sum", *matchers)), "{{model}}"),
        stacked=True,
    )


def _figures() -> tuple[Panel, ...]:
    cost = total("", increase(_COST, _LAYER, _MODEL, window=RANGE))
    answers = total("", increase("rag_requests_total", 'layer="generation"', 'status="success"', window=RANGE))
    used = total("", increase(f"{_TOKENS}_sum", _MODEL, window=RANGE))
    return (
        spent(_LAYER, _MODEL),
        figure(
            "Cost per answer",
            "Per successful operation of the layer generation.",
            "currencyUSD",
            f"{cost} / ({answers} > 0)",
        ),
        figure("Tokens", "Of language and embedding models.", "short", used),
    )


def _models() -> Panel:
    return bars(
        About("Cost by model", "US dollars over the time range.", "currencyUSD", height=4),
        Query(total("model", increase(_COST, _LAYER, _MODEL, window=RANGE)), "{{model}}"),
    )


def _by_model() -> Panel:
    return over_time(
        About("Cost by model", "US dollars an hour; points are traces.", "currencyUSD"),
        Query(f"{total('model', rate(_COST, _LAYER, _MODEL))} * 3600", "{{model}}", exemplars=True),
        stacked=True,
    )


def _of_a_call() -> Panel:
    return over_time(
        About("Tokens of a call", "Mean and p95 of the tokens of one call; points are traces.", "short", width=6),
        Query(mean("model", _TOKENS, _MODEL), "{{model}} mean"),
        Query(quantile(0.95, "model", _TOKENS, _MODEL), "{{model}} p95", exemplars=True),
    )


def _calls() -> Panel:
    return over_time(
        About("Calls of models", "Calls a second, by model.", "ops", width=6),
        Query(total("model", rate(f"{_TOKENS}_count", _MODEL)), "{{model}}"),
        stacked=True,
    )


def _users() -> Panel:
    return rows_of_sql(
        About("Cost by user", "Users and tenants by what their requests cost.", "string", height=9),
        f"""\
SELECT tenant_id, user_id, sum(cost_usd) AS cost_usd, count(DISTINCT trace_id) AS requests
FROM logs
WHERE {LOGS} AND cost_usd > 0
GROUP BY tenant_id, user_id ORDER BY cost_usd DESC LIMIT 20
""",
    )
