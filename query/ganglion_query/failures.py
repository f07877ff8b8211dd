"""Which errors are causes: of one request's propagated exception only where it began. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ganglion_query.fingerprints import error_type, template
from ganglion_query.reader.error_groups import ErrorLogRow, FailedSpanRow, SpanPlace

__all__ = ["Failure", "causes"]

_TOGETHER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Failure:
    """One error where it began: `operation` is the span's name, else the logger; `error` is without what varies."""

    timestamp: datetime
    trace_id: str | None
    service: str | None
    operation: str | None
    user_id: str | None
    kind: str | None
    error: str


@dataclass(frozen=True, slots=True)
class _Error:
    """A log or a failed span; `rank` 0 is a log, which says more than its span."""

    rank: int
    time: datetime
    span_id: str | None
    parent_span_id: str | None
    failure: Failure
    says_itself: bool
    end: datetime


def causes(
    logs: Sequence[ErrorLogRow], spans: Sequence[FailedSpanRow], places: Iterable[Sequence[SpanPlace]]
) -> Iterator[Failure]:
    """Yield each cause, in no order.

    `places` are the spans of the traces concerned, in portions that hold whole traces; a trace without is judged by
    its failed spans alone. A log of no trace is no cause where it repeats, as a server's own does, what a trace of the
    same service told in the same second.
    """
    errors: defaultdict[str, list[_Error]] = defaultdict(list)
    for log in logs:
        if log.trace_id is not None:
            errors[log.trace_id].append(_error_of_log(log))
    for span in spans:
        errors[span.trace_id].append(_error_of_span(span))
    traceless = [_of_log(log) for log in logs if log.trace_id is None]
    yield from _not_repeating(traceless, (error.failure for found in errors.values() for error in found))
    for portion in places:
        by_trace: defaultdict[str, dict[str, SpanPlace]] = defaultdict(dict)
        for place in portion:
            by_trace[place.trace_id][place.span_id] = place
        for trace_id, around in by_trace.items():
            yield from _causes_of(errors.pop(trace_id, []), around)
    for found in errors.values():
        yield from _causes_of(found, {})


def _not_repeating(traceless: Sequence[Failure], of_traces: Iterable[Failure]) -> Iterator[Failure]:
    told: defaultdict[tuple[str | None, str], list[datetime]] = defaultdict(list)
    for failure in of_traces if traceless else ():
        told[failure.service, failure.error].append(failure.timestamp)
    for times in told.values():
        times.sort()
    for failure in traceless:
        times = told.get((failure.service, failure.error), [])
        place = bisect_left(times, failure.timestamp - _TOGETHER)
        if place == len(times) or times[place] > failure.timestamp + _TOGETHER:
            yield failure


def _error_of_log(log: ErrorLogRow) -> _Error:
    failure = _of_log(log)
    return _Error(0, log.timestamp, log.span_id, log.parent_span_id, failure, says_itself=True, end=log.timestamp)


def _of_log(log: ErrorLogRow) -> Failure:
    return Failure(
        timestamp=log.timestamp,
        trace_id=log.trace_id,
        service=log.service_name,
        operation=log.logger,
        user_id=log.user_id,
        kind=error_type(log.error) if log.error else None,
        error=_brief(log.error or log.message),
    )


def _error_of_span(span: FailedSpanRow) -> _Error:
    text = span.exception or span.status_message or span.error_type or f"{span.name} failed"
    failure = Failure(
        timestamp=span.end_time,
        trace_id=span.trace_id,
        service=span.service_name,
        operation=span.name,
        user_id=span.user_id,
        kind=error_type(span.exception or "") or span.error_type or error_type(span.status_message or ""),
        error=_brief(text),
    )
    says = span.exception is not None
    return _Error(1, span.start_time, span.span_id, span.parent_span_id, failure, says, span.end_time)


def _brief(text: str) -> str:
    """Return `text` without what varies, and its type without the module."""
    if text.isdecimal():  # as error.type the status of a response
        return f"HTTP {text}"
    kind = error_type(text)
    shown = template(text)
    full, colon, rest = shown.partition(":")
    return f"{kind}{colon}{rest}" if kind and full.endswith(kind) else shown


def _causes_of(errors: Sequence[_Error], around: Mapping[str, SpanPlace]) -> Iterator[Failure]:
    """Yield of one trace what no error of the same span or below it explains.

    A failed span whose own log is an error, or that holds another error in its time and says none itself, is no cause.
    """
    parents = {error.span_id: error.parent_span_id for error in errors if error.span_id}
    parents |= {span_id: place.parent_span_id for span_id, place in around.items()}
    known = sorted(errors, key=lambda error: (error.rank, error.time))
    logged = {error.span_id for error in known if error.rank == 0}
    consequences = _above({error.span_id for error in known if error.span_id}, parents)
    telling = sorted(error.failure.timestamp for error in known if error.says_itself)
    seen: set[tuple[str | None, str]] = set()
    for error in known:
        key = (error.span_id, error.failure.error)
        if error.span_id in consequences or (error.rank and error.span_id in logged) or key in seen:
            continue
        if error.rank and not error.says_itself and _holds_one(error, telling):
            continue
        seen.add(key)
        yield _placed(error, around.get(error.span_id or ""))


def _above(span_ids: set[str], parents: Mapping[str, str | None]) -> set[str]:
    """Return all that stand above any of the spans."""
    found: set[str] = set()
    for span_id in span_ids:
        parent = parents.get(span_id)
        while parent and parent not in found and parent != span_id:
            found.add(parent)
            parent = parents.get(parent)
    return found


def _holds_one(span: _Error, times: Sequence[datetime]) -> bool:
    place = bisect_left(times, span.time)
    return place < len(times) and times[place] <= span.end


def _placed(error: _Error, place: SpanPlace | None) -> Failure:
    failure = error.failure
    if place is None:
        return failure
    return Failure(
        timestamp=failure.timestamp,
        trace_id=failure.trace_id,
        service=failure.service or place.service_name,
        operation=place.name,
        user_id=failure.user_id or place.user_id,
        kind=failure.kind,
        error=failure.error,
    )
