"""Conditions on attributes as people type them: `context.chunk_size=512`, `http.route~ask`, `duration_ms>=500`."""

import re
from typing import cast

from ganglion_query.model import Condition, Operator

__all__ = ["number_of", "parse_condition"]

_FORM = re.compile(r"\s*([^\s=!<>~][^=!<>~]*?)\s*(=|!=|>=|<=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d{1,3})?", re.ASCII)
_LONGEST = 1000


def parse_condition(text: str) -> Condition:
    """Return what `text` asks for; a value may stand between double quotes.

    Raises:
        ValueError: it is no condition; the message shows the form.
    """
    match = _FORM.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise ValueError(
            f"{text[:80]!r} is not a condition; write context.chunk_size=512, model~gpt or duration_ms>=500 "
            "(operators: = != > >= < <= ~)"
        )
    key, operator, value = match.groups()
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    return Condition(key, cast("Operator", operator), value)


def number_of(text: str) -> str | None:
    """Return `text` if it is a number as PostgreSQL reads it, else None."""
    return text if _NUMBER.fullmatch(text) and len(text) < 100 else None
