"""Where a failure began: errors in causal order, those that only travelled upwards told once. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ganglion_query.causes.request import Request
from ganglion_query.model import LogRow, SpanRow
from ganglion_query.time_axis import Bar, top_down

__all__ = ["Failure", "Failures", "find_failures"]

_SERIOUS = frozenset({"ERROR", "CRITICAL"})
_STATUS_CODES = ("http.response.status_code", "http.status_code")
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
    """`cause` is why the request failed, None if it did not; `handled` are others, by time."""

    cause: Failure | None
    handled: Sequence[Failure]


def find_failures(request: Request) -> Failures:
    """Follow the failure of the root down to the span in which it began; every other failing span without one below."""
    failing = _failing_below(list(top_down(request.axis)))
    origins = [
        bar for bar in request.axis.bars if _fails(bar) and not any(id(child) in failing for child in bar.children)
    ]
    alone = [_of_log(log) for log in request.loose if log.level in _SERIOUS]
    cause = None
    if _failed(request, bool(origins or alone)):
        begun = _origin(request.root, failing)
        cause = _of_bar(begun, request) if _fails(begun) or not alone else alone[0]
    handled = [_of_bar(bar, request) for bar in origins if cause is None or bar is not cause.bar]
    rest = [one for one in alone if one is not cause]
    return Failures(cause, sorted([*handled, *rest], key=lambda one: one.timestamp))


def _failed(request: Request, something_did: bool) -> bool:
    if _fails(request.root) or _status_code(request.root.span) >= 500:
        return True
    # A client's error is a failure of this request where something in it says so (HTTP semantic conventions leave the
    # server span's status unset then).
    is_whole = request.root.branch.span.parent_span_id is None
    return something_did and (_status_code(request.root.span) >= 400 or not is_whole)


def _fails(bar: Bar) -> bool:
    return bar.span.status == "ERROR" or any(log.level in _SERIOUS for log in bar.branch.logs)


def _failing_below(bars: Sequence[Bar]) -> set[int]:
    """Return the spans that fail or have one below that does, except below one that says it went well."""
    failing: set[int] = set()
    for bar in reversed(bars):
        if _fails(bar) or (bar.span.status != "OK" and any(id(child) in failing for child in bar.children)):
            failing.add(id(bar))
    return failing


def _origin(root: Bar, failing: set[int]) -> Bar:
    bar = root
    while (below := _cause_below(bar, [child for child in bar.children if id(child) in failing])) is not None:
        bar = below
    return bar


def _cause_below(bar: Bar, children: Sequence[Bar]) -> Bar | None:
    """Return the child whose failure made `bar` fail, None where it was its own."""
    if not children:
        return None
    said = error_of(bar)
    same = [child for child in children if said and _is_same(said, error_of(child))]
    if same:
        return min(same, key=lambda child: child.start)
    last = max(children, key=lambda child: child.end)
    if said and _fails(bar) and bar.end - last.end > max(_NEAR_NS, bar.length // _NEAR_SHARE):
        return None
    said = error_of(last)
    alike = [child for child in children if said and _is_same(said, error_of(child))]
    return min([last, *alike], key=lambda child: child.start)


def _is_same(one: str, other: str) -> bool:
    return bool(other) and (one in other or other in one)


def error_of(bar: Bar) -> str:
    """Return what a failing span and its logs say went wrong, empty where nothing."""
    return next(filter(None, _told(bar)), "")


def _told(bar: Bar) -> Iterator[str]:
    exceptions = [
        _exception(event.get("attributes") or {}) for event in bar.span.events if event.get("name") == "exception"
    ]
    yield from reversed(exceptions)
    serious = [log for log in bar.branch.logs if log.level in _SERIOUS]
    yield from (log.error or "" for log in serious)
    yield bar.span.status_message or ""
    yield from (log.message or "" for log in serious)
    yield str(bar.span.attributes.get("error.type") or "")
    if (code := _status_code(bar.span)) >= 400:
        yield f"HTTP {code}"


def _exception(attributes: Mapping[str, Any]) -> str:
    told = (attributes.get(f"exception.{name}") for name in ("type", "message"))
    return ": ".join(str(one) for one in told if one)


def _status_code(span: SpanRow) -> int:
    codes = (span.attributes.get(name) for name in _STATUS_CODES)
    return next(
        (int(code) for code in codes if isinstance(code, int | float) or (isinstance(code, str) and code.isdigit())), 0
    )


def _of_bar(bar: Bar, request: Request) -> Failure:
    log = next((log for log in bar.branch.logs if log.level in _SERIOUS), None)
    return Failure(bar, log, error_of(bar), log.timestamp if log else request.at(bar.end))


def _of_log(log: LogRow) -> Failure:
    return Failure(None, log, log.error or log.message or "", log.timestamp)
