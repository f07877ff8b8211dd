"""Conditions on telemetry: an exactly bounded part of the OpenTelemetry Transformation Language.

    condition  = and { "or" and }            and   = term { "and" term }
    term       = "not" term | "(" condition ")" | "true" | "false" | match | comparison
    match      = "IsMatch" "(" operand "," text ")"
    comparison = operand ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand
    operand    = text | number | "true" | "false" | "nil" | enumeration | path

A path is a field of the item (`name`, `attributes["key"]`), with or without the item's own name before it
(`span.name`), or of what it lies in (`resource.attributes["key"]`, `scope.name`). Values of different types are never
equal and never ordered, but whole and fractional numbers compare; a missing attribute is `nil`.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

__all__ = ["CONTEXTS", "Condition", "Scene", "compile_condition"]


class Scene(NamedTuple):
    """An item and what it lies in; `parent` is a span event's span or a data point's metric."""

    item: Any
    scope: Any
    resource: Any
    parent: Any = None


Condition: TypeAlias = Callable[[Scene], bool]
_Operand: TypeAlias = Callable[[Scene], object]
_Field: TypeAlias = Callable[[Any], object]

_KINDS = ("METRIC_DATA_TYPE_NONE", "GAUGE", "SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM", "SUMMARY")
_METRIC_TYPES = {kind.lower(): number for number, kind in enumerate(_KINDS) if number}
_ENUMERATIONS: Mapping[str, int] = {
    **dict(Span.SpanKind.items()),
    **dict(Status.StatusCode.items()),
    **dict(SeverityNumber.items()),
    _KINDS[0]: 0,
    **{f"METRIC_DATA_TYPE_{kind.upper()}": number for kind, number in _METRIC_TYPES.items()},
}


def _fields(*names: str) -> dict[str, _Field]:
    return {name: operator.attrgetter(name) for name in names}


def _hexadecimal(name: str) -> _Field:
    return lambda message: getattr(message, name).hex()


def _number(message: Any, kind: str) -> object:
    is_number = "as_int" in message.DESCRIPTOR.fields_by_name
    return getattr(message, kind) if is_number and message.WhichOneof("value") == kind else None


_SPAN: Mapping[str, _Field] = {
    **_fields("name", "kind", "status.code", "status.message", "start_time_unix_nano", "end_time_unix_nano"),
    "trace_id.string": _hexadecimal("trace_id"),
    "span_id.string": _hexadecimal("span_id"),
    "parent_span_id.string": _hexadecimal("parent_span_id"),
}
_METRIC: Mapping[str, _Field] = {
    **_fields("name", "description", "unit"),
    "type": lambda metric: _METRIC_TYPES.get(metric.WhichOneof("data") or "", 0),
}
_SCOPE = _fields("name", "version")
_OWN_FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "span": _SPAN,
    "spanevent": _fields("name", "time_unix_nano"),
    "metric": _METRIC,
    "datapoint": {
        **_fields("start_time_unix_nano", "time_unix_nano", "flags"),
        "value_int": lambda point: _number(point, "as_int"),
        "value_double": lambda point: _number(point, "as_double"),
    },
    "log": {
        **_fields("severity_number", "severity_text", "event_name", "time_unix_nano", "observed_time_unix_nano"),
        "body": lambda log: _any_value(log.body),
        "body.string": lambda log: log.body.string_value if log.body.HasField("string_value") else None,
        "trace_id.string": _hexadecimal("trace_id"),
        "span_id.string": _hexadecimal("span_id"),
    },
}
CONTEXTS = tuple(_OWN_FIELDS)
"""The kinds of items, by the names that paths have for them."""

_PARENTS = {"spanevent": "span", "datapoint": "metric"}
_WITHOUT_ATTRIBUTES = ("metric",)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<operator>==|!=|<=|>=|<|>|[()\[\],])
    |(?P<word>[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*))""",
    re.VERBOSE,
)
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DEEPEST = 50


def compile_condition(text: str, context: str) -> Condition:
    """Return what decides `text` for an item of `context`, one of CONTEXTS; it raises nothing.

    Raises:
        ValueError: not a condition that is supported; the text reads "reason; hint".
    """
    return _Parser(text, context).parse()


