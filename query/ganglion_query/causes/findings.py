"""Causes as findings: each a sentence with its figures, and a weight of how much it explains. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.causes.absences import MissingSpan
from ganglion_query.causes.error_text import brief_error
from ganglion_query.causes.failures import Failure, Failures, is_told
from ganglion_query.causes.past import Baseline
from ganglion_query.causes.repetition import Repetition
from ganglion_query.causes.request import Request, label
from ganglion_query.causes.slowness import Excess
from ganglion_query.causes.telling_logs import is_rare
from ganglion_query.critical_path import gaps, idle
from ganglion_query.fingerprints import template
from ganglion_query.model import LogRow
from ganglion_query.sentences import factor_text, share_text
from ganglion_query.text import duration
from ganglion_query.time_axis import Bar

__all__ = ["Finding", "absences", "failures", "logs", "repetitions", "share", "slow_spans", "times", "waits"]

_MS = 1e6
_LEAST_SHARE = 0.05
_LEAST_GAP_MS = 1.0
_MAIN_SHARE = 0.3
_UNWAITED = 0.3
_MOST_EACH = 10
_LONGEST_ERROR = 300
_LOG_WEIGHTS = {"CRITICAL": 0.45, "ERROR": 0.45, "WARNING": 0.3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, the most telling first; `title` is a sentence, `weight` from 0 to 1 how much it explains."""

    kind: Literal["error", "slow", "missing", "log", "repeated", "waiting"]
    weight: float
    title: str
    detail: str
    span_id: str | None
    timestamp: datetime | None


def failures(found: Failures, request: Request) -> list[Finding]:
    """Return the cause first, where there is one."""
    cause = [] if found.cause is None else [_failure(found.cause, request, 1.0)]
    return cause + [_failure(one, request, 0.5) for one in found.handled[:_MOST_EACH]]


def _failure(failure: Failure, request: Request, weight: float) -> Finding:
    name = "a log" if failure.bar is None else label(failure.bar, request)
    said = brief_error(failure.error)
    title = f"{name} failed: {said}" if said else f"{name} failed and does not say why"
    if failure.bar is None:
        title = f"an error outside the spans that are here: {said}"
    return Finding("error", weight, title, _failure_detail(failure, request), *_where(failure))


def _failure_detail(failure: Failure, request: Request) -> str:
    after = (failure.timestamp - request.axis.origin).total_seconds() * 1000
    said = f"{duration(max(0.0, after))} after the request began"
    baseline = None if failure.bar is None else request.past.of(failure.bar.span)
    if baseline is None:
        return said
    return f"{said}; {share(baseline.error_rate)} of {baseline.count:,} failed the day before"


def _where(failure: Failure) -> tuple[str | None, datetime]:
    span_id = failure.bar.span.span_id if failure.bar else failure.log.span_id if failure.log else None
    return span_id, failure.timestamp


def slow_spans(found: Sequence[Excess], request: Request) -> list[Finding]:
    """Return the operations that took a good part of the request longer than usual."""
    length = max(request.length / _MS, 1e-6)
    telling = [one for one in found if one.ms >= max(1.0, _LEAST_SHARE * length)]
    return [_slow(one, request, _weight(one, length)) for one in telling[:_MOST_EACH]]


def _weight(excess: Excess, length: float) -> float:
    return max(min(1.0, excess.waited_ms / length), _UNWAITED * min(1.0, excess.ms / length))


def _slow(excess: Excess, request: Request, weight: float) -> Finding:
    worst = excess.bars[0]
    title = _took(excess, request) + _hole(worst, request)
    own = f"{duration(excess.ms)} more than usual by itself, not by spans below it"
    return Finding("slow", weight, title, own, worst.span.span_id, request.at(worst.start))


def _took(excess: Excess, request: Request) -> str:
    worst, whole = excess.bars[0], duration(request.length / _MS)
    if len(excess.bars) > 1:
        together = sum(bar.length for bar in excess.bars) / _MS
        said = f"{len(excess.bars)} calls of {label(worst, request)} took {duration(together)} together, of {whole}"
        return said + (f"; usually {duration(excess.baseline.p50_ms)} each" if excess.baseline else "")
    said = f"{label(worst, request)} took {duration(worst.length / _MS)}"
    said += f" of {whole}" if worst is not request.root and worst.length <= request.length else ""
    return f"{said}, {_against(worst.length / _MS, excess.baseline)}"


def _hole(bar: Bar, request: Request) -> str:
    """Return where most of the time passed in which nothing below a span ran."""
    if not bar.children:
        return ""
    start, end = max(idle(bar), key=lambda one: one[1] - one[0], default=(bar.start, bar.start))
    if end - start < bar.length * _MAIN_SHARE:
        return ""
    before = [child for child in bar.children if child.end <= start]
    after = [child for child in bar.children if child.start >= end]
    since = f"after {label(max(before, key=lambda one: one.end), request)}" if before else "at its beginning"
    till = f" and before {label(min(after, key=lambda one: one.start), request)}" if after and before else ""
    return f"; for {duration((end - start) / _MS)} of it, {since}{till}, nothing below it ran"


