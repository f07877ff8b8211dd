"""Attributes as keys: what is equal on the wire is equal here, and values pass through unchanged."""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["EMPTY_TEXT", "Attributes", "Plain", "canonical", "key_values", "plain"]

Plain: TypeAlias = str | tuple[bytes]
"""An attribute's value: text as it is, anything else (and the empty text) as its serialized `AnyValue`, alone."""

EMPTY_TEXT: Plain = (AnyValue(string_value="").SerializeToString(),)
"""The empty text as `plain` makes it."""

Attributes: TypeAlias = tuple[tuple[str, Plain], ...]
"""Names and values, hashable; msgspec encodes and decodes them."""


def plain(value: AnyValue) -> Plain:
    return value.string_value or (value.SerializeToString(deterministic=True),)


def key_values(attributes: Attributes) -> Iterable[KeyValue]:
    """Make protobuf attributes of what `plain` made."""
    for key, value in attributes:
        yield KeyValue(
            key=key, value=AnyValue(string_value=value) if isinstance(value, str) else AnyValue.FromString(value[0])
        )


def canonical(attributes: Iterable[KeyValue]) -> bytes:
    """Return the same bytes for the same attributes in any order."""
    return msgspec.msgpack.encode(sorted([attribute.SerializeToString(deterministic=True) for attribute in attributes]))
