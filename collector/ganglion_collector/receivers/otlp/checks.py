"""What a request must fulfil before it is acknowledged, checked without a Python object for each record.

Ids (opentelemetry-proto, `trace.proto` and `logs.proto`; all zeros is invalid by W3C Trace Context): a span has a
`trace_id` of 16 bytes and a `span_id` of 8, neither all zeros. A parent, a link and a log record may have none; an
all-zero id there counts as none and is kept as it came. Anything else is wrong and costs the item, not the request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, cast

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ganglion_collector.errors import InvalidRequestError, PartialSuccess
from ganglion_collector.otlp import Request, Signal, drop_empty, entry_lists, item_lists, parse_request

__all__ = ["Checked", "check", "other_signal"]

_TRACE_ID = attrgetter("trace_id")
_SPAN_ID = attrgetter("span_id")
_PARENT = attrgetter("parent_span_id")
_LINKS = attrgetter("links")
_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)
_NAMED = 3

_ITEM_TYPES: dict[Signal, type[Span | Metric | LogRecord]] = {
    Signal.TRACES: Span,
    Signal.METRICS: Metric,
    Signal.LOGS: LogRecord,
}
_NOUNS = {Signal.TRACES: "spans", Signal.METRICS: "data points", Signal.LOGS: "log records"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of a request: `payload` holds `item_count` items; `rejected` says what was taken out."""

    payload: bytes
    item_count: int
    rejected: PartialSuccess | None = None


def check(signal: Signal, payload: bytes) -> Checked:
    """Parse `payload` and take items with wrong ids out of it; nothing wrong returns the same bytes.

    Raises:
        InvalidRequestError: it does not parse, or it is a request of another signal.
    """
    request = _parse(signal, payload)
    items = list(chain.from_iterable(item_lists(signal, request)))
    first = _first_entry(signal, request)
    if first is None:
        _refuse_unknown(request, payload)
        return Checked(payload, 0)
    actual = other_signal(signal, first)
    if actual is not None:
        raise _misdirected(signal, actual)
    if _sound(signal, items):
        return Checked(payload, len(items))
    return _without_wrong(signal, request, len(items))


def _parse(signal: Signal, payload: bytes) -> Request:
    try:
        return parse_request(signal, payload)
    except InvalidRequestError:
        for other in Signal:
            _refuse_as(signal, other, payload)
        raise


def _refuse_as(signal: Signal, other: Signal, payload: bytes) -> None:
    try:
        request = parse_request(other, payload)
    except InvalidRequestError:
        return
    first = _first_entry(other, request)
    if first is not None and not _unknown(first) and _has_identity(first):
        raise _misdirected(signal, other)


def _misdirected(signal: Signal, actual: Signal) -> InvalidRequestError:
    return InvalidRequestError(f"these are {actual.value}, not {signal.value}; send them to the {actual.value} path")


def _first_entry(signal: Signal, request: Request) -> Any:
    return next(chain.from_iterable(entry_lists(signal, request)), None)


def other_signal(signal: Signal, item: Any) -> Signal | None:
    """Tell which other signal's item was parsed as one of `signal`, None if it is what it should be.

    The three requests have the same shape down to the item, so that one parses as another; what does not fit lands
    among the unknown fields. A known number there has a wrong wire type, which no later version of the protocol may
    bring. An item without identity is believed to be another's when it fits there without a rest.
    """
    wrong = any(field.field_number in item.DESCRIPTOR.fields_by_number for field in _unknown(item))
    if not wrong and (_has_identity(item) or isinstance(item, LogRecord)):
        return None
    content = item.SerializeToString()
    for other, item_type in _ITEM_TYPES.items():
        if other is not signal and _fits(item_type, content):
            return other
    if wrong:
        raise InvalidRequestError(f"these are no {_NOUNS[signal]}: a known field has a wrong wire type")
    return None


