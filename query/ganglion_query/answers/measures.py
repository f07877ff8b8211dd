"""What is more or less after a moment than before: error rates, latencies, volume."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from ganglion_query.answers.change import Change, Evidence
from ganglion_query.reader.changes import STEPS, OperationRow
from ganglion_query.sentences import amount, duration, share_text
from ganglion_query.significance import CERTAIN, Sample, counts_apart, dispersion, log_ratio, means_apart, shares_apart

__all__ = ["measures"]

_LEAST_SLOWER = math.log(1.2)
_LEAST_TIMED = 5
_LEAST_VOLUME = math.log(1.2)


def measures(evidence: Evidence, concerned: Collection[str]) -> Iterator[Change]:
    """Yield what changed, in no order; the volume of services in `concerned`, which began or ended, is no news."""
    for row in evidence.operations:
        # Below an entry it is told as an error, where that arose.
        if row.is_entry:
            yield from _rate(row)
        yield from _latency(row)
    yield from _volumes(evidence, concerned)


def _rate(row: OperationRow) -> Iterator[Change]:
    z = shares_apart(row.failed_before, row.before, row.failed_after, row.after)
    if abs(z) < CERTAIN:
        return
    before, after = row.failed_before / row.before, row.failed_after / row.after
    subject = _subject(row)
    effect = abs(math.log((row.failed_after + 0.5) / (row.after + 1) / ((row.failed_before + 0.5) / (row.before + 1))))
    yield Change(
        kind="error_rate",
        subject=subject,
        summary=f"{subject} fails in {share_text(after)} of {row.after:,}, before in {share_text(before)}",
        unit="share",
        before=before,
        after=after,
        effect=effect,
        z=z,
        first_seen=row.first_failed if not row.failed_before else None,
        trace_id=_plain(row.failed_trace or row.slow_trace or row.trace_before),
    )


def _latency(row: OperationRow) -> Iterator[Change]:
    if min(row.timed_before, row.timed_after) < _LEAST_TIMED or not row.p50_before or not row.p50_after:
        return
    before = Sample(row.timed_before, row.mean_before, row.variance_before)
    after = Sample(row.timed_after, row.mean_after, row.variance_after)
    z, ratio = means_apart(before, after), math.log(row.p50_after / row.p50_before)
    if abs(z) < CERTAIN or abs(ratio) < _LEAST_SLOWER or z * ratio < 0:
        return
    subject = _subject(row)
    faster = "slower" if ratio > 0 else "faster"
    yield Change(
        kind="latency",
        subject=subject,
        summary=f"{subject} is {faster}: {duration(row.p50_after)} (median), before {duration(row.p50_before)}",
        unit="ms",
        before=row.p50_before,
        after=row.p50_after,
        effect=abs(ratio),
        z=z if math.isfinite(z) else math.copysign(99.0, z),
        first_seen=None,
        trace_id=_plain(row.slow_trace or row.trace_before),
    )


def _volumes(evidence: Evidence, concerned: Collection[str]) -> Iterator[Change]:
    """Yield services first; of their operations those whose share of the service's entries has changed."""
    series = _series(evidence)
    by_service: defaultdict[str, list[OperationRow]] = defaultdict(list)
    for row in evidence.operations:
        if row.is_entry and row.service not in concerned:
            by_service[row.service].append(row)
    for service, rows in by_service.items():
        whole = [sum(counts) for counts in zip(*(series[_key(row)] for row in rows), strict=True)]
        before, after = sum(row.before for row in rows), sum(row.after for row in rows)
        yield from _volume(f"{service}", (before, after), whole, rows[0])
        if len(rows) > 1:
            for row in rows:
                if abs(shares_apart(row.before, before, row.after, after)) >= CERTAIN:
                    yield from _volume(_subject(row), (row.before, row.after), series[_key(row)], row)


def _volume(subject: str, counts: tuple[int, int], series: Sequence[int], row: OperationRow) -> Iterator[Change]:
    before, after = counts
    half = STEPS // 2
    z = counts_apart(before, after, dispersion(series[:half], series[half:]))
    effect = log_ratio(before, after)
    if abs(z) < CERTAIN or effect < _LEAST_VOLUME:
        return
    yield Change(
        kind="volume",
        subject=subject,
        summary=f"{subject}: {amount(after, 'request')}, before {before:,}",
        unit="count",
        before=before,
        after=after,
        effect=effect,
        z=z,
        first_seen=row.first_after if before == 0 else None,
        trace_id=_plain(row.slow_trace or row.trace_before),
    )


def _series(evidence: Evidence) -> Mapping[tuple[str, str], list[int]]:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * STEPS)
    for row in evidence.steps:
        found[row.service, row.operation][row.step] = row.count
    return found


def _key(row: OperationRow) -> tuple[str, str]:
    return row.service, row.operation


def _subject(row: OperationRow) -> str:
    return f"{row.operation} of {row.service}" if row.service else row.operation


def _plain(trace_id: str | None) -> str | None:
    return trace_id.replace("-", "") if trace_id else None
