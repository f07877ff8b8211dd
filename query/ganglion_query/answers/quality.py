"""When did quality drop: the RAGAS scores over time, and the moment from which they are worse."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ganglion_query.answers.overview import ScorePoint
from ganglion_query.answers.period import Period
from ganglion_query.change_point import Weighed, clearest_fall
from ganglion_query.reader import Reader, Session
from ganglion_query.reader import scores as rows
from ganglion_query.reader.scores import ScoreBucket, ScoreRow
from ganglion_query.sentences import amount, at_time, score_text

__all__ = ["Drop", "Quality", "ScoreTrend", "WorstAnswer", "quality"]

_BUCKETS = 2000
_MOST_METRICS = 50
_MOST_SINGLE = 5000
_MOST_READ = 50_000
_POINTS = 100
_STEPS = (10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
_WORST = 10
_LEAST_FALL = 0.02


@dataclass(frozen=True, slots=True)
class Drop:
    """From `at` on the mean is lower; `z` is how many standard errors. `trace_id` is the first poor answer after.

    `until` is when it recovered, None where it has not.
    """

    at: datetime
    before: float
    after: float
    z: float
    trace_id: str | None
    until: datetime | None = None


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


def quality(reader: Reader, period: Period, service: str | None = None) -> Quality:
    """Return the scores of a period, of one service if it is given, and when they fell.

    Raises:
        ReaderError: the database cannot be asked.
    """
    wanted = rows.Wanted(period.since, period.until, service, _BUCKETS * _MOST_METRICS)
    with reader.session() as session:
        series = _by_metric(rows.buckets(session, wanted, _bucket(period)))
        trends = [
            _Series(metric, buckets, wanted, _bucket(period)).trend(session) for metric, buckets in series.items()
        ]
        worst = rows.lowest(session, rows.Wanted(period.since, period.until, service, _WORST))
    step = next((step for step in _STEPS if period.length.total_seconds() / step <= _POINTS), _STEPS[-1])
    return Quality(
        period=period,
        step_seconds=step,
        verdict=_verdict(trends),
        trends=trends,
        points=_points(series, period, step),
        worst=[WorstAnswer(row.timestamp, row.trace_id, row.user_id, row.metric, row.score) for row in worst],
    )


def _by_metric(buckets: Sequence[ScoreBucket]) -> Mapping[str, list[ScoreBucket]]:
    series: defaultdict[str, list[ScoreBucket]] = defaultdict(list)
    for bucket in buckets:
        series[bucket.metric].append(bucket)
    return series


@dataclass(frozen=True, slots=True)
class _Series:
    """One score in buckets of `step`; where it fell is then looked for among the single scores around."""

    metric: str
    buckets: Sequence[ScoreBucket]
    wanted: rows.Wanted
    step: timedelta

    def trend(self, session: Session) -> ScoreTrend:
        count = sum(bucket.count for bucket in self.buckets)
        mean = sum(bucket.total for bucket in self.buckets) / count
        return ScoreTrend(self.metric, count, mean, self._drop(session))

    def _drop(self, session: Session) -> Drop | None:
        around = self._around()
        if around is None:
            return None
        first, last = around
        single = self._single(session, first, last)
        before = [_weighed(bucket) for bucket in self.buckets[:first]]
        after = [_weighed(bucket) for bucket in self.buckets[last:]]
        fall = clearest_fall([*before, *(Weighed(1, row.score, row.score**2) for row in single), *after])
        if fall is None or fall.before - fall.after < _LEAST_FALL:
            return None
        times = [*(self._beginning(bucket.step) for bucket in self.buckets[:first])]
        times += [row.timestamp for row in single]
        times += [self._beginning(bucket.step) for bucket in self.buckets[last:]]
        poor = (row for row in single[max(0, fall.start - first) :] if row.score <= (fall.before + fall.after) / 2)
        return Drop(
            at=times[fall.start],
            before=fall.before,
            after=fall.after,
            z=fall.z,
            trace_id=next((row.trace_id for row in poor), None),
            until=times[fall.end] if fall.end < len(times) else None,
        )

    def _around(self) -> tuple[int, int] | None:
        """Return the first bucket to be read singly and the one after the last, None if nothing fell."""
        if sum(bucket.count for bucket in self.buckets) <= _MOST_SINGLE:
            return 0, len(self.buckets)
        fall = clearest_fall([_weighed(bucket) for bucket in self.buckets])
        # A bucket may hold the change, so that single scores on both sides of its edge decide.
        return None if fall is None else (max(0, fall.start - 1), min(len(self.buckets), fall.start + 2))

    def _single(self, session: Session, first: int, last: int) -> Sequence[ScoreRow]:
        chosen = self.buckets[first:last]
        since = self._beginning(chosen[0].step)
        until = min(self.wanted.until, self._beginning(chosen[-1].step + 1))
        single = rows.Wanted(since, until, self.wanted.service, _MOST_READ)
        return rows.scores(session, single, self.metric)

    def _beginning(self, step: int) -> datetime:
        return self.wanted.since + step * self.step


def _bucket(period: Period) -> timedelta:
    return period.length // _BUCKETS + timedelta(microseconds=1)


def _weighed(bucket: ScoreBucket) -> Weighed:
    return Weighed(bucket.count, bucket.total, bucket.squares)


def _points(series: Mapping[str, Sequence[ScoreBucket]], period: Period, step: int) -> list[ScorePoint]:
    """Return the means in steps of time; a bucket belongs to the step that it begins in."""
    points: list[ScorePoint] = []
    for metric, buckets in series.items():
        sums: defaultdict[int, list[ScoreBucket]] = defaultdict(list)
        for bucket in buckets:
            sums[bucket.step * _bucket(period) // timedelta(seconds=step)].append(bucket)
        for number, some in sums.items():
            count = sum(bucket.count for bucket in some)
            mean = sum(bucket.total for bucket in some) / count
            points.append(ScorePoint(period.since + timedelta(seconds=number * step), metric, mean, count))
    return points


def _verdict(trends: Sequence[ScoreTrend]) -> str:
    if not trends:
        return "no scores: nothing told ragas_score_computed in this time"
    fallen = sorted((trend for trend in trends if trend.drop), key=lambda trend: -trend.drop.z if trend.drop else 0)
    if not fallen:
        means = ", ".join(f"{trend.metric} {score_text(trend.mean)}" for trend in trends)
        return f"no score fell; on average of {amount(max(trend.count for trend in trends), 'answer')}: {means}"
    return "; ".join(_fell(trend.metric, trend.drop) for trend in fallen if trend.drop)


def _fell(metric: str, drop: Drop) -> str:
    recovered = f", until {at_time(drop.until)}" if drop.until else ""
    change = f"{metric} fell from {score_text(drop.before)} to {score_text(drop.after)}"
    return f"{change} at {at_time(drop.at)}{recovered} (z = {drop.z:.1f})"
