"""OTLP values as PostgreSQL can hold them: JSON for jsonb, and the escapes of COPY's text format."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from math import inf
from typing import TypeAlias

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["JSON", "NULL", "NUL_SYMBOL", "json_document", "json_text", "keep", "number", "plain", "plain_map", "text"]

JSON: TypeAlias = str | int | float | bool | list["JSON"] | dict[str, "JSON"] | None

NULL = "\\N"
NUL_SYMBOL = "\N{SYMBOL FOR NULL}"
"""Stands for U+0000, which neither text nor jsonb can hold."""

_COPY_ESCAPES = {0: NUL_SYMBOL, 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}


def text(value: str) -> str:
    """Return `value` as one field of COPY's text format."""
    if value.isprintable() and "\\" not in value:
        return value
    return value.translate(_COPY_ESCAPES)


def json_text(value: JSON) -> str:
    """Return `value` as JSON in one field of COPY's text format."""
    encoded = orjson.dumps(value)
    if b"\\" not in encoded:
        return encoded.decode()
    return json_document(value).replace("\\", "\\\\")


def json_document(value: JSON) -> str:
    """Return `value` as JSON that jsonb takes: NUL becomes U+2400."""
    encoded = orjson.dumps(value)
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(_without_nul(value))
    return encoded.decode()


def _without_nul(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.replace("\0", NUL_SYMBOL)
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if not isinstance(value, dict):
        return value
    clean: dict[str, JSON] = {}
    for key, item in value.items():
        keep(clean, key.replace("\0", NUL_SYMBOL), _without_nul(item))
    return clean


def keep(mapping: dict[str, JSON], key: str, value: JSON) -> None:
    """Store `value` under `key`, or under `key#2`, `key#3` … where a different value is there already."""
    name, count = key, 1
    while name in mapping:
        if orjson.dumps(mapping[name]) == orjson.dumps(value):
            return
        count += 1
        name = f"{key}#{count}"
    mapping[name] = value


def number(value: float) -> float | str:
    """Return `value`, or its name in PostgreSQL's spelling where JSON has no such number."""
    if -inf < value < inf:
        return value
    if value == inf:
        return "Infinity"
    return "-Infinity" if value == -inf else "NaN"


def plain(value: AnyValue) -> JSON:
    """Return an OTLP value as JSON: bytes as base64, an empty value as null, integers and doubles exact."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "double_value":
            return number(value.double_value)
        case "bool_value":
            return value.bool_value
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return plain_map(value.kvlist_value.values)
        case "bytes_value":
            return b64encode(value.bytes_value).decode()
        case _:
            return None


def plain_map(attributes: Sequence[KeyValue], extra: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
    """Return attributes as a JSON object, then those of `extra`; see `keep` for repeated keys."""
    # In one expression, since the attributes are the larger part of a span's cost.
    result: dict[str, JSON] = {
        attribute.key: (found := attribute.value).string_value or found.int_value or plain(found)
        for attribute in attributes
    }
    if len(result) < len(attributes):
        result = {}
        for attribute in attributes:
            keep(result, attribute.key, plain(attribute.value))
    for key, value in (extra or {}).items():
        keep(result, key, value)
    return result
