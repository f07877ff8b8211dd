"""Events of evaluation: how good an answer was."""

from typing import Literal, get_args

from ganglion.rag._events import spend, tell
from ganglion.rag._instruments import CLAIMS, HALLUCINATED_CLAIMS, QUALITY_TIERS, SCORES, add, record
from ganglion.rag._values import label

__all__ = [
    "QualityTier",
    "claims_checked",
    "evaluation_complete",
    "evaluation_started",
    "quality_tier_assigned",
    "ragas_score_computed",
]

QualityTier = Literal["good", "fair", "poor"]

_TIERS: tuple[str, ...] = get_args(QualityTier)
_LAYER = "evaluation"


def evaluation_started(*, evaluator: str | None = None) -> None:
    """Tell `evaluation_started`; `evaluator` names what judges."""
    tell(_LAYER, "evaluation_started", {"evaluator": evaluator})


def ragas_score_computed(**scores: float) -> None:
    """Tell `ragas_score_computed`: scores from 0 to 1 by name, as in `faithfulness=0.9, relevancy=0.8`.

    Records `rag_ragas_score{metric}`. A score that is NaN, as RAGAS gives where it could not judge, is not recorded.
    """
    for metric, score in scores.items():
        record(SCORES, score, {"metric": label("metric", metric)})
    tell(_LAYER, "ragas_score_computed", scores)


def claims_checked(*, claims: int, hallucinated: int) -> None:
    """Tell `claims_checked`: claims in an answer, and those of them that no source supports.

    Counts `rag_claims_total` and `rag_hallucinated_claims_total`.
    """
    add(CLAIMS, claims, {})
    add(HALLUCINATED_CLAIMS, hallucinated, {})
    tell(_LAYER, "claims_checked", {"claims": claims, "hallucinated": hallucinated})


def quality_tier_assigned(*, tier: QualityTier, score: float | None = None) -> None:
    """Tell `quality_tier_assigned`; counts `rag_quality_tiers_total{tier}`.

    Raises:
        ValueError: there is no such tier.
    """
    if tier not in _TIERS:
        raise ValueError(f"no such tier: {tier!r}; a tier is one of {', '.join(_TIERS)}")
    add(QUALITY_TIERS, 1, {"tier": tier})
    tell(_LAYER, "quality_tier_assigned", {"tier": tier, "score": score})


def evaluation_complete(
    *,
    score: float | None = None,
    duration_ms: float | None = None,
    model: str | None = None,
    cost_usd: float | None = None,
) -> None:
    """Tell `evaluation_complete`; where a cost is given, adds to `rag_cost_usd_total{layer,model}`."""
    spend(_LAYER, cost_usd, model)
    fields = {"score": score, "duration_ms": duration_ms, "model": model, "cost_usd": cost_usd}
    tell(_LAYER, "evaluation_complete", fields)
