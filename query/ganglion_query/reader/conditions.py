"""Conditions on attributes as SQL over logs and spans. Keys and values are parameters, never text of a statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.conditions import number_of
from ganglion_query.model import Condition

__all__ = ["LOGS", "SPANS", "Source", "all_of"]

_TEXT = ("user_id", "session_id", "tenant_id", "request_id", "service_name")
# What the semantic conventions call what has a column of its own.
_ALIASES = {
    "user.id": "user_id",
    "enduser.id": "user_id",
    "session.id": "session_id",
    "tenant.id": "tenant_id",
    "request.id": "request_id",
    "service.name": "service_name",
    "service.version": "version",
    "deployment.environment.name": "environment",
    "host.name": "host",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A table under its alias: the columns that a key may name, and the JSON columns with the other attributes."""

    alias: LiteralString
    text: frozenset[str]
    numbers: frozenset[str]
    documents: Sequence[str]


LOGS = Source(
    "l",
    frozenset((*_TEXT, "level", "logger", "message", "error", "environment", "version", "host", "span_id")),
    frozenset(("duration_ms", "cost_usd")),
    ("context", "metrics"),
)
SPANS = Source(
    "s",
    frozenset((*_TEXT, "name", "kind", "status", "status_message", "scope_name", "span_id")),
    frozenset(("duration_ms",)),
    ("attributes",),
)

_OF_TEXT: Mapping[str, LiteralString] = {
    "=": "{x} = {value}",
    "!=": "{x} <> {value}",
    ">": "{x} > {value}",
    ">=": "{x} >= {value}",
    "<": "{x} < {value}",
    "<=": "{x} <= {value}",
    "~": "strpos(lower({x}), lower({value})) > 0",
}
# A number is equal however it is written (512, 512.0, "512").
_OF_JSON: Mapping[str, LiteralString] = {
    "=": "({x} #>> '{{}}' = {value}::text OR {x} = to_jsonb({number}::numeric))",
    "!=": "({x} #>> '{{}}' <> {value}::text AND {x} <> to_jsonb({number}::numeric))",
    ">": "CASE WHEN jsonb_typeof({x}) = 'number' THEN {x}::numeric > {number}::numeric END",
    ">=": "CASE WHEN jsonb_typeof({x}) = 'number' THEN {x}::numeric >= {number}::numeric END",
    "<": "CASE WHEN jsonb_typeof({x}) = 'number' THEN {x}::numeric < {number}::numeric END",
    "<=": "CASE WHEN jsonb_typeof({x}) = 'number' THEN {x}::numeric <= {number}::numeric END",
}


def all_of(conditions: Sequence[Condition], source: Source, arguments: dict[str, Any]) -> list[sql.Composable]:
    """Return each condition as SQL on a row of `source`, and put its values into `arguments`.

    Raises:
        ValueError: a column of numbers is compared with what is none.
    """
    bound = _Bound(arguments)
    return [_condition(wanted, source, bound) or sql.SQL("false") for wanted in conditions]


@dataclass(frozen=True, slots=True)
class _Bound:
    """The values of a statement."""

    arguments: dict[str, Any]

    def __call__(self, value: str | float) -> sql.Placeholder:
        name = f"condition_{len(self.arguments)}"
        self.arguments[name] = value
        return sql.Placeholder(name)


def _condition(wanted: Condition, source: Source, bound: _Bound) -> sql.Composable | None:
    """Return `wanted` as SQL, None if nothing in the table can have such an attribute."""
    place, _, rest = wanted.key.partition(".")
    if place == "resource" and rest:
        return _of_resource(wanted, rest, source, bound)
    if place in source.documents and rest:
        return _of_document(wanted, rest, sql.Identifier(source.alias, place), bound)
    if place in {"context", "metrics", "attributes"} and rest:
        return None
    column = _ALIASES.get(wanted.key, wanted.key)
    if column in source.numbers or column in source.text:
        return _of_column(wanted, column, source, bound)
    documents = [sql.Identifier(source.alias, name) for name in source.documents]
    parts = [_of_document(wanted, wanted.key, document, bound) for document in documents]
    return _any([*parts, _of_resource(wanted, wanted.key, source, bound)])


def _of_column(wanted: Condition, column: str, source: Source, bound: _Bound) -> sql.Composable:
    x = sql.Identifier(source.alias, column)
    if column in source.text:
        return sql.SQL(_OF_TEXT[wanted.operator]).format(x=x, value=bound(wanted.value))
    number = number_of(wanted.value)
    if number is None or wanted.operator == "~":
        raise ValueError(f"{wanted.key} is a number; compare it with one: {wanted.key}>=500")
    return sql.SQL(_OF_TEXT[wanted.operator]).format(x=x, value=bound(float(number)))


def _of_resource(wanted: Condition, key: str, source: Source, bound: _Bound) -> sql.Composable:
    test = _of_document(wanted, key, sql.SQL("q.attributes"), bound)
    column = sql.Identifier(source.alias, "resource_id")
    return sql.SQL("{} IN (SELECT q.id FROM resources q WHERE {})").format(column, test)


def _of_document(wanted: Condition, key: str, document: sql.Composable, bound: _Bound) -> sql.Composable:
    x = sql.SQL("({} -> {}::text)").format(document, bound(key))
    number = number_of(wanted.value)
    if number is None or wanted.operator == "~":
        text = sql.SQL("({} #>> '{{}}')").format(x)
        return sql.SQL(_OF_TEXT[wanted.operator]).format(x=text, value=bound(wanted.value))
    return sql.SQL(_OF_JSON[wanted.operator]).format(x=x, value=bound(wanted.value), number=bound(number))


def _any(parts: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))
