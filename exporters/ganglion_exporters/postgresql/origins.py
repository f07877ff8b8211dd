"""Where rows come from: the resource, stored once, and the instrumentation scope."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import orjson
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from ganglion_exporters.postgresql.values import JSON, NUL_SYMBOL, NULL, json_document, plain_map, text

__all__ = ["LONGEST_NAME", "Resource", "Scope", "read_resource", "read_scope", "short"]

LONGEST_NAME = 256
"""Most characters of a value in an indexed column: 1 KiB at most, where a btree takes 2.7 KB."""
LONGEST_CACHED = 4096
"""Most bytes of a serialised resource or scope that is remembered, and of a scope that every row repeats."""

_COLUMNS = {
    "service_name": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "version": ("service.version",),
    "host": ("host.name",),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of `resources`, and the columns that `logs` and `spans` repeat, as COPY text.

    `columns` are those of service name, environment, version and host that it has.
    `row` is service name, attributes as JSON, and schema URL.
    `id` is a 64-bit hash of attributes and schema URL, so that every collector finds the same one without asking. Two
    of a million different resources share one with a probability of 3e-8.
    """

    id: int
    service_name: str
    columns: Mapping[str, str]
    row: tuple[str | None, str, str | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """An instrumentation scope: `name` and `version` as COPY text, `details` what else there is to keep of it.

    A span keeps `details` in its column `scope`, a log them and the version in its `context`. Those of a `bulky` scope
    go with the first row of a request only: repeated on each row, one request could fill the disk.
    """

    name: str
    version: str
    details: Mapping[str, JSON]
    context: Mapping[str, JSON]
    bulky: bool

    def brief(self) -> "Scope":
        return Scope(self.name, self.version, {}, {}, bulky=False)


def short(value: str) -> str:
    """Return `value` as COPY text, cut to 256 characters of which the last is then `…`."""
    return text(value if len(value) <= LONGEST_NAME else value[: LONGEST_NAME - 1] + "…")


def _first(attributes: Mapping[str, JSON], *keys: str) -> str:
    name = next((name for key in keys if (name := _name(attributes.get(key))) is not None), None)
    return NULL if name is None else short(name)


def _name(value: JSON) -> str | None:
    """Return what a text column can show: a string, or a number's digits."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_resource(message: bytes, schema_url: str) -> Resource:
    """Read a serialised `Resource`.

    The columns are those of the semantic conventions: deployment.environment.name (formerly deployment.environment),
    service.version, host.name and service.name.
    """
    return (_known_resource if len(message) <= LONGEST_CACHED else _parse_resource)(message, schema_url)


def _parse_resource(message: bytes, schema_url: str) -> Resource:
    resource = ResourceMessage.FromString(message)
    dropped = resource.dropped_attributes_count
    extra: dict[str, JSON] = {"otel.dropped_attributes_count": dropped} if dropped else {}
    attributes = plain_map(resource.attributes, extra)
    service, url = _name(attributes.get("service.name")), schema_url.replace("\0", NUL_SYMBOL) or None
    found = ((column, _first(attributes, *keys)) for column, keys in _COLUMNS.items())
    columns = {column: field for column, field in found if field != NULL}
    return Resource(
        id=_identity(attributes, schema_url),
        service_name=columns.get("service_name", NULL),
        columns=columns,
        row=(None if service is None else service.replace("\0", NUL_SYMBOL), json_document(attributes), url),
    )


_known_resource = lru_cache(maxsize=1024)(_parse_resource)


def _identity(attributes: Mapping[str, JSON], schema_url: str) -> int:
    canonical = orjson.dumps([attributes, schema_url], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(canonical, digest_size=8).digest(), "big", signed=True)


def read_scope(message: bytes, schema_url: str) -> Scope:
    """Read a serialised `InstrumentationScope`."""
    return (_known_scope if len(message) <= LONGEST_CACHED else _parse_scope)(message, schema_url)


def _parse_scope(message: bytes, schema_url: str) -> Scope:
    scope = InstrumentationScope.FromString(message)
    details = _scope_details(scope, schema_url)
    return Scope(
        name=short(scope.name) if scope.name else NULL,
        version=short(scope.version) if scope.version else NULL,
        details=details,
        context={"otel.scope.version": scope.version, **details} if scope.version else details,
        bulky=len(message) + len(schema_url) > LONGEST_CACHED,
    )


_known_scope = lru_cache(maxsize=4096)(_parse_scope)


def _scope_details(scope: InstrumentationScope, schema_url: str) -> dict[str, JSON]:
    details: dict[str, JSON] = {}
    if len(scope.name) > LONGEST_NAME:
        details["otel.scope.name"] = scope.name
    if len(scope.version) > LONGEST_NAME:
        details["otel.scope.version"] = scope.version
    if scope.attributes:
        details["otel.scope.attributes"] = plain_map(scope.attributes)
    if scope.dropped_attributes_count:
        details["otel.scope.dropped_attributes_count"] = scope.dropped_attributes_count
    if schema_url:
        details["otel.scope.schema_url"] = schema_url
    return details