def _against(ms: float, baseline: Baseline | None) -> str:
    if baseline is None:
        return "an operation that was not there the day before"
    usual = f"its usual {duration(baseline.p50_ms)} (p99 {duration(baseline.p99_ms)})"
    if baseline.p50_ms <= 0:
        return f"instead of {usual}"
    return f"{times(ms / baseline.p50_ms)} {usual}"


def times(factor: float) -> str:
    return f"{factor_text(factor)} times"


def share(rate: float) -> str:
    return "none" if rate <= 0 else share_text(rate) if rate < 0.995 else "all"


def repetitions(found: Sequence[Repetition], request: Request) -> list[Finding]:
    length = max(request.length / _MS, 1e-6)
    return [_repeated(one, request, min(1.0, one.extra_ms / length)) for one in found[:_MOST_EACH]]


def _repeated(one: Repetition, request: Request, weight: float) -> Finding:
    usually = "" if one.usually is None else f", usually {_number(one.usually)}"
    title = (
        f"{label(one.bars[0], request)} ran {len(one.bars):,} times under {label(one.parent, request)}{usually}: "
        f"{duration(one.ms)} of {duration(request.length / _MS)}"
    )
    each = f"{duration(sum(bar.length for bar in one.bars) / len(one.bars) / _MS)} each on average"
    return Finding("repeated", weight, title, each, one.parent.span.span_id, request.at(one.bars[0].start))


def _number(times_: float) -> str:
    if times_ <= 0:
        return "not at all"
    return "once" if times_ == 1 else f"{times_:g} times"


def waits(request: Request) -> list[Finding]:
    """Return the stretches in which nothing ran."""
    length = request.axis.length
    telling = [(end - start, start, end) for start, end in gaps(request.axis)]
    telling = [one for one in telling if one[0] >= max(_LEAST_GAP_MS * _MS, _LEAST_SHARE * length)]
    return [_waited(start, end, request) for _, start, end in sorted(telling, reverse=True)[:_MOST_EACH]]


def _waited(start: int, end: int, request: Request) -> Finding:
    before = max((bar for bar in request.axis.bars if bar.end <= start), key=lambda bar: bar.end)
    after = min((bar for bar in request.axis.bars if bar.start >= end), key=lambda bar: bar.start)
    title = (
        f"nothing ran for {duration((end - start) / _MS)} of {duration(request.axis.length / _MS)}: "
        f"from the end of {label(before, request)} to the start of {label(after, request)}"
    )
    detail = "a queue, a timer, or spans that did not arrive"
    return Finding("waiting", (end - start) / request.axis.length, title, detail, after.span.span_id, request.at(start))


def absences(found: Sequence[MissingSpan]) -> Iterator[Finding]:
    for one in found[:_MOST_EACH]:
        yield Finding("missing", _missing_weight(one), _missing_title(one), _missing_detail(one), one.span_id, None)


def _missing_weight(one: MissingSpan) -> float:
    return {"parent": 0.4, "log": 0.3, "caller": 0.1}.get(one.why) or 0.35 * (one.share or 0)


def _missing_title(one: MissingSpan) -> str:
    service = f" ({one.service_name})" if one.service_name else ""
    if one.why == "usual":
        return f"{one.name}{service} is missing: {share(one.share or 0)} of such requests have it"
    who = "a log" if one.why == "log" else "a span"
    return f"span {one.span_id} is missing: {who} of {one.service_name or 'a service without name'} names it"


def _missing_detail(one: MissingSpan) -> str:
    if one.why == "usual":
        return "it was not reached, or was left out"
    if one.why == "caller":
        return "who called sent its trace id, but no span"
    return "not sent (the process may have ended first), not yet here, or not sampled"


def logs(found: Sequence[LogRow], request: Request, told: Failures) -> Iterator[Finding]:
    """Return logs that no failure tells, those that only differ in numbers and ids together."""
    groups: dict[tuple[str, str], list[LogRow]] = {}
    for log in found:
        if not is_told(log, told):
            groups.setdefault((log.level or "", template(log.message or "")), []).append(log)
    ranked = sorted(groups.values(), key=lambda alike: _LOG_WEIGHTS.get(alike[0].level or "", 0.2), reverse=True)
    for alike in ranked[:_MOST_EACH]:
        yield _logged(alike, request)


def _logged(alike: Sequence[LogRow], request: Request) -> Finding:
    log = alike[0]
    said = " ".join((log.message or "").split())[:_LONGEST_ERROR]
    title = f"{(log.level or 'log').lower()} {said}"
    title += f" ({len(alike)} times)" if len(alike) > 1 else ""
    title += ", which such requests hardly ever log" if is_rare(log, request.past.usual) else ""
    weight = _LOG_WEIGHTS.get(log.level or "", 0.2)
    return Finding("log", weight, title, log.error or log.logger or "", log.span_id, log.timestamp)
