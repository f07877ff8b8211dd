"""Where a failure began: errors in causal order, those that only travelled upwards told once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ganglion_query.causes.error_text import SERIOUS, are_same, error_of, fails, said_by, status_code
from ganglion_query.causes.request import Request
from ganglion_query.model import LogRow
from ganglion_query.time_axis import Bar, top_down

__all__ = ["Failure", "Failures", "find_failures", "is_told"]

_NEAR_SHARE = 5
_NEAR_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An error where it began: in a span, or (without one) in a log alone."""

    bar: Bar | None
    log: LogRow | None
    error: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """`cause` is why the request failed, None if it did not; `handled` are others, by time.

    `above` are the ids of the spans through which the failure went up.
    """

    cause: Failure | None
    handled: Sequence[Failure]
    above: frozenset[str] = frozenset()


def find_failures(request: Request) -> Failures:
    """Follow the failure of the root down to the span in which it began; every other failing span without one below."""
    failing = _failing_below(list(top_down(request.axis)))
    origins = [
        bar for bar in request.axis.bars if fails(bar) and not any(id(child) in failing for child in bar.children)
    ]
    alone = [_of_log(log) for log in request.loose if log.level in SERIOUS]
    cause, above = None, list[Bar]()
    if _failed(request, bool(origins or alone)):
        *above, begun = _way_down(request.root, failing)
        cause = _of_bar(begun, request) if fails(begun) or not alone else alone[0]
    handled = [_of_bar(bar, request) for bar in origins if cause is None or bar is not cause.bar]
    rest = [one for one in alone if one is not cause]
    by_time = sorted([*handled, *rest], key=lambda one: one.timestamp)
    return Failures(cause, by_time, frozenset(bar.span.span_id for bar in above))


def is_told(log: LogRow, failures: Failures) -> bool:
    """Tell whether a log only says what one of the failures does: in its span, or where it went up."""
    cause = failures.cause
    if cause is not None and log.span_id in failures.above:
        return log.level != "INFO" and log.timestamp >= cause.timestamp
    known = (one for one in (cause, *failures.handled) if one is not None)
    return log.level in SERIOUS and any(one.log is log or _is_of(log, one.bar) for one in known)


def _is_of(log: LogRow, bar: Bar | None) -> bool:
    return bar is not None and bar.span.span_id == log.span_id


def _failed(request: Request, something_did: bool) -> bool:
    if fails(request.root) or status_code(request.root.span) >= 500:
        return True
    # A client's error is a failure of this request where something in it says so (HTTP semantic conventions leave the
    # server span's status unset then).
    is_whole = request.root.branch.span.parent_span_id is None
    return something_did and (status_code(request.root.span) >= 400 or not is_whole)


def _failing_below(bars: Sequence[Bar]) -> set[int]:
    """Return the spans that fail or have one below that does, except below one that says it went well."""
    failing: set[int] = set()
    for bar in reversed(bars):
        if fails(bar) or (bar.span.status != "OK" and any(id(child) in failing for child in bar.children)):
            failing.add(id(bar))
    return failing


def _way_down(root: Bar, failing: set[int]) -> list[Bar]:
    """Return the spans from the root to the one in which its failure began."""
    way = [root]
    while (below := _cause_below(way[-1], failing)) is not None:
        way.append(below)
    return way


def _cause_below(bar: Bar, failing: set[int]) -> Bar | None:
    """Return the child whose failure made `bar` fail, None where it was its own.

    It is the first that tells the same error; else the last, from which the error went straight up, or the first of
    those that failed like it (an attempt that was made again).
    """
    children = {id(child): child for child in bar.children if id(child) in failing}
    if not children:
        return None
    said = said_by(bar)
    if len(children) == 1 and not said:
        return next(iter(children.values()))
    told = {key: _said_below(child, failing) for key, child in children.items()}
    same = [children[key] for key, texts in told.items() if are_same(said, texts)]
    if same:
        return min(same, key=lambda child: child.start)
    last = max(children.values(), key=lambda child: child.end)
    if said and fails(bar) and bar.end - last.end > max(_NEAR_NS, bar.length // _NEAR_SHARE):
        return None
    alike = [children[key] for key, texts in told.items() if are_same(told[id(last)], texts)]
    return min([last, *alike], key=lambda child: child.start)


def _said_below(bar: Bar, failing: set[int]) -> list[str]:
    """Return what a span says of its error; of one that is silent, what those below it say."""
    found: list[str] = []
    waiting = [bar]
    while waiting:
        one = waiting.pop()
        said = said_by(one)
        found += said
        if not said:
            waiting += [child for child in one.children if id(child) in failing]
    return found


def _of_bar(bar: Bar, request: Request) -> Failure:
    log = next((log for log in bar.branch.logs if log.level in SERIOUS), None)
    return Failure(bar, log, error_of(bar), log.timestamp if log else request.at(bar.end))


def _of_log(log: LogRow) -> Failure:
    return Failure(None, log, log.error or log.message or "", log.timestamp)
