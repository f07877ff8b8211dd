"""Protobuf's wire format, written by hand: labels repeat, so their bytes are made once, which no message class allows.

https://protobuf.dev/programming-guides/encoding/
"""

from struct import Struct

__all__ = ["delimited", "double", "message", "signed", "timestamp", "timestamp_ms", "unsigned", "varint"]

_DOUBLE = Struct("<d")
_VARINT, _FIXED64, _LENGTH = 0, 1, 2


def _long_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


_SHORT = tuple(_long_varint(value) for value in range(4096))


def varint(value: int) -> bytes:
    """Return an integer of at least 0."""
    return _SHORT[value] if value < 4096 else _long_varint(value)


def signed(value: int) -> bytes:
    """Return an integer as `sint32` and `sint64` have it."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def unsigned(field: int, value: int) -> bytes:
    """Return a field of type `uint64`, or of `int64` (two's complement)."""
    return _SHORT[field << 3 | _VARINT] + varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def double(field: int, value: float) -> bytes:
    """Return a field of type `double`."""
    return _SHORT[field << 3 | _FIXED64] + _DOUBLE.pack(value)


def message(field: int, body: bytes) -> bytes:
    """Return a field that is a message, bytes, or packed numbers."""
    size = len(body)
    return _SHORT[field << 3 | _LENGTH] + (_SHORT[size] if size < 4096 else _long_varint(size)) + body


def delimited(field: int, text: str) -> bytes:
    """Return a field of type `string`."""
    return message(field, text.encode("utf-8", "replace"))


def timestamp(field: int, time: int) -> bytes:
    """Return Unix nanoseconds as a field of type `google.protobuf.Timestamp`."""
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    return message(field, unsigned(1, seconds) + unsigned(2, nanoseconds))


def timestamp_ms(field: int, time: int) -> bytes:
    """Return Unix nanoseconds as a field of milliseconds."""
    return unsigned(field, time // 1_000_000)
