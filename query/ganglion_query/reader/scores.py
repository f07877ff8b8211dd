"""RAGAS scores, as `ragas_score_computed` tells them: over time, one by one, and the lowest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from ganglion_query.reader.session import Session

__all__ = ["ScoreBucket", "ScoreRow", "TraceScore", "Wanted", "buckets", "lowest", "scores", "trace_scores"]

_FROM: LiteralString = """FROM logs l CROSS JOIN LATERAL jsonb_each(l.metrics) m
WHERE l.message = 'ragas_score_computed' AND l.timestamp >= %(since)s AND l.timestamp < %(until)s
    AND (%(service)s::text IS NULL OR l.service_name = %(service)s)
    AND jsonb_typeof(l.metrics) = 'object' AND jsonb_typeof(m.value) = 'number'
    AND m.key NOT IN ('duration_ms', 'cost_usd')"""

_BUCKETS: LiteralString = f"""SELECT b.metric, b.step, count(*) AS count, sum(b.score) AS total,
    sum(b.score * b.score) AS squares
FROM (SELECT m.key AS metric, m.value::float8 AS score,
    div(extract(epoch FROM l.timestamp - %(since)s) * 1000000, %(microseconds)s)::int AS step {_FROM}) b
GROUP BY b.metric, b.step ORDER BY b.metric, b.step LIMIT %(limit)s"""  # noqa: S608

_SCORES: LiteralString = f"""SELECT l.timestamp, replace(l.trace_id::text, '-', '') AS trace_id, l.user_id,
    m.key AS metric, m.value::float8 AS score {_FROM} AND m.key = %(metric)s
ORDER BY l.timestamp LIMIT %(limit)s"""

_LOWEST: LiteralString = f"""SELECT l.timestamp, replace(l.trace_id::text, '-', '') AS trace_id, l.user_id,
    m.key AS metric, m.value::float8 AS score {_FROM}
ORDER BY m.value::float8, l.timestamp DESC LIMIT %(limit)s"""

_TRACES: LiteralString = f"""SELECT replace(l.trace_id::text, '-', '') AS trace_id, m.key AS metric,
    avg(m.value::float8) AS score {_FROM} AND l.trace_id IS NOT NULL GROUP BY 1, 2 LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which scores: of a period, of one service where it is given; at most `limit` rows."""

    since: datetime
    until: datetime
    service: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class ScoreBucket:
    """One score in one step of time, counted from the beginning of the period."""

    metric: str
    step: int
    count: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score."""

    timestamp: datetime
    trace_id: str | None
    user_id: str | None
    metric: str
    score: float


@dataclass(frozen=True, slots=True)
class TraceScore:
    """The mean of one score in one trace."""

    trace_id: str
    metric: str
    score: float


def buckets(session: Session, wanted: Wanted, step: timedelta) -> list[ScoreBucket]:
    microseconds = step // timedelta(microseconds=1)
    return session.rows(ScoreBucket, _BUCKETS, {**_arguments(wanted), "microseconds": microseconds})


def scores(session: Session, wanted: Wanted, metric: str) -> list[ScoreRow]:
    """Return the scores of one name, the earliest first."""
    return session.rows(ScoreRow, _SCORES, {**_arguments(wanted), "metric": metric})


def lowest(session: Session, wanted: Wanted) -> list[ScoreRow]:
    return session.rows(ScoreRow, _LOWEST, _arguments(wanted))


def trace_scores(session: Session, wanted: Wanted) -> list[TraceScore]:
    return session.rows(TraceScore, _TRACES, _arguments(wanted))


def _arguments(wanted: Wanted) -> Mapping[str, object]:
    return {"since": wanted.since, "until": wanted.until, "service": wanted.service, "limit": wanted.limit}
