"""When did quality drop: the RAGAS scores over time, and the moment from which they are worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ganglion_query.answers.overview import ScorePoint
from ganglion_query.answers.period import Period

__all__ = ["Drop", "Quality", "ScoreTrend"]


@dataclass(frozen=True, slots=True)
class Drop:
    """From `at` on the mean is lower; `z` is how many standard errors. `trace_id` is the first poor answer after."""

    at: datetime
    before: float
    after: float
    z: float
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class ScoreTrend:
    """One score over the period; `drop` is its clearest lasting fall, if there is one."""

    metric: str
    count: int
    mean: float
    drop: Drop | None


@dataclass(frozen=True, slots=True)
class Quality:
    """`verdict` names the moment in a sentence; `worst` are traces with the lowest scores."""

    period: Period
    step_seconds: int
    verdict: str
    trends: Sequence[ScoreTrend]
    points: Sequence[ScorePoint]
    worst: Sequence["WorstAnswer"]


@dataclass(frozen=True, slots=True)
class WorstAnswer:
    """An answer of a low score."""

    timestamp: datetime
    trace_id: str | None
    user_id: str | None
    metric: str
    score: float
