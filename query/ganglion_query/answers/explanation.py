"""Why was this request slow, or why did it fail: against the last day of the same operations, and by its own errors."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ganglion_query.answers.period import Period
from ganglion_query.answers.trace import CriticalStep, critical_steps, trace_in
from ganglion_query.causes import findings as found_as
from ganglion_query.causes.absences import MissingSpan, find_missing
from ganglion_query.causes.failures import Failures, find_failures
from ganglion_query.causes.findings import Finding
from ganglion_query.causes.past import NOTHING_KNOWN, Baseline, Occurrence, Operation, Past, Usual, operation_of
from ganglion_query.causes.repetition import find_repetitions
from ganglion_query.causes.request import Request, requested
from ganglion_query.causes.slowness import SpanComparison, compare_spans, excesses, is_slow, unusual_spans
from ganglion_query.causes.telling_logs import candidates, telling_logs
from ganglion_query.causes.verdict import Outcome, verdict_of
from ganglion_query.fingerprints import template
from ganglion_query.model import LogRow, NotFoundError, Trace, parse_trace_id
from ganglion_query.reader import Reader, Session
from ganglion_query.reader import baselines as read

__all__ = ["Baseline", "Explanation", "Finding", "MissingSpan", "SpanComparison", "explain", "explained"]

_DAY = timedelta(days=1)
_ENOUGH_FOR_RARE = 12


@dataclass(frozen=True, slots=True)
class Explanation:
    """`verdict` says it in one sentence; `findings` give the reasons, the most telling first.

    `duration_ms` is how long the request itself took, which a trace may outlast. Spans are compared with
    those from `baseline_since` up to the start of the request.
    """

    trace_id: str
    outcome: Outcome
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


def explain(reader: Reader, id: str) -> Explanation:  # noqa: A002 (a trace's, or a request's)
    """Explain the trace of that id, or the newest trace of the request of that id.

    Raises:
        NotFoundError: nothing of it is stored.
        ReaderError: the database cannot be asked.
    """
    with reader.session() as session:
        trace = _found(session, id)
        if not trace.spans:
            return _of_logs(trace)
        request = requested(trace, NOTHING_KNOWN)
        request = replace(request, past=_past(session, request))
        return explained(replace(request, past=_with_messages(session, request)))


def explained(request: Request) -> Explanation:
    """Explain what the rows of a trace and what is usual for it say together."""
    failures = find_failures(request)
    compared = compare_spans(request)
    outcome = _outcome(request, failures, compared)
    missing = find_missing(request)
    logs = telling_logs(request.trace.logs, request.past.usual, unusual_spans(compared))
    errors = found_as.failures(failures, request)
    repeated = find_repetitions(request)
    slow = excesses(request, compared, {one.operation for one in repeated})
    reasons = [
        *errors,
        *found_as.slow_spans(slow, request),
        *found_as.repetitions(repeated, request),
        *found_as.waits(request),
        *found_as.absences(missing),
        *found_as.logs(logs, request, failures),
    ]
    ranked = sorted(reasons, key=lambda one: one.weight, reverse=True)
    return Explanation(
        trace_id=request.trace.trace_id,
        outcome=outcome,
        verdict=verdict_of(outcome, request, failures, ranked),
        duration_ms=request.length / 1e6,
        findings=ranked,
        first_error=errors[0] if errors else None,
        spans=compared,
        critical_path=critical_steps(request.path),
        missing=missing,
        logs=logs,
        baseline_since=_day_before(request).since,
        truncated=request.trace.truncated,
    )


def _found(session: Session, text: str) -> Trace:
    with suppress(ValueError):
        trace = trace_in(session, parse_trace_id(text))
        if trace is not None:
            return trace
    for trace_id in read.request_traces(session, text.strip()):
        trace = trace_in(session, trace_id)
        if trace is not None:
            return trace
    raise NotFoundError(f"no trace and no request of the id {text!r}")


def _outcome(request: Request, failures: Failures, compared: Sequence[SpanComparison]) -> Outcome:
    if failures.cause is not None:
        return "failed"
    if is_slow(request, compared):
        return "slow"
    return "unknown" if request.past.of(request.root.span) is None else "normal"


def _day_before(request: Request) -> Period:
    start = min(span.start_time for span in request.trace.spans)
    return Period(start - _DAY, start)


def _past(session: Session, request: Request) -> Past:
    period = _day_before(request)
    rows = read.baselines(session, request.operations, period)
    known = {
        (one.service, one.name): Baseline(one.count, one.error_rate, one.p50_ms, one.p95_ms, one.p99_ms) for one in rows
    }
    traces = read.usual_traces(session, operation_of(request.root.span), period)
    return Past(known, _usual(session, request, traces) if traces else Usual())


def _usual(session: Session, request: Request, traces: Sequence[str]) -> Usual:
    period = _day_before(request)
    p50_ms, p95_ms = read.extents(session, traces, period) if request.outlasts else (0.0, 0.0)
    operations: dict[Operation, Occurrence] = {
        (one.service or "", one.name): Occurrence(one.traces / len(traces), one.times, one.most)
        for one in read.occurrences(session, traces, period)
    }
    return Usual(traces, p50_ms, p95_ms, operations)


def _with_messages(session: Session, request: Request) -> Past:
    """Return the past with what usual requests log, as far as that tells which logs of this one are rare."""
    past = request.past
    logs = candidates(request.trace.logs, unusual_spans(compare_spans(request)))
    loggers, levels = ({getattr(log, name) for log in logs} - {None} for name in ("logger", "level"))
    if not logs or not past.usual.traces:
        return past
    few = past.usual.traces[:_ENOUGH_FOR_RARE]
    said = read.logged(session, few, _day_before(request), read.LogKinds(loggers, levels))
    counts = Counter(message for _, message in {(one.trace_id, template(one.message)) for one in said})
    messages = {message: count / len(few) for message, count in counts.items()}
    return replace(past, usual=replace(past.usual, messages=messages))


def _of_logs(trace: Trace) -> Explanation:
    """Explain a trace of which no span is stored."""
    serious = [log for log in trace.logs if log.level in {"ERROR", "CRITICAL"}]
    first = trace.logs[0].timestamp
    findings = [
        Finding("error", 1.0, f"a log says: {log.error or log.message}", log.logger or "", log.span_id, log.timestamp)
        for log in serious[:10]
    ]
    said = f"Failed: {serious[0].error or serious[0].message}; no span of it is stored." if serious else ""
    return Explanation(
        trace_id=trace.trace_id,
        outcome="failed" if serious else "unknown",
        verdict=said or "Only logs of it are stored, no span.",
        duration_ms=(trace.logs[-1].timestamp - first).total_seconds() * 1000,
        findings=findings,
        first_error=findings[0] if findings else None,
        spans=[],
        critical_path=[],
        missing=[],
        logs=telling_logs(trace.logs, Usual(), ()),
        baseline_since=first - _DAY,
        truncated=trace.truncated,
    )
