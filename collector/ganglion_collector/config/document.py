"""YAML as the Collector reads it (go-yaml v3), with limits that hostile input meets.

Differs from PyYAML's reading of YAML 1.1: `yes`, `no`, `on`, `off`, dates and `12:30` are strings, `5_000` and `0o17`
are integers, a key that stands twice is an error, and keys are always strings.
"""

import re
from typing import Any, TypeGuard

import yaml

from ganglion_collector.errors import ConfigError

__all__ = ["MAX_CHARACTERS", "is_list", "is_map", "parse_document"]

MAX_CHARACTERS = 1024 * 1024
_MAX_NODES = 100_000
_MAX_DEPTH = 64
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own name and type; filled below


for _name, _pattern in {
    "merge": r"<<",
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)  # pyright: ignore[reportUnknownMemberType] - untyped in the stubs


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value of a document is a map."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a value of a document is a list."""
    return isinstance(value, list)


def parse_document(text: str, source: str) -> Any:
    """Return the one document in `text` as dicts, lists, strings, numbers, booleans and None.

    Raises:
        ConfigError: it is not YAML, or too large, too deep or repeats itself too often; its path is `source`, its
            reason begins with the line. It never quotes the text, which may hold secrets.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(source, None, f"is larger than {MAX_CHARACTERS} characters", "a configuration is not")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _error(source, error.problem_mark, str(error.problem), "correct the YAML there") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character[:1])
        reason = f"line {line}: holds a character that YAML forbids (U+{code:04X})"
        raise ConfigError(source, None, reason, "a configuration is text in UTF-8") from None
    except (RecursionError, ValueError):
        raise ConfigError(source, None, f"is nested more than {_MAX_DEPTH} levels", "a configuration is not") from None
    return None if root is None else _Converter(source).value(root, 0)


def _error(source: str, mark: yaml.Mark | None, reason: str, hint: str) -> ConfigError:
    place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return ConfigError(source, None, place + reason, hint)


class _Converter:
    """Turns nodes into values, counting them: an alias costs as much as writing out what it stands for."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise self._error(node, f"has more than {_MAX_NODES} values, aliases written out", "use fewer aliases")
        if depth > _MAX_DEPTH:
            raise self._error(node, f"is nested more than {_MAX_DEPTH} levels", "a configuration is not")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, depth + 1) for child in node.value]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _TAG + "merge":
                merged = self._merged(child, depth) | merged
                continue
            name = self._key(key)
            if name in own:
                raise self._error(key, f"the key {name!r} stands twice in the same map", "keep one of them")
            own[name] = self.value(child, depth + 1)
        return merged | own

    def _merged(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        value = self.value(node, depth + 1)
        maps: list[Any] = value[::-1] if is_list(value) else [value]
        merged: dict[str, Any] = {}
        for part in maps:
            if not is_map(part):
                raise self._error(node, "`<<` merges maps only", "name an anchor of a map")
            merged |= part
        return merged

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key must be a name", "write it as text")
        return str(node.value)

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        match str(node.tag).replace(_TAG, "!!"):
            case "!!str" | "!!merge":
                return text
            case "!!null":
                return None
            case "!!bool":
                return text.lower() == "true"
            case "!!int" | "!!float" as kind:
                return self._number(node, kind, text.replace("_", ""))
            case tag:
                raise self._error(node, f"the tag {tag!r} is not supported", "write the plain value")

    def _number(self, node: yaml.Node, kind: str, text: str) -> int | float:
        try:
            number = _integer(text) if kind == "!!int" else float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            raise self._error(node, "is not a number", "quote it if it is text") from None
        return number

    def _error(self, node: yaml.Node, reason: str, hint: str) -> ConfigError:
        return _error(self._source, node.start_mark, reason, hint)


def _integer(text: str) -> int | float:
    digits = text.lstrip("+-")
    if len(digits) > 66:
        return float(text)
    leading_zero = len(digits) > 1 and digits.isdigit() and digits.startswith("0")
    try:
        number = int(text, 8) if leading_zero else int(text, 0)
    except ValueError:
        return float(text)
    return number if -(2**63) <= number < 2**64 else float(number)
