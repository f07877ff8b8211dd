"""Layer evaluation: how well the sources bear an answer out, and how well it meets the question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganglion import rag

from .generation import NOTHING_FOUND
from .store import Chunk, Index
from .text import content_words, sentences
from .timing import ms_since, now

__all__ = ["Evaluation", "evaluate"]

_SUPPORTED = 0.6
"""Which share of a claim's words one source must hold to bear it out."""

Tier = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores from 0 to 1 by name, and the claims that no source bears out."""

    scores: Mapping[str, float]
    tier: Tier
    unsupported: Sequence[str]


def evaluate(question: str, answer: str, sources: Sequence[Chunk], index: Index) -> Evaluation:
    """Judge an answer as RAGAS does (Es et al. 2023), with words in place of a model that judges.

    - faithfulness: the share of the answer's claims that a source bears out
    - answer_relevancy: the share, by weight, of the question's words that the answer takes up
    - context_precision: the mean precision of the ranking at each source that bears a claim out
    """
    with rag.layer("evaluation", operation="evaluate"):
        started = now()
        rag.evaluation_started(evaluator="word-overlap")
        claims = [] if answer == NOTHING_FOUND else sentences(answer)
        unsupported = [claim for claim in claims if not any(_supports(source, claim) for source in sources)]
        rag.claims_checked(claims=len(claims), hallucinated=len(unsupported))
        scores = {
            "faithfulness": 1 - len(unsupported) / len(claims) if claims else 1.0,
            "answer_relevancy": index.covered(content_words(question), content_words(answer)) if claims else 0.0,
            "context_precision": _precision([any(_supports(source, claim) for claim in claims) for source in sources]),
        }
        scores = {name: round(score, 3) for name, score in scores.items()}
        rag.ragas_score_computed(**scores)
        overall = min(scores["faithfulness"], scores["answer_relevancy"])
        tier: Tier = "good" if overall >= 0.7 else "fair" if overall >= 0.4 else "poor"
        rag.quality_tier_assigned(tier=tier, score=overall)
        rag.evaluation_complete(score=overall, duration_ms=ms_since(started))
        return Evaluation(scores, tier, unsupported)


def _supports(source: Chunk, claim: str) -> bool:
    said = set(content_words(claim))
    held = set(content_words(source.indexed_text))
    return len(said & held) >= _SUPPORTED * len(said)


def _precision(useful: Sequence[bool]) -> float:
    at = [sum(useful[: rank + 1]) / (rank + 1) for rank, used in enumerate(useful) if used]
    return sum(at) / len(at) if at else 0.0
