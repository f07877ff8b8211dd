"""What is too long for a place where it should be short."""

from typing import cast

import orjson

from ganglion_exporters._langsmith._values import Object
from ganglion_exporters._langsmith.json_text import cut_to

__all__ = ["cut", "cut_text"]


def cut(value: Object, most_bytes: int) -> Object:
    """Return `value` itself, or with its longest texts shortened so that its JSON has at most `most_bytes`."""
    encoded, was_cut = cut_to(value, most_bytes)
    return cast("Object", orjson.loads(encoded)) if was_cut else value


def cut_text(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} characters cut)"
