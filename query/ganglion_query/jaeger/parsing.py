"""Single values that clients of Jaeger send: Unix times, lengths as Go writes them, trace ids, tags in JSON."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ganglion_collector.errors import CollectorError
from pydantic import TypeAdapter, ValidationError

__all__ = [
    "MOST_TRACES",
    "ParameterError",
    "checked_tags",
    "flag",
    "iso_time",
    "json_tags",
    "length",
    "limit",
    "milliseconds",
    "required",
    "text",
    "trace_id",
    "unix",
]

MOST_TRACES = 1500
_USUAL_TRACES = 100
_MOST_TAGS = 30
_LONGEST_TEXT = 2000
_LONGEST_LENGTH = 100
_SHOWN = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")
_INTEGER = re.compile(r"[-+]?\d{1,19}", re.ASCII)
_LENGTH = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_STRINGS = TypeAdapter(dict[str, str])
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class ParameterError(CollectorError):
    """A request asks with a value that cannot be."""


def trace_id(given: str) -> str:
    """Return a trace id as 32 lower-case hex digits; leading zeros may be missing.

    Raises:
        ParameterError: it is none; so do all functions here.
    """
    digits = given.strip()
    if not _HEX.fullmatch(digits):
        raise ParameterError(f"cannot parse traceID param: {given[:_SHOWN]!r} is not at most 32 hexadecimal digits")
    return digits.lower().zfill(32)


def text(name: str, given: str | None) -> str | None:
    """Return a text as the database holds it, None for an empty one."""
    if not given:
        return None
    if len(given) > _LONGEST_TEXT:
        raise _wrong(name, f"longer than {_LONGEST_TEXT} characters")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise _wrong(name, "not text in Unicode") from None
    return given.replace("\0", "␀")


def required(name: str, given: str | None) -> str:
    value = text(name, given)
    if value is None:
        raise ParameterError(f"parameter '{name}' is required")
    return value


def flag(name: str, given: str | None) -> bool:
    if not given or given in _FALSE:
        return False
    if given not in _TRUE:
        raise _wrong(name, f"{given[:_SHOWN]!r} is neither true nor false")
    return True


def limit(name: str, given: str | None) -> int:
    """Return how many traces are wanted, and never more than is good for anybody."""
    wanted = _integer(name, given) if given else 0
    if wanted < 0:
        raise _wrong(name, "it is negative")
    return min(wanted or _USUAL_TRACES, MOST_TRACES)


def milliseconds(name: str, given: str | None) -> float | None:
    """Return a length as Go writes it (1.5s, 200ms, 1h2m) in milliseconds, None for an empty one and for zero."""
    if not given or given == "0":
        return None
    parts: list[str] = _LENGTH.findall(given[: _LONGEST_LENGTH + 1])
    if len(given) > _LONGEST_LENGTH or "".join(parts) != given:
        raise _wrong(name, f"{given[:_SHOWN]!r} is no length such as 200ms or 1.5s")
    return sum(_part(part) for part in parts) or None


def length(name: str, given: str | None, unit: timedelta) -> timedelta | None:
    """Return a length that is given as an integer, None for an empty one."""
    try:
        return _integer(name, given) * unit if given else None
    except OverflowError:
        raise _wrong(name, "it is out of range") from None


def unix(name: str, given: str | None, unit: timedelta) -> datetime | None:
    """Return a time that is given as an integer since 1970, None for an empty one."""
    since = length(name, given, unit)
    try:
        return None if since is None else _EPOCH + since
    except OverflowError:
        raise _wrong(name, "it is out of range") from None


def iso_time(name: str, given: str) -> datetime:
    """Return a time in RFC 3339; a plus sign that was sent unescaped has become a space."""
    try:
        return _aware(datetime.fromisoformat(given.replace(" ", "+")))
    except (ValueError, OverflowError):
        raise _wrong(name, f"{given[:_SHOWN]!r} is no time such as 2026-01-31T15:00:00Z") from None


def json_tags(name: str, document: str) -> dict[str, str]:
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


def _wrong(name: str, reason: str) -> ParameterError:
    return ParameterError(f"unable to parse param '{name}': {reason}")


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("no zone")
    return time.astimezone(UTC)


def _integer(name: str, given: str) -> int:
    if not _INTEGER.fullmatch(given):
        raise _wrong(name, f"{given[:_SHOWN]!r} is no integer")
    return int(given)


def _part(part: str) -> float:
    unit = part.lstrip("0123456789.")
    return float(part.removesuffix(unit)) * _UNITS[unit]
