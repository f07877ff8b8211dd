"""Values of attributes as the key-value pairs with a type that Jaeger knows."""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

__all__ = ["KeyValue", "pair", "pairs"]


class KeyValue(TypedDict):
    """A tag, or a field of a log."""

    key: str
    type: Literal["string", "bool", "int64", "float64", "binary"]
    value: Any


# Beyond it a browser's numbers are not exact, so Jaeger tells them as text.
_EXACT = 2**53 - 1
_INT64 = 2**63


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Return a pair for each attribute, in order of keys."""
    return [pair(key, attributes[key]) for key in sorted(attributes)]


def pair(key: str, value: Any) -> KeyValue:
    """Return a pair; lists and maps become JSON, no value the empty text."""
    match value:
        case str():
            return {"key": key, "type": "string", "value": value}
        case bool():
            return {"key": key, "type": "bool", "value": value}
        case int():
            return _integer(key, value)
        case float():
            return {"key": key, "type": "float64", "value": value}
        case None:
            return {"key": key, "type": "string", "value": ""}
        case _:
            compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            return {"key": key, "type": "string", "value": compact}


def _integer(key: str, value: int) -> KeyValue:
    # PostgreSQL writes a large double without an exponent.
    if not -_INT64 <= value < _INT64:
        return {"key": key, "type": "float64", "value": float(value)}
    return {"key": key, "type": "int64", "value": value if abs(value) <= _EXACT else str(value)}
