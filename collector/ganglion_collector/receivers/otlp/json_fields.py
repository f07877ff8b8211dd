"""Single values of OTLP/JSON: the proto3 JSON mapping, but ids are hexadecimal (OTLP specification, JSON encoding)."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

__all__ = ["Reader", "WrongValue", "scalar_reader"]

Reader = Callable[[Any, int], Any]
"""`reader(value, depth)`: the value for protobuf; raises WrongValue."""

_ID_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_EXACT = 2**53


class WrongValue(Exception):  # noqa: N818 (caught within the converter; a sender gets InvalidRequestError)
    """A value that cannot be converted; `path` grows from the inside out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str | int] = []


def scalar_reader(field: FieldDescriptor) -> Reader:
    """Return the reader for one value of a field that is not a message."""
    if field.enum_type is not None:
        return _enumeration(field.enum_type)
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _string
        case FieldDescriptor.TYPE_BOOL:
            return _boolean
        case FieldDescriptor.TYPE_BYTES:
            return _identifier if field.name in _ID_FIELDS else _bytes
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return _double
        case _:
            return _integer(*_RANGES[field.cpp_type])


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _string(value: Any, _depth: int) -> str:
    if type(value) is str:
        return value
    raise WrongValue(f"a string is expected, not {_kind(value)}")


def _boolean(value: Any, _depth: int) -> bool:
    if type(value) is bool:
        return value
    raise WrongValue(f"true or false is expected, not {_kind(value)}")


def _identifier(value: Any, _depth: int) -> bytes:
    try:
        return binascii.unhexlify(_string(value, 0))
    except ValueError:
        raise WrongValue("an id is written in hexadecimal digits, two for each byte (not in base64)") from None


def _bytes(value: Any, _depth: int) -> bytes:
    text = _string(value, 0).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise WrongValue("bytes are written in base64") from None


def _double(value: Any, _depth: int) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str:
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if _NUMBER.match(value):
            return float(value)
    raise WrongValue(f"a number, NaN, Infinity or -Infinity is expected, not {_kind(value)}")


def _integer(low: int, high: int) -> Reader:
    def read(value: Any, _depth: int) -> int:
        number = value if type(value) is int else _whole(value)
        if low <= number <= high:
            return number
        raise WrongValue(f"an integer between {low} and {high} is expected")

    return read


def _whole(value: Any) -> int:
    if type(value) is str and _INTEGER.match(value):
        return int(value)
    # Past 2**53 a JSON number that came as a float may already be another one.
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    raise WrongValue(f"an integer is expected, as a number or a string of digits, not {_kind(value)}")


def _enumeration(enum: EnumDescriptor) -> Reader:
    names = {name: value.number for name, value in enum.values_by_name.items()}
    number = _integer(-(2**31), 2**31 - 1)

    def read(value: Any, depth: int) -> int:
        if type(value) is str and value in names:
            return names[value]
        return int(number(value, depth))

    return read


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "this number"
        case str():
            return "this string"
        case list():
            return "an array"
        case _:
            return "an object"
