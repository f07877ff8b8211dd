"""JSON that LangSmith takes, of whatever a span held: never an error, and never larger than a field may be."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

__all__ = ["cut_to", "dumps"]

_DEEPEST = 200
"""Levels that are kept; orjson and LangSmith's parser both end a little above."""
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LONGEST = (1_000_000, 64_000, 4_000, 250)
"""Lengths that strings are cut to, one after the other until the field fits."""


def dumps(value: Any) -> bytes:
    """Return `value` as JSON; what JSON, or LangSmith, cannot hold becomes a string that tells it as well as it can."""
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError):
        return orjson.dumps(_mended(value, _DEEPEST))


def cut_to(value: Any, limit: int) -> tuple[bytes, bool]:
    """Return `value` as JSON of at most `limit` bytes, and whether it was cut for that: the longest strings first."""
    encoded = dumps(value)
    if len(encoded) <= limit:
        return encoded, False
    value = _mended(value, _DEEPEST)
    for longest in _LONGEST:
        made = orjson.dumps(_shortened(value, longest))
        if len(made) <= limit:
            return made, True
    note = f"cut: the field had {len(encoded)} bytes of JSON"
    return orjson.dumps({"note": note, "beginning": encoded[: limit // 8].decode(errors="replace")}), True


def _mended(value: Any, depth: int) -> Any:
    """Return a copy that orjson takes: 64-bit integers, whole Unicode, string keys, `depth` levels."""
    match value:
        case dict() | list() | tuple() if depth == 0:
            return f"cut: more than {_DEEPEST} levels"
        case dict():
            entries = cast("Mapping[Any, Any]", value)
            return {_whole(str(key)): _mended(one, depth - 1) for key, one in entries.items()}
        case list() | tuple():
            return [_mended(one, depth - 1) for one in cast("Sequence[Any]", value)]
        case _:
            return _mended_leaf(value)


def _mended_leaf(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return value if _SMALLEST <= value <= _LARGEST else str(value)
        case float():
            return value if math.isfinite(value) else None
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case _:
            return _whole(str(value))


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()


def _shortened(value: Any, longest: int) -> Any:
    match value:
        case str() if len(value) > longest:
            return f"{value[:longest]}… (cut: {len(value)} characters)"
        case dict():
            return {key: _shortened(one, longest) for key, one in cast("Mapping[str, Any]", value).items()}
        case list():
            return [_shortened(one, longest) for one in cast("Sequence[Any]", value)]
        case _:
            return value
