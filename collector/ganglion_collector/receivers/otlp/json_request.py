"""OTLP/JSON to protobuf, made from the messages' own descriptors.

Lenient where senders differ: snake_case besides lowerCamelCase, enums by name, integers as numbers or strings, unknown
fields ignored, null as absent; of a key that comes twice the last value counts. Strict about types: a wrong one is
refused with its place, for a guess would change what is stored.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ganglion_collector.errors import InvalidRequestError
from ganglion_collector.otlp import Signal, request_type
from ganglion_collector.receivers.otlp.json_fields import Reader, WrongValue, scalar_reader

__all__ = ["json_to_protobuf"]

_MAX_DEPTH = 100
"""Messages within messages that protobuf parsers read; deeper ones could be written but never read again."""

_ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"
_TOP_LEVEL = {
    Signal.TRACES: ("resourceSpans", "resource_spans"),
    Signal.METRICS: ("resourceMetrics", "resource_metrics"),
    Signal.LOGS: ("resourceLogs", "resource_logs"),
}


def json_to_protobuf(signal: Signal, body: bytes) -> bytes:
    """Convert an `Export<Signal>ServiceRequest` in JSON to the bytes of the same message in protobuf.

    Raises:
        InvalidRequestError: it is not JSON, holds a wrong type (with the path to it) or another signal.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"not JSON: {error}") from None
    if type(document) is not dict:
        raise InvalidRequestError("not an OTLP request: the JSON is not an object")
    fields = cast("dict[str, Any]", document)
    _check_signal(signal, fields)
    message = request_type(signal)
    try:
        return message(**_message_reader(message.DESCRIPTOR).read(fields, 1)).SerializeToString()
    except WrongValue as wrong:
        raise InvalidRequestError(f"{_path(reversed(wrong.path))}: {wrong}") from None
    except RecursionError:
        raise InvalidRequestError(f"it is nested deeper than {_MAX_DEPTH} messages") from None


def _check_signal(signal: Signal, document: dict[str, Any]) -> None:
    if not document or any(key in document for key in _TOP_LEVEL[signal]):
        return
    for other, keys in _TOP_LEVEL.items():
        if any(key in document for key in keys):
            text = f"these are {other.value}, not {signal.value}; send them to the {other.value} path"
            raise InvalidRequestError(text)
    raise InvalidRequestError(f"not {signal.value} in OTLP/JSON: it has no {_TOP_LEVEL[signal][0]}")


class _MessageReader:
    """Turns JSON objects into keyword arguments of one message type."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._name = descriptor.name
        self._fields: dict[str, tuple[str, Reader]] = {}
        self._oneofs = [frozenset(field.name for field in oneof.fields) for oneof in descriptor.oneofs]
        # Messages contain themselves (AnyValue): the fields are read off when they are first needed.
        self._descriptor = descriptor

    def read(self, value: Any, depth: int) -> dict[str, Any]:
        if type(value) is not dict:
            raise WrongValue(f"an object ({self._name}) is expected")
        if depth > _MAX_DEPTH:
            raise WrongValue(f"it is nested deeper than {_MAX_DEPTH} messages")
        fields = self._fields or self._read_fields()
        result: dict[str, Any] = {}
        content = cast("dict[str, Any]", value)
        for key, inner in content.items():
            field = fields.get(key)
            if field is None or inner is None:
                continue
            name, reader = field
            try:
                result[name] = reader(inner, depth)
            except WrongValue as wrong:
                wrong.path.append(key)
                raise
        for oneof in self._oneofs:
            _check_oneof(oneof, result)
        return result

    def _read_fields(self) -> dict[str, tuple[str, Reader]]:
        for field in self._descriptor.fields:
            reader = _field_reader(field)
            self._fields[field.json_name] = self._fields[field.name] = (field.name, reader)
        return self._fields


def _check_oneof(names: frozenset[str], result: dict[str, Any]) -> None:
    if len(names & result.keys()) > 1:
        raise WrongValue(f"only one of {', '.join(sorted(names & result.keys()))} may be set")


@cache
def _message_reader(descriptor: Descriptor) -> _MessageReader:
    return _MessageReader(descriptor)


def _field_reader(field: FieldDescriptor) -> Reader:
    if field.message_type is None:
        single = scalar_reader(field)
        return _list_reader(single) if field.is_repeated else single
    reader = _message_reader(field.message_type)

    def nested(value: Any, depth: int) -> dict[str, Any]:
        return reader.read(value, depth + 1)

    def nested_or_empty(value: Any, depth: int) -> dict[str, Any]:
        return {} if value is None else reader.read(value, depth + 1)

    if not field.is_repeated:
        return nested
    return _list_reader(nested_or_empty if field.message_type.full_name == _ANY_VALUE else nested)


def _list_reader(single: Reader) -> Reader:
    def read(value: Any, depth: int) -> list[Any]:
        if type(value) is not list:
            raise WrongValue("an array is expected")
        result: list[Any] = []
        try:
            for inner in cast("Sequence[Any]", value):
                result.append(single(inner, depth))  # noqa: PERF401 (its length is the index of what is wrong)
        except WrongValue as wrong:
            wrong.path.append(len(result))
            raise
        return result

    return read


def _path(parts: Iterable[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")
