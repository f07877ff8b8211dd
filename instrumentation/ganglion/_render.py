"""Log records as text: the product's JSON form, a readable one, and values made fit for both and for OTLP."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from typing import Any, TypeAlias, cast

import orjson

__all__ = [
    "LONGEST",
    "MOST_FIELDS",
    "Failure",
    "Plain",
    "Record",
    "console_line",
    "failure",
    "field_name",
    "json_line",
    "plain",
    "text",
]

LONGEST = 65_536
"""Characters of a message, a value or a stack trace; what is longer is cut and says so."""
MOST_FIELDS = 100
"""Fields of one record; the SDK's own limit, 128, would drop the first ones."""
_MOST_ITEMS = 1_000
_DEEPEST = 8
_LONGEST_KEY = 200
_NODE = 32
_SIMPLE = frozenset({str, bool, int, float, type(None)})
_SEQUENCES = (list, tuple, set, frozenset)

Plain: TypeAlias = "str | bool | int | float | list[Plain] | dict[str, Plain] | None"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as a record shows it."""

    kind: str
    """The class with its module, as the semantic convention `exception.type` wants it."""
    message: str
    stack: str

    @property
    def summary(self) -> str:
        """Return `Type: message`."""
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(slots=True)
class Record:
    """One log record, every value fit to be encoded."""

    nanoseconds: int
    level: str
    logger: str
    message: str
    fields: dict[str, Plain]
    """What the caller gave, without the names in `ids`."""
    ids: Mapping[str, str]
    """Bound fields, those of the product's log form among them."""
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    failure: Failure | None
    stack: str | None


def text(value: object) -> str:
    """Return str(value), bounded and valid as UTF-8; what raises in it becomes the name of the type."""
    try:
        string = value if type(value) is str else str(value)
    except Exception:  # noqa: BLE001 - whatever a stranger's __str__ raises
        return f"<{type(value).__name__}, which has no text>"
    if len(string) > LONGEST:
        string = f"{string[:LONGEST]}… ({len(string)} characters)"
    return string if string.isascii() else string.encode("utf-8", "backslashreplace").decode()


def field_name(key: object) -> str:
    """Return a field's key as a name that JSON and OTLP take; OTLP takes no empty one."""
    return key if type(key) is str and key and key.isascii() else text(key) or "unnamed"


def plain(value: object) -> Plain:
    """Return `value` as JSON and OTLP can both carry it; what they cannot becomes its repr. Never raises."""
    kind = type(value)
    if kind is str:
        string = cast("str", value)
        return string if string.isascii() and len(string) <= LONGEST else text(string)
    if kind is bool or value is None:
        return cast("bool | None", value)
    if kind is int:
        number = cast("int", value)
        return number if -(2**63) <= number < 2**63 else text(number)
    if kind is float:
        return cast("float", value) if isfinite(cast("float", value)) else str(value)
    return _Walk().plain(value, ())


class _Walk:
    """One walk through a nested value: bounded in depth and size, whatever it holds, itself included."""

    def __init__(self) -> None:
        self._left = LONGEST

    def plain(self, value: object, within: tuple[int, ...]) -> Plain:
        if id(value) in within or len(within) >= _DEEPEST:
            return "…"
        self._left -= _NODE
        try:
            result = self._of(value, (*within, id(value)))
        except Exception:  # noqa: BLE001 - whatever a stranger's container or __repr__ raises
            return f"<{type(value).__name__}, which has no text>"
        self._left -= len(result) if isinstance(result, str) else 0
        return result

    def _of(self, value: object, within: tuple[int, ...]) -> Plain:
        if type(value) in _SIMPLE:
            return plain(value)
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value), within)
        if isinstance(value, _SEQUENCES):
            return self._items(cast("Collection[object]", value), within)
        return _single(value)

    def _mapping(self, value: Mapping[object, object], within: tuple[int, ...]) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for key, item in islice(value.items(), _MOST_ITEMS):
            if self._left <= 0:
                break
            found[field_name(key)[:_LONGEST_KEY]] = self.plain(item, within)
        if len(value) > len(found):
            found["…"] = f"{len(value)} items"
        return found

    def _items(self, values: Collection[object], within: tuple[int, ...]) -> list[Plain]:
        found: list[Plain] = []
        for item in islice(values, _MOST_ITEMS):
            if self._left <= 0:
                break
            found.append(self.plain(item, within))
        return [*found, f"… ({len(values)} items)"] if len(values) > len(found) else found


