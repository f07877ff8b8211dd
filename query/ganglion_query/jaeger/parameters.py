"""What clients of Jaeger ask with: times in µs or ms of Unix time, lengths as Go writes them, tags, trace ids."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ganglion_collector.errors import CollectorError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from ganglion_query.reader.jaeger import SpanCriteria

__all__ = [
    "NO_SERVICE",
    "DependencyQuery",
    "ParameterError",
    "TraceQuery",
    "dependency_query",
    "flag",
    "required",
    "search_query",
    "text",
    "time_hint",
    "trace_id",
]

NO_SERVICE = "OTLPResourceNoServiceName"
"""How Jaeger calls the service of spans that name none."""

MOST_TRACES = 1500
_USUAL_TRACES = 100
_MOST_TAGS = 30
_LONGEST_TEXT = 2000
_USUAL_LOOKBACK = timedelta(days=2)
_USUAL_CALLS_LOOKBACK = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")
_LENGTH = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_STRINGS = TypeAdapter(dict[str, str])
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("", "0", "f", "F", "false", "FALSE", "False"))


class ParameterError(CollectorError):
    """A request asks with a value that cannot be."""


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """A search: by `criteria`, or with `traces` for those ids alone; `raw` without anything that we add."""

    criteria: SpanCriteria
    limit: int
    traces: Sequence[str] = ()
    raw: bool = False


@dataclass(frozen=True, slots=True)
class DependencyQuery:
    """Calls from `since` up to and without `until`, of a service if there is one."""

    since: datetime
    until: datetime
    service: str | None


def search_query(given: QueryParams, now: datetime) -> TraceQuery:
    """Return what `/api/traces` is asked for.

    Raises:
        ParameterError: a value cannot be.
    """
    traces = tuple(trace_id(one) for one in given.getlist("traceID"))
    service = text("service", given.get("service")) if traces else required("service", given.get("service"))
    shortest, longest = _milliseconds("minDuration", given), _milliseconds("maxDuration", given)
    check_durations(shortest, longest)
    until = _time("end", given, now, _MICROSECOND)
    criteria = SpanCriteria(
        since=_time("start", given, now - _USUAL_LOOKBACK, _MICROSECOND),
        until=_later(until),
        service=stored_service(service),
        operation=text("operation", given.get("operation")),
        min_duration=shortest,
        max_duration=longest,
        tags=_tags(given),
    )
    return TraceQuery(criteria, limit("limit", given.get("limit")), _some(traces), flag("raw", given.get("raw")))


def dependency_query(given: QueryParams, now: datetime) -> DependencyQuery:
    """Return what `/api/dependencies` is asked for.

    Raises:
        ParameterError: a value cannot be.
    """
    millisecond = timedelta(milliseconds=1)
    until = _time("endTs", given, now, millisecond)
    lookback = given.get("lookback")
    length = _USUAL_CALLS_LOOKBACK if not lookback else _times("lookback", lookback, millisecond)
    try:
        return DependencyQuery(until - length, _later(until), text("service", given.get("service")))
    except OverflowError:
        raise ParameterError("unable to parse param 'lookback': it reaches beyond all times") from None


def trace_id(given: str) -> str:
    """Return a trace id as 32 lower-case hex digits; leading zeros may be missing.

    Raises:
        ParameterError: it is none.
    """
    digits = given.strip()
    if not _HEX.fullmatch(digits):
        raise ParameterError(f"cannot parse traceID param: {given[:80]!r} is not at most 32 hexadecimal digits")
    return digits.lower().zfill(32)


def time_hint(name: str, given: str | None) -> None:
    """Check when a trace is said to be; it is found without that, and clients do not agree on the unit."""
    if given:
        _integer(name, given)


def text(name: str, given: str | None) -> str | None:
    """Return a text that the database can hold, None for an empty one."""
    if not given:
        return None
    if len(given) > _LONGEST_TEXT:
        raise ParameterError(f"unable to parse param '{name}': longer than {_LONGEST_TEXT} characters")
    if not given.isprintable() and not _encodable(given):
        raise ParameterError(f"unable to parse param '{name}': not text in Unicode")
    return given.replace("\0", "␀")


def required(name: str, given: str | None) -> str:
    value = text(name, given)
    if value is None:
        raise ParameterError(f"parameter '{name}' is required")
    return value


def flag(name: str, given: str | None) -> bool:
    if given is None or given in _FALSE:
        return False
    if given not in _TRUE:
        raise ParameterError(f"unable to parse param '{name}': {given[:80]!r} is neither true nor false")
    return True


def limit(name: str, given: str | None) -> int:
    """Return how many traces are wanted, and never more than is good for anybody."""
    wanted = _integer(name, given) if given else 0
    if wanted < 0:
        raise ParameterError(f"unable to parse param '{name}': it is negative")
    return min(wanted or _USUAL_TRACES, MOST_TRACES)


def milliseconds(name: str, given: str | None) -> float | None:
    """Return a length as Go writes it (1.5s, 200ms, 1h2m) in milliseconds, None for an empty one and for zero."""
    if not given or given == "0":
        return None
    parts = _LENGTH.findall(given)
    if "".join(parts) != given:
        raise ParameterError(f"unable to parse param '{name}': {given[:80]!r} is no length such as 200ms or 1.5s")
    return sum(_part(part) for part in parts) or None


def check_durations(shortest: float | None, longest: float | None) -> None:
    if shortest is not None and longest is not None and longest < shortest:
        raise ParameterError("'maxDuration' should be greater than 'minDuration'")


def stored_service(name: str | None) -> str | None:
    """Return the name as `SpanCriteria` has it."""
    return "" if name == NO_SERVICE else name


def tags_of(name: str, document: str) -> dict[str, str]:
    """Return the tags of a JSON object whose values are all strings."""
    try:
        return _STRINGS.validate_json(document, strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ParameterError(f"malformed '{name}' parameter, cannot unmarshal JSON: {reason}") from None


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > _MOST_TAGS:
        raise ParameterError(f"more than {_MOST_TAGS} tags")
    return {text("tags", key) or "": text("tags", value) or "" for key, value in tags.items()}


def _tags(given: QueryParams) -> dict[str, str]:
    tags: dict[str, str] = {}
    for one in given.getlist("tag"):
        key, colon, value = one.partition(":")
        if not colon:
            raise ParameterError(f"malformed 'tag' parameter, expecting key:value, received: {one[:80]}")
        tags[key] = value
    for document in given.getlist("tags"):
        tags |= tags_of("tags", document)
    return checked_tags(tags)


def _some(traces: Sequence[str]) -> Sequence[str]:
    unique = tuple(dict.fromkeys(traces))
    if len(unique) > MOST_TRACES:
        raise ParameterError(f"more than {MOST_TRACES} trace ids")
    return unique


def _milliseconds(name: str, given: QueryParams) -> float | None:
    return milliseconds(name, given.get(name))


def _part(part: str) -> float:
    unit = part.lstrip("0123456789.")
    return float(part.removesuffix(unit)) * _UNITS[unit]


def _integer(name: str, given: str) -> int:
    if not re.fullmatch(r"[-+]?\d{1,19}", given, re.ASCII):
        raise ParameterError(f"unable to parse param '{name}': {given[:80]!r} is no integer")
    return int(given)


def _times(name: str, given: str, unit: timedelta) -> timedelta:
    try:
        return _integer(name, given) * unit
    except OverflowError:
        raise ParameterError(f"unable to parse param '{name}': it is out of range") from None


def _time(name: str, given: QueryParams, default: datetime, unit: timedelta) -> datetime:
    value = given.get(name)
    if not value:
        return default
    try:
        return _EPOCH + _times(name, value, unit)
    except OverflowError:
        raise ParameterError(f"unable to parse param '{name}': it is out of range") from None


def _later(until: datetime) -> datetime:
    """Return the end of a time that includes its last microsecond."""
    return min(until, datetime.max.replace(tzinfo=UTC) - _MICROSECOND) + _MICROSECOND


def _encodable(given: str) -> bool:
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True
