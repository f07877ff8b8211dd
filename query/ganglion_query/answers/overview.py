"""How is it going: rate, errors, latency, cost and quality over time, by service and by layer."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ganglion_query.answers.calls import Call, find_calls
from ganglion_query.answers.period import Period
from ganglion_query.answers.steps import begin_of, begins, step_of
from ganglion_query.reader import Reader
from ganglion_query.reader.overview import FlowRow, flows
from ganglion_query.reader.scores import ScoreBucket, Wanted, buckets

__all__ = ["Group", "Overview", "Point", "ScorePoint", "overview"]

_MOST_SCORES = 10_000
_MOST_CALLS = 100_000
_MOST_GROUPS = 100


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

    A service counts its entries (spans of kind SERVER or CONSUMER, and roots), a layer its operations (spans that name
    it).
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
    """`points` are one for each `step_seconds` of the period, without gaps; the groups by descending requests.

    Steps begin at round times, whatever the period is: the first and the last may lie in it in part. They count
    requests: roots, which are spans without a parent, or a server's whose caller sends no spans. Of one service its
    entries, of one layer its operations.
    """

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


def overview(reader: Reader, period: Period, service: str | None = None, layer: str | None = None) -> Overview:
    """Return how a period went, of one service or layer if it is given.

    Raises:
        ConfigError: the file that GANGLION_PRICES names is wrong.
    """
    step = step_of(period)
    with reader.session() as session:
        rows = flows(session, period.since, period.until, step, service, layer)
        steps = Period(begin_of(period.since, step), period.until)
        wanted = Wanted(steps.since, steps.until, service, _MOST_SCORES)
        scores = buckets(session, wanted, step)
        calls = find_calls(session, period, None, _MOST_CALLS)
        spent = _Spent.of(calls, step, service, layer)
    whole = next(row for row in rows if row.kind == "all")
    p50, p95, p99 = _quantiles(whole)
    return Overview(
        period=period,
        step_seconds=round(step.total_seconds()),
        requests=whole.requests,
        errors=whole.errors,
        error_rate=_share(whole),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        cost_usd=math.fsum(spent.by_time.values()),
        points=_points([row for row in rows if row.kind == "time"], steps, step, spent.by_time),
        services=_groups(rows, "service", spent.by_service),
        layers=_groups(rows, "layer", spent.by_layer),
        scores=[_score(bucket, steps, step) for bucket in scores],
    )


@dataclass(frozen=True, slots=True)
class _Spent:
    """US dollars of what is asked about by step of time, and of everything by service and layer."""

    by_time: Mapping[datetime, float]
    by_service: Mapping[str, float]
    by_layer: Mapping[str, float]

    @classmethod
    def of(cls, calls: Iterable[Call], step: timedelta, service: str | None, layer: str | None) -> "_Spent":
        by_time: defaultdict[datetime, float] = defaultdict(float)
        by_service: defaultdict[str, float] = defaultdict(float)
        by_layer: defaultdict[str, float] = defaultdict(float)
        for call in calls:
            if service not in (None, call.service):
                continue
            by_service[call.service or ""] += call.usd or 0
            by_layer[call.layer or ""] += call.usd or 0
            if layer in (None, call.layer):
                by_time[begin_of(call.time, step)] += call.usd or 0
        return cls(by_time, by_service, by_layer)


def _points(
    rows: Sequence[FlowRow], period: Period, step: timedelta, spent: Mapping[datetime, float]
) -> Sequence[Point]:
    by_time = {row.time: row for row in rows}
    return [_point(time, by_time.get(time), spent.get(time, 0.0)) for time in begins(period, step)]


def _point(time: datetime, row: FlowRow | None, usd: float) -> Point:
    if row is None:
        return Point(time, 0, 0, None, None, None, usd)
    return Point(time, row.requests, row.errors, *_quantiles(row), usd)


def _groups(rows: Sequence[FlowRow], kind: str, spent: Mapping[str, float]) -> Sequence[Group]:
    chosen = sorted((row for row in rows if row.kind == kind), key=lambda row: (-row.requests, row.name or ""))
    return [
        Group(row.name or "", row.requests, row.errors, _share(row), *_quantiles(row), spent.get(row.name or "", 0.0))
        for row in chosen[:_MOST_GROUPS]
    ]


def _quantiles(row: FlowRow) -> tuple[float | None, float | None, float | None]:
    p50, p95, p99 = row.quantiles or (None, None, None)
    return p50, p95, p99


def _share(row: FlowRow) -> float:
    return row.errors / row.requests if row.requests else 0.0


def _score(bucket: ScoreBucket, period: Period, step: timedelta) -> ScorePoint:
    return ScorePoint(period.since + bucket.step * step, bucket.metric, bucket.total / bucket.count, bucket.count)
