"""Fields that LangSmith would not take whole, made to fit."""

from collections.abc import Mapping
from typing import cast

import orjson

from ganglion_exporters._langsmith._values import JSON, Object

__all__ = ["cut", "cut_text"]

_SHORTEST = 64


def cut(value: Object, most_bytes: int) -> Object:
    """Return `value` itself, or with its longest texts shortened until its JSON has at most `most_bytes`."""
    encoded = orjson.dumps(value)
    if len(encoded) <= most_bytes:
        return value
    longest = most_bytes // 2
    while longest >= _SHORTEST:
        shorter = cast("Object", _shortened(value, longest))
        if len(orjson.dumps(shorter)) <= most_bytes:
            return shorter
        longest //= 4
    return {"cut": cut_text(encoded.decode(), most_bytes // 8)}


def cut_text(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} characters cut)"


def _shortened(value: JSON, longest: int) -> JSON:
    if isinstance(value, str):
        return cut_text(value, longest)
    if isinstance(value, list):
        return [_shortened(item, longest) for item in value]
    if isinstance(value, Mapping):
        return {cut_text(key, longest): _shortened(item, longest) for key, item in value.items()}
    return value
