"""How is it going: rate, errors, latency, cost and quality over time, by service and by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ganglion_query.answers.period import Period

__all__ = ["Group", "Overview", "Point", "ScorePoint"]


@dataclass(frozen=True, slots=True)
class Point:
    """What began in one step of time. Latencies in milliseconds, None where nothing was; cost in US dollars."""

    time: datetime
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Group:
    """One service or layer over the whole period.

    A service counts requests (its entry spans: those whose parent is not in it), a layer its operations (spans that
    name it).
    """

    name: str
    requests: int
    errors: int
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cost_usd: float


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """The mean of one RAGAS score in one step of time."""

    time: datetime
    metric: str
    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`points` are one for each `step_seconds` of the period, without gaps; the groups by descending requests."""

    period: Period
    step_seconds: int
    requests: int
    errors: int
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cost_usd: float
    points: Sequence[Point]
    services: Sequence[Group]
    layers: Sequence[Group]
    scores: Sequence[ScorePoint]