def _fits(item_type: type[Span | Metric | LogRecord], content: bytes) -> bool:
    try:
        item = item_type.FromString(content)
    except DecodeError:
        return False
    return bool(content) and not _unknown(item) and _has_identity(item)


def _unknown(message: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", UnknownFieldSet(message))


def _has_identity(item: Any) -> bool:
    match item:
        case Span():
            return len(item.trace_id) == 16 or len(item.span_id) == 8
        case Metric():
            return bool(item.name)
        case _:
            return _sound(Signal.LOGS, [item])


def _refuse_unknown(request: Request, payload: bytes) -> None:
    if payload and _unknown(request):
        raise InvalidRequestError(f"not a {type(request).__name__}: it holds unknown fields only")


def _sound(signal: Signal, items: Sequence[Any]) -> bool:
    match signal:
        case Signal.TRACES:
            return _sound_spans(items)
        case Signal.LOGS:
            return _lengths(_TRACE_ID, items) <= {0, 16} and _lengths(_SPAN_ID, items) <= {0, 8}
        case Signal.METRICS:
            return True


def _sound_spans(spans: Sequence[Any]) -> bool:
    traces = list(map(_TRACE_ID, spans))
    ids = list(map(_SPAN_ID, spans))
    if set(map(len, traces)) != {16} or set(map(len, ids)) != {8} or _NO_TRACE in traces or _NO_SPAN in ids:
        return False
    if not _lengths(_PARENT, spans) <= {0, 8}:
        return False
    # Few spans have links, and asking for their truth is a third of the cost of walking them.
    links = list(chain.from_iterable(map(_LINKS, spans))) if any(map(_LINKS, spans)) else []
    return _lengths(_TRACE_ID, links) <= {0, 16} and _lengths(_SPAN_ID, links) <= {0, 8}


def _lengths(field: "attrgetter[Any]", items: Iterable[Any]) -> set[int]:
    return set(map(len, map(field, items)))


def _without_wrong(signal: Signal, request: Request, total: int) -> Checked:
    reasons: list[str] = []
    rejected = number = 0
    for items in item_lists(signal, request):
        sound: list[Any] = []
        for item in items:
            reason = _wrong(item)
            if reason is None:
                sound.append(item)
            elif len(reasons) < _NAMED:
                reasons.append(f"item {number}: {reason}")
            number += 1
        rejected += len(items) - len(sound)
        _replace(items, sound)
    drop_empty(signal, request)
    message = f"{rejected} of {total} {_NOUNS[signal]} rejected: " + "; ".join(reasons)
    if rejected > len(reasons):
        message += f"; and {rejected - len(reasons)} more"
    return Checked(request.SerializeToString(), total - rejected, PartialSuccess(rejected, message))


def _replace(items: Any, sound: Sequence[Any]) -> None:
    if len(sound) != len(items):
        # One by one each deletion would move the rest.
        del items[:]
        items.extend(sound)


def _wrong(item: Any) -> str | None:
    if isinstance(item, Span):
        return _wrong_span(item)
    return _wrong_id("trace_id", item.trace_id, 16) or _wrong_id("span_id", item.span_id, 8)


def _wrong_span(span: Span) -> str | None:
    reason = (
        _wrong_id("trace_id", span.trace_id, 16, required=True)
        or _wrong_id("span_id", span.span_id, 8, required=True)
        or _wrong_id("parent_span_id", span.parent_span_id, 8)
    )
    for index, link in enumerate(span.links):
        reason = reason or _wrong_id(f"links[{index}].trace_id", link.trace_id, 16)
        reason = reason or _wrong_id(f"links[{index}].span_id", link.span_id, 8)
    return reason


def _wrong_id(field: str, value: bytes, size: int, *, required: bool = False) -> str | None:
    if not value and not required:
        return None
    if len(value) != size:
        return f"{field} has {len(value)} bytes instead of {size}"
    return f"{field} is all zeros" if required and not any(value) else None
