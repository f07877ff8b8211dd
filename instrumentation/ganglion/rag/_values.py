"""Make what a service passes safe to encode: plain numbers, bounded text."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import SupportsFloat, SupportsIndex, cast

__all__ = ["attributes", "error_type", "label", "number", "plain"]

_LONGEST_LABEL = 200
_LONGEST_LIST = 100
_LARGEST_INTEGER = 2**63


def number(value: object) -> int | float | None:
    """Give `value` as an exact int or float, or None where it is no finite number.

    Array libraries have number types of their own (`numpy.float32`), which OTLP encoders refuse.
    """
    try:
        if isinstance(value, SupportsIndex):
            whole = operator.index(value)
            return whole if -_LARGEST_INTEGER <= whole < _LARGEST_INTEGER else float(whole)
        if isinstance(value, SupportsFloat):
            real = float(value)
            return real if math.isfinite(real) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return None


def text(value: str) -> str:
    # A lone surrogate cannot be encoded, and would take the whole export down with it.
    return value if value.isascii() else value.encode(errors="replace").decode()


def label(value: object) -> str:
    """Give `value` as a metric label: at most 200 characters, never empty."""
    return text(str(value)[:_LONGEST_LABEL]) or "unknown"


def plain(value: object) -> object:
    """Give `value` with its numbers made plain and a list cut after 100 items."""
    if isinstance(value, str):
        return text(str.__str__(value))
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        return [plain(item) for item in items[:_LONGEST_LIST]]
    exact = number(value)
    return value if exact is None else exact


def attributes(values: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    """Give span attributes: plain values as they are, None left out, anything else as its repr."""
    kept: dict[str, str | bool | int | float] = {}
    for name, value in values.items():
        exact = plain(value)
        if isinstance(exact, (str, bool, int, float)):
            kept[name] = exact
        elif exact is not None:
            kept[name] = text(repr(exact))
    return kept


def error_type(error: BaseException) -> str:
    """Name the class of `error` as semantic conventions' `error.type`: qualified, unless it is built in."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
