"""OTLP values as JSON that any encoder takes: no NaN, no lone surrogate, no endless integer or depth."""

import ast
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import TypeAlias, cast

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["JSON", "Object", "document", "literal", "parsed", "plain", "plain_map", "text_of", "timestamp"]

JSON: TypeAlias = str | int | float | bool | list["JSON"] | dict[str, "JSON"] | None
Object: TypeAlias = dict[str, JSON]

_MARGIN = 40
"""Levels that may come around a value in a run; orjson writes 254."""
_BEGINNINGS = frozenset("{[ \t\r\n")
_FEW_BRACKETS = 200
_LONGEST_LITERAL = 4096
_MOST_LITERAL_BRACKETS = 100
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(value: AnyValue) -> JSON:
    """Return an OTLP value as JSON: bytes as the UTF-8 text that they are, or else as base64."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _number(value.double_value)
        case "bool_value":
            return value.bool_value
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return plain_map(value.kvlist_value.values)
        case "bytes_value":
            return _bytes(value.bytes_value)
        case _:
            return None


def plain_map(attributes: Iterable[KeyValue]) -> Object:
    """Return attributes as a JSON object; of a repeated key the last value counts."""
    return {
        attribute.key: (found := attribute.value).string_value or found.int_value or plain(found)
        for attribute in attributes
    }


def parsed(value: JSON) -> JSON:
    """Return what a text says as JSON; the value itself where it is not a text with a JSON object or array.

    A text that goes deeper than what can be sent stays a text.
    """
    if not isinstance(value, str) or value[:1] not in _BEGINNINGS or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        found = cast("JSON", orjson.loads(value))
        orjson.dumps(found, option=orjson.OPT_STRICT_INTEGER)
    except (orjson.JSONDecodeError, TypeError):
        found = _lenient(value)
    return found if _brackets(value) <= _FEW_BRACKETS or _fits(found) else value


def literal(value: JSON) -> JSON:
    """Return what a text says as JSON or as a Python literal (`{'cache_read': 3}`)."""
    found = value if isinstance(value, str) and value.startswith(("{'", "['")) else parsed(value)
    if not isinstance(found, str) or not found.startswith(("{", "[", "(")):
        return found
    if len(found) > _LONGEST_LITERAL or _brackets(found) > _MOST_LITERAL_BRACKETS:
        return found
    try:
        return _clean(ast.literal_eval(found))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, Warning):
        return found


def document(value: JSON, key: str) -> Object:
    """Return a value as a JSON object: as it is, parsed, a list of messages as `messages`, else under `key`."""
    found = parsed(value)
    if isinstance(found, dict):
        return found
    if found is None or found == "":
        return {}
    if isinstance(found, list) and found and all(isinstance(item, dict) and "role" in item for item in found):
        return {"messages": found}
    return {key: found}


def text_of(value: JSON) -> str:
    """Return a text as it is, nothing as an empty one, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def timestamp(nanoseconds: int) -> str:
    """Return Unix nanoseconds as ISO 8601 with microseconds, UTC."""
    seconds, rest = divmod(nanoseconds // 1000, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}+00:00"


def _number(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


def _lenient(text: str) -> JSON:
    """Parse JSON with what other writers let pass: NaN, lone surrogates, long integers."""
    try:
        return _clean(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _brackets(text: str) -> int:
    return text.count("{") + text.count("[") + text.count("(")


def _fits(value: JSON) -> bool:
    for _ in range(_MARGIN):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def _clean(value: object) -> JSON:
    if isinstance(value, str):
        return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {_key(key): _clean(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple | set):
        return [_clean(item) for item in cast("Iterable[object]", value)]
    return _bytes(value) if isinstance(value, bytes) else str(value)


def _key(key: object) -> str:
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", key if isinstance(key, str) else repr(key))
