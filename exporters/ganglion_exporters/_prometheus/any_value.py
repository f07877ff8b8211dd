"""OTLP attribute values as text.

Source of the rules: OpenTelemetry specification, common/README.md, "AnyValue representation for non-OTLP protocols".
"""

from base64 import b64encode
from math import isfinite, isnan
from typing import TypeAlias

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

__all__ = ["text_of"]

_JSON: TypeAlias = str | int | float | bool | list["_JSON"] | dict[str, "_JSON"] | None


def text_of(value: AnyValue) -> str:
    """Return `value` as text: a string as it is, an empty value as "", arrays and maps as JSON."""
    plain = _plain(value)
    if isinstance(plain, str):
        return plain
    return "" if plain is None else orjson.dumps(plain).decode()


def _plain(value: AnyValue) -> _JSON:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _number(value.double_value)
        case "bytes_value":
            return b64encode(value.bytes_value).decode()
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case _:
            return None


def _number(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
