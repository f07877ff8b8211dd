"""Why was this request slow, or why did it fail: against the last day of the same operations, and by its own errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.trace import CriticalStep
from ganglion_query.model import LogRow

__all__ = ["Baseline", "Explanation", "Finding", "MissingSpan", "SpanComparison"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the same operation of the same service went in the day before; milliseconds."""

    count: int
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class SpanComparison:
    """One span against its baseline.

    `excess_ms` is how much of its self time is more than the usual; `times_usual` its duration over the baseline's
    median.
    """

    span_id: str
    name: str
    service_name: str | None
    duration_ms: float
    self_time_ms: float
    critical_ms: float
    baseline: Baseline | None
    times_usual: float | None
    excess_ms: float
    unusual: bool


@dataclass(frozen=True, slots=True)
class MissingSpan:
    """A span that is not here: named as a parent or by a log (`span_id`), or there in most traces of this kind."""

    why: Literal["parent", "log", "usual"]
    span_id: str | None
    name: str | None
    service_name: str | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, the most telling first; `title` is a sentence, `weight` from 0 to 1 how much it explains."""

    kind: Literal["error", "slow", "missing", "log", "repeated", "waiting"]
    weight: float
    title: str
    detail: str
    span_id: str | None
    timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`verdict` says it in one sentence."""

    trace_id: str
    outcome: Literal["failed", "slow", "normal", "unknown"]
    verdict: str
    duration_ms: float
    findings: Sequence[Finding]
    first_error: Finding | None
    spans: Sequence[SpanComparison]
    critical_path: Sequence[CriticalStep]
    missing: Sequence[MissingSpan]
    logs: Sequence[LogRow]
    baseline_since: datetime
    truncated: bool
