"""Quality: RAGAS scores, hallucinated claims, tiers, and the answers that were worst."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards.frame import ENVIRONMENT, SERVICE, assemble
from deploy.grafana.boards.panels import About, Query, bars, figure, over_time, rows_of_sql
from deploy.grafana.boards.promql import INTERVAL, RANGE, increase, mean, quantile, rate, ratio, total
from deploy.grafana.boards.sql import LOGS

__all__ = ["dashboard", "hallucinated_share", "hallucinations", "scores"]

_HALLUCINATING = ((0.05, "orange"), (0.1, "red"))
_SCORE = "rag_ragas_score"


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-quality",
        "quality",
        "How good the answers are: RAGAS scores, claims without a source, tiers, and the worst answers.",
        (SERVICE, ENVIRONMENT),
        (
            ("The time range in figures", (*_figures(), _means())),
            ("Trend", (scores(), _low_scores(), hallucinations(), _claims(), _tiers(), _evaluations())),
            ("Answers", (_worst_answers(), _hallucinated_answers())),
        ),
    )


def scores() -> Panel:
    """Return the trend of the mean scores."""
    return over_time(
        About("RAGAS", "Mean of each score, 0 to 1.", "percentunit"),
        Query(mean("metric", _SCORE), "{{metric}}"),
        most=1,
    )


def hallucinations() -> Panel:
    """Return the trend of the share of hallucinated claims."""
    about = About(
        "Hallucinated claims", "Share of the claims checked that no source bears out.", "percentunit", _HALLUCINATING
    )
    return over_time(about, Query(_share(), "hallucinated", exemplars=True))


def hallucinated_share() -> Panel:
    """Return the share of hallucinated claims in the time range."""
    return figure("Hallucinated claims", "Share of the claims checked.", "percentunit", _share(RANGE), _HALLUCINATING)


def _share(window: str = INTERVAL) -> str:
    wrong, claims = (
        total("", increase(f"rag_{name}_total", window=window)) for name in ("hallucinated_claims", "claims")
    )
    return ratio(wrong, claims)


def _figures() -> tuple[Panel, ...]:
    claims = total("", increase("rag_claims_total", window=RANGE))
    tiers, poor = (
        total("", increase("rag_quality_tiers_total", *more, window=RANGE)) for more in ((), ('tier="poor"',))
    )
    poor_steps = ((0.1, "orange"), (0.3, "red"))
    return (
        hallucinated_share(),
        figure("Claims checked", "Claims of answers.", "short", claims),
        figure("Poor answers", "Share of the answers in the tier poor.", "percentunit", ratio(poor, tiers), poor_steps),
    )


def _means() -> Panel:
    return bars(
        About("Mean scores", "Mean of each RAGAS score over the time range.", "percentunit", height=4),
        Query(mean("metric", _SCORE, window=RANGE), "{{metric}}"),
    )


def _low_scores() -> Panel:
    return over_time(
        About("RAGAS, the worst tenth", "A tenth of the answers scored lower; points are traces.", "percentunit"),
        Query(quantile(0.1, "metric", _SCORE), "{{metric}} p10", exemplars=True),
        most=1,
    )


def _claims() -> Panel:
    return over_time(
        About("Claims", "In the interval between two points.", "short", width=8),
        Query(total("", increase("rag_claims_total")), "checked"),
        Query(total("", increase("rag_hallucinated_claims_total")), "hallucinated", exemplars=True),
    )


def _tiers() -> Panel:
    return over_time(
        About("Tiers", "Answers in the interval between two points, by tier.", "short", width=8),
        Query(total("tier", increase("rag_quality_tiers_total")), "{{tier}}"),
        stacked=True,
    )


def _evaluations() -> Panel:
    return over_time(
        About("Evaluations", "Operations of the layer evaluation a second, by outcome.", "ops", width=8),
        Query(total("status", rate("rag_requests_total", 'layer="evaluation"')), "{{status}}"),
        stacked=True,
    )


def _worst_answers() -> Panel:
    return rows_of_sql(
        About("Worst answers", "Answers with the lowest faithfulness, with their other scores.", "string", height=10),
        f"""\
SELECT timestamp AS time, service_name, (metrics->>'faithfulness')::double precision AS faithfulness,
       metrics - 'faithfulness' AS others, user_id, replace(trace_id::text, '-', '') AS trace_id
FROM logs
WHERE {LOGS} AND message = 'ragas_score_computed' AND metrics ? 'faithfulness'
ORDER BY 3, timestamp DESC LIMIT 20
""",
    )


def _hallucinated_answers() -> Panel:
    return rows_of_sql(
        About(
            "Answers with hallucinated claims",
            "The latest answers that said what no source bears out.",
            "string",
            height=10,
        ),
        f"""\
SELECT timestamp AS time, service_name, (metrics->>'hallucinated')::double precision AS hallucinated,
       (metrics->>'claims')::double precision AS claims, user_id, replace(trace_id::text, '-', '') AS trace_id
FROM logs
WHERE {LOGS} AND message = 'claims_checked' AND (metrics->>'hallucinated')::double precision > 0
ORDER BY timestamp DESC LIMIT 20
""",
    )