class _Parser:
    def __init__(self, text: str, context: str) -> None:
        self._text = text
        self._context = context
        self._tokens = self._split(text)
        self._place = 0
        self._depth = 0

    def parse(self) -> Condition:
        found = self._condition()
        if self._peek():
            raise self._wrong(f"{self._peek()} is not expected there")
        return found

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise ValueError(
                    f"condition {text}: cannot be read from {text[place:].strip()} on; see the documentation"
                )
            tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()
        return tokens

    def _wrong(self, reason: str) -> ValueError:
        return ValueError(f"condition {self._text}: {reason}; see the documentation for what a condition can be")

    def _peek(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._place == len(self._tokens):
            raise self._wrong("it ends too early")
        self._place += 1
        return self._tokens[self._place - 1]

    def _expect(self, wanted: str) -> None:
        found = self._next()[1]
        if found != wanted:
            raise self._wrong(f"{wanted} is expected before {found}")

    def _condition(self) -> Condition:
        parts = [self._all()]
        while self._peek() == "or":
            self._next()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda scene: any(part(scene) for part in parts)

    def _all(self) -> Condition:
        parts = [self._term()]
        while self._peek() == "and":
            self._next()
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda scene: all(part(scene) for part in parts)

    def _term(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong("it is nested too deeply")
        try:
            return self._one()
        finally:
            self._depth -= 1

    def _one(self) -> Condition:
        match self._peek():
            case "not":
                self._next()
                term = self._term()
                return lambda scene: not term(scene)
            case "(":
                self._next()
                inner = self._condition()
                self._expect(")")
                return inner
            case "IsMatch":
                return self._match()
            case _:
                return self._comparison()

    def _match(self) -> Condition:
        self._next()
        self._expect("(")
        operand = self._operand()
        self._expect(",")
        kind, text = self._next()
        if kind != "text":
            raise self._wrong("the pattern of IsMatch is not a text in double quotes")
        self._expect(")")
        try:
            pattern = re.compile(_unquoted(text))
        except re.error as error:
            raise self._wrong(f"{text} is not a regular expression ({error})") from None
        return lambda scene: _matches(pattern, operand(scene))

    def _comparison(self) -> Condition:
        constant = self._peek()
        left = self._operand()
        sign = self._peek()
        if sign in {"==", "!=", *_ORDERS}:
            self._next()
            return _compared(left, sign, self._operand())
        if constant in {"true", "false"}:
            return lambda _: constant == "true"
        raise self._wrong(f"a comparison is expected after {self._tokens[self._place - 1][1]}")

    def _operand(self) -> _Operand:
        kind, text = self._next()
        if kind == "word":
            return self._named(text)
        if kind == "operator":
            raise self._wrong(f"a value is expected before {text}")
        value = _unquoted(text) if kind == "text" else (int(text) if text.lstrip("-").isdigit() else float(text))
        return lambda _: value

    def _named(self, word: str) -> _Operand:
        constants = {"true": True, "false": False, "nil": None, **_ENUMERATIONS}
        if word in constants:
            constant = constants[word]
            return lambda _: constant
        if self._peek() == "(":
            raise self._wrong(f"the function {word} is not supported")
        place, context, name = self._placed(word)
        if name == "attributes" and context not in _WITHOUT_ATTRIBUTES:
            key = self._key()
            return lambda scene: _attribute(place(scene), key)
        fields = _SCOPE if context == "scope" else _OWN_FIELDS.get(context, {})
        if name not in fields:
            raise self._wrong(f"{word} is no field of a {self._context}")
        field = fields[name]
        return lambda scene: field(place(scene))

    def _placed(self, word: str) -> tuple[Callable[[Scene], Any], str, str]:
        """Return where a path leads: what gives the message, its context and the field's name."""
        first, _, rest = word.partition(".")
        if rest and first == "resource":
            return operator.attrgetter("resource"), "resource", rest
        if rest and first in {"scope", "instrumentation_scope"}:
            return operator.attrgetter("scope"), "scope", rest
        if rest and first == _PARENTS.get(self._context):
            return operator.attrgetter("parent"), first, rest
        return operator.attrgetter("item"), self._context, rest if rest and first == self._context else word

    def _key(self) -> str:
        self._expect("[")
        kind, text = self._next()
        if kind != "text":
            raise self._wrong("the key of attributes is not a text in double quotes")
        self._expect("]")
        return _unquoted(text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])


def _attribute(message: Any, key: str) -> object:
    for attribute in message.attributes:
        if attribute.key == key:
            return _any_value(attribute.value)
    return None


def _any_value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    if isinstance(value, bool):
        return bool(pattern.search("true" if value else "false"))
    return isinstance(value, str | int | float) and bool(pattern.search(str(value)))


def _compared(left: _Operand, sign: str, right: _Operand) -> Condition:
    if sign in _ORDERS:
        order = _ORDERS[sign]
        return lambda scene: _ordered(order, left(scene), right(scene))
    wanted = sign == "=="
    return lambda scene: _equal(left(scene), right(scene)) is wanted


def _equal(left: object, right: object) -> bool:
    return (left is None and right is None) or (_alike(left, right) and left == right)


def _ordered(order: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    return _alike(left, right) and order(left, right)


def _alike(left: object, right: object) -> bool:
    for kind in (bool, int | float, str, bytes):
        if isinstance(left, kind):
            return isinstance(right, kind) and isinstance(left, bool) == isinstance(right, bool)
    return False
