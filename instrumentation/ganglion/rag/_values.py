"""Make what a service passes fit to be measured: plain numbers, bounded labels."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import SupportsFloat, SupportsIndex, cast

from ganglion._render import plain as encodable
from ganglion._render import text
from ganglion.context import ATTRIBUTES

__all__ = ["attributes", "label", "number", "plain"]

_LONGEST_LABEL = 200
_LONGEST_LIST = 100
_LARGEST_INTEGER = 2**63
_MOST_VALUES = 200

_known: dict[str, set[str]] = {}


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


def label(name: str, value: object) -> str:
    """Give `value` for the label `name`: at most 200 characters, never empty.

    A label has at most 200 values in a process, as each makes a series that lives as long; what comes after is `other`.
    """
    kept = text(value)[:_LONGEST_LABEL] or "unknown"
    known = _known.setdefault(name, set())
    if kept in known:
        return kept
    if len(known) >= _MOST_VALUES:
        return "other"
    known.add(kept)
    return kept


def plain(value: object) -> object:
    """Give `value` with its numbers made plain and a list cut after 100 items."""
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        return [plain(item) for item in items[:_LONGEST_LIST]]
    exact = number(value)
    return value if exact is None else exact


def attributes(values: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    """Give span attributes: text, booleans and numbers; None is left out, anything else becomes text."""
    kept: dict[str, str | bool | int | float] = {}
    for name, value in values.items():
        fit = encodable(plain(value))
        if isinstance(fit, (str, bool, int, float)):
            kept[ATTRIBUTES.get(name, name)] = fit
        elif fit is not None:
            kept[name] = text(fit)
    return kept