def _single(value: object) -> Plain:
    """Return a value of any other type: dates, UUIDs, enumerations as orjson writes them, else its repr."""
    if isinstance(value, str):
        return text(str.__str__(value))
    if isinstance(value, int | float):
        return plain(int(value) if isinstance(value, int) else float(value))
    try:
        known: Any = orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    except TypeError:
        return text(repr(value))
    return plain(known) if isinstance(known, str | int | float) else text(repr(value))


def failure(error: BaseException) -> Failure:
    """Return what a record says of `error`: causes, notes and the members of a group are in the stack trace."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        stack = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - a broken exception must not break who reports it
        stack = name
    return Failure(name, text(error), shortened(stack))


def shortened(stack: str) -> str:
    """Return a stack trace within LONGEST: its middle is cut, as both ends tell most."""
    if len(stack) > LONGEST:
        half = LONGEST // 2
        stack = f"{stack[:half]}\n… ({len(stack)} characters) …\n{stack[-half:]}"
    return text(stack)


_second = (0, "")


def _iso(nanoseconds: int) -> str:
    global _second  # noqa: PLW0603 - the last second as text: most records share it
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    known, prefix = _second
    if known != seconds:
        prefix = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = (seconds, prefix)
    return f"{prefix}.{rest // 1000:06d}Z"


_TOP = ("request_id", "user_id", "session_id", "tenant_id")
_FIELDS_ABOVE = frozenset({"error", "stack_trace", "environment", "version", "host"})


def _line(record: Record, origin: Mapping[str, str | None]) -> dict[str, object]:
    context: dict[str, object] = {}
    metrics: dict[str, object] = {}
    above: dict[str, object] = {}
    for key, value in record.fields.items():
        if key in _FIELDS_ABOVE and isinstance(value, str):
            above[key] = value
        elif type(value) is int or type(value) is float:
            metrics[key] = value
        else:
            context[key] = value
    ids = record.ids
    get = ids.get
    if len(ids) > len(_TOP) or not ids.keys() <= _TOP_SET:
        context.update({key: value for key, value in ids.items() if key not in _TOP_SET})
    line: dict[str, object] = {
        "timestamp": _iso(record.nanoseconds),
        "level": record.level,
        "logger": record.logger,
        "message": record.message,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "parent_span_id": record.parent_span_id,
        "request_id": get("request_id"),
        "user_id": get("user_id"),
        "session_id": get("session_id"),
        "tenant_id": get("tenant_id"),
        "context": context,
        "metrics": metrics,
        "error": None,
        "stack_trace": record.stack,
        **origin,
    }
    if above:
        line.update(above)
    if record.failure is not None:
        _put_failure(line, record.failure, context)
    return line


_TOP_SET = frozenset(_TOP)


def _put_failure(line: dict[str, object], failed: Failure, context: dict[str, object]) -> None:
    """Put the exception into `error` and `stack_trace`; a field `error` beside it stays, in the context."""
    if line["error"] is not None:
        context["error"] = line["error"]
    line["error"] = failed.summary
    line["stack_trace"] = failed.stack


def json_line(record: Record, origin: Mapping[str, str | None]) -> bytes:
    """Return the record in the product's log form, one line; `origin` is environment, version and host."""
    return orjson.dumps(_line(record, origin), option=orjson.OPT_APPEND_NEWLINE)


_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_RESET = "\x1b[0m"


def console_line(record: Record, colours: bool) -> bytes:
    """Return the record for a person: local time, level, message, fields, the trace's first digits, the stack trace."""
    time = datetime.fromtimestamp(record.nanoseconds / 1e9).astimezone().strftime("%H:%M:%S.%f")[:-3]
    level = f"{record.level:<8}"
    if colours:
        level = f"{_COLOURS.get(record.level, '')}{level}{_RESET}"
    shown: dict[str, object] = {**record.fields, **record.ids}
    if record.trace_id:
        shown["trace"] = record.trace_id[:8]
    pairs = " ".join(f"{key}={_shown(value)}" for key, value in shown.items())
    lines = [f"{time} {level} {record.logger}: {_one_line(record.message)} {pairs}".rstrip()]
    if record.failure is not None:
        lines.append(record.failure.stack.rstrip())
    elif record.stack:
        lines.append(record.stack.rstrip())
    return ("\n".join(lines) + "\n").encode()


def _shown(value: object) -> str:
    """Return a value as `key=value` shows it: control characters, which could rule a terminal, are escaped."""
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    return orjson.dumps(value).decode() if not isinstance(value, str) else repr(value)


def _one_line(message: str) -> str:
    return (
        message
        if message.isprintable()
        else "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in message)
    )
