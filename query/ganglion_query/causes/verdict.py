"""What came out, and why, in one sentence. Pure."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from ganglion_query.causes.error_text import brief_error
from ganglion_query.causes.failures import Failure, Failures
from ganglion_query.causes.findings import Finding, share, times
from ganglion_query.causes.past import operation_of
from ganglion_query.causes.request import Request, label
from ganglion_query.text import duration

__all__ = ["Outcome", "verdict_of"]

Outcome: TypeAlias = Literal["failed", "slow", "normal", "unknown"]

_MS = 1e6
_TELLING = 0.2
_KINDS = (
    (
        re.compile(
            r"refused|unreachable|unavailable|cannot connect|connection (?:reset|closed|error)|name or service", re.I
        ),
        "could not reach what it needs",
    ),
    (re.compile(r"time[d ]?\s?out|deadline", re.I), "waited too long"),
    (re.compile(r"rate.?limit|too many requests|\b429\b|quota", re.I), "was refused for asking too much"),
    (re.compile(r"permission|forbidden|unauthori[sz]ed|\b40[13]\b", re.I), "was not allowed"),
)


def verdict_of(outcome: Outcome, request: Request, failures: Failures, findings: Sequence[Finding]) -> str:
    """Say it with the figures that show it."""
    if failures.cause is not None:
        return _failed(failures.cause, request)
    absent = (one for one in findings if one.kind == "missing" and one.weight >= _TELLING)
    missing = next((f"; but {one.title}" for one in absent), "")
    if outcome == "slow":
        return _slow([one for one in findings if one.kind in {"slow", "repeated", "waiting"}], request, missing)
    if outcome == "normal":
        return f"Normal: {_whole(request)}{missing}."
    return f"{_unknown(request)}{missing}."


def _failed(cause: Failure, request: Request) -> str:
    said = brief_error(cause.error)
    after = duration(max(0.0, (cause.timestamp - request.axis.origin).total_seconds() * 1000))
    if cause.bar is None:
        return f"Failed: {said or 'a log says so'}, {after} into the request."
    what = next((text for pattern, text in _KINDS if pattern.search(said)), "failed")
    sentence = f"Failed: {label(cause.bar, request)} {what}" + (f": {said.rstrip('.')}" if said else "")
    baseline = request.past.of(cause.bar.span)
    if baseline is None:
        return f"{sentence}, {after} into the request."
    usual = f"{share(baseline.error_rate)} of {baseline.count:,} such calls failed the day before"
    return f"{sentence}, {after} into the request; {usual}."


def _slow(causes: Sequence[Finding], request: Request, missing: str) -> str:
    if causes and causes[0].weight >= _TELLING:
        return f"Slow: {causes[0].title}."
    return f"Slow: {_whole(request)}{missing or ', and no single span explains it'}."


def _whole(request: Request) -> str:
    baseline = request.past.of(request.root.span)
    took = f"{label(request.root, request)} took {duration(request.length / _MS)}"
    if baseline is None:
        return took
    if baseline.p50_ms > 0 and request.length / _MS > baseline.p95_ms:
        took += f", {times(request.length / _MS / baseline.p50_ms)} its usual"
    usual = f"{duration(baseline.p50_ms)} (p95 {duration(baseline.p95_ms)}, of {baseline.count:,} the day before)"
    return f"{took}, usually {usual}"


def _unknown(request: Request) -> str:
    longest = max(request.axis.bars, key=lambda bar: request.critical.get(id(bar), 0))
    own = request.critical.get(id(longest), 0) / _MS
    name = label(request.root, request)
    if longest is request.root:
        where = f"{name} itself took {duration(own)}, with no span below it running"
    else:
        where = f"{label(longest, request)} took {duration(own)}"
    known = request.past.baselines.get(operation_of(request.root.span))
    like = f"only {known.count} requests" if known else "nothing"
    whole = duration(request.length / _MS)
    return f"Unknown: {like} like {name} the day before to compare with; of its {whole}, {where}"
