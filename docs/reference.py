"""Tables of every configuration key, made of the components' models."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from ganglion_collector.component import Config, ConnectorFactory, parse_duration
from ganglion_collector.config.catalog import ALIASES, KINDS, Kind, find_factory, signals_of
from ganglion_collector.config.conform import without_effect
from ganglion_collector.config.connections import makes
from ganglion_collector.config.schema import models
from ganglion_collector.config.service import ServiceConfig
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

__all__ = ["blocks_of", "format_duration", "reference"]

_NAMES: Mapping[Any, str] = {
    str: "text",
    SecretStr: "text, secret",
    int: "whole number",
    float: "number",
    bool: "true or false",
    bytes: "text",
}
_LISTS = (list, tuple, set, frozenset, Sequence)
_MAPS = (dict, Mapping)
_BOUNDS: Mapping[type, tuple[str, str]] = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def reference() -> str:
    """Return the reference in Markdown: the service section, every component, then the blocks that several share."""
    sections: dict[Kind, dict[str, type[Config]]] = {kind: models(kind) for kind in KINDS}
    tops: list[type[Config]] = [ServiceConfig, *(model for section in sections.values() for model in section.values())]
    uses = Counter(block for top in tops for block in blocks_of(top))
    shared = {block for block, count in uses.items() if count > 1}
    parts = ["## `service`", *_block(ServiceConfig, shared)]
    for kind, section in sections.items():
        parts.append(f"## {kind.capitalize()}")
        for name, model in section.items():
            parts += [f"### `{name}` {kind.removesuffix('s')}", *_facts(kind, name), *_block(model, shared)]
    parts.append("## Blocks that several components have")
    for block in sorted(shared, key=_title):
        parts += [f"### {_title(block)}", *_block(block, shared)]
    return "\n\n".join(parts)


def blocks_of(model: type[Config]) -> Iterator[type[Config]]:
    """Yield every block below `model`, once for each place where it stands."""
    for info in model.model_fields.values():
        for block in _blocks(info.annotation):
            yield block
            yield from blocks_of(block)


def format_duration(seconds: float) -> str:
    """Write seconds as a Go duration: `200ms`, `1m30s`."""
    if 0 < abs(seconds) < 1:
        return f"{seconds * 1000:g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{value:g}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value]
    return "".join(parts) or "0s"


def _facts(kind: Kind, name: str) -> list[str]:
    factory = find_factory(kind, name)
    facts: list[str] = []
    if isinstance(factory, ConnectorFactory):
        facts.append(f"Makes {makes(factory.pairs)}.")
    elif factory is not None and signals_of(factory):
        facts.append(f"Signals: {', '.join(sorted(signals_of(factory)))}.")
    aliases = sorted(other for other, canonical in ALIASES[kind].items() if canonical == name)
    if aliases:
        facts.append(f"Also written {', '.join(f'`{alias}`' for alias in aliases)}.")
    return [" ".join(facts)] if facts else []


def _block(model: type[Config], shared: set[type[Config]]) -> list[str]:
    parts = [cleandoc(model.__doc__ or "")] if "__doc__" in vars(model) else []
    rows = list(_rows(model, shared, ""))
    if rows:
        head = ["| key | value | default | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)]))
    ignored = list(_ignored(model, shared, ""))
    if ignored:
        parts.append("Taken without effect:\n\n" + "\n".join(f"- {line}" for line in ignored))
    return [part for part in parts if part]


def _rows(model: type[Config], shared: set[type[Config]], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, info in model.model_fields.items():
        key = prefix + (info.alias or name)
        blocks = _blocks(info.annotation)
        inner = [block for block in blocks if block not in shared]
        value = " or ".join(dict.fromkeys(_value(info.annotation, info.metadata, shared)))
        yield f"`{key}`", value + _bounds(info.metadata), _default(info), info.description or ""
        for block in inner:
            yield from _rows(block, shared, f"{key}::{_repeated(info.annotation)}")


def _ignored(model: type[Config], shared: set[type[Config]], prefix: str) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for key, reason in without_effect(model).items():
        by_reason.setdefault(reason, []).append(f"`{prefix}{key}`")
    yield from (f"{', '.join(keys)}: {reason}" for reason, keys in by_reason.items())
    for name, info in model.model_fields.items():
        for block in _blocks(info.annotation):
            if block not in shared:
                yield from _ignored(block, shared, f"{prefix}{name}::{_repeated(info.annotation)}")


def _options(annotation: Any) -> list[tuple[Any, list[Any]]]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return [(option, [*more, *metadata]) for option, more in _options(inner)]
    if origin in {Union, UnionType}:
        return [option for part in get_args(annotation) for option in _options(part)]
    return [(annotation, [])]


def _blocks(annotation: Any) -> list[type[Config]]:
    found: list[type[Config]] = []
    for option, _ in _options(annotation):
        if isinstance(option, type) and issubclass(option, Config):
            found.append(option)
        elif get_origin(option) in {*_LISTS, *_MAPS}:
            found += _blocks(get_args(option)[-1 if get_origin(option) in _MAPS else 0])
    return found


def _repeated(annotation: Any) -> str:
    for option, _ in _options(annotation):
        if get_origin(option) in _MAPS:
            return "<name>::"
        if get_origin(option) in _LISTS:
            return "<n>::"
    return ""


def _value(annotation: Any, metadata: list[Any], shared: set[type[Config]]) -> Iterator[str]:
    for option, own in _options(annotation):
        origin, inner = get_origin(option), get_args(option)
        if _is_duration([*metadata, *own]):
            yield "duration"
        elif origin is Literal:
            yield ", ".join(f"`{choice or chr(34) * 2}`" for choice in inner)
        elif origin in _LISTS:
            yield f"list of {' or '.join(_value(inner[0], [], shared))}"
        elif origin in _MAPS:
            yield f"map to {' or '.join(_value(inner[1], [], shared))}"
        elif isinstance(option, type) and issubclass(option, Config):
            yield f"block [{_title(option)}](#{_anchor(option)})" if option in shared else "block"
        elif option is not NoneType:
            yield _NAMES.get(option, getattr(option, "__name__", str(option)))


def _bounds(metadata: list[Any]) -> str:
    found = [
        f"{sign} {getattr(item, attribute):,}"
        for item in metadata
        for kind, (sign, attribute) in _BOUNDS.items()
        if isinstance(item, kind)
    ]
    return f", {' and '.join(found)}" if found else ""


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "must be set"
    if isinstance(default, Config) or default is None:
        return ""
    if isinstance(default, SecretStr):
        return ""
    if _is_duration(info.metadata):
        return f"`{format_duration(default)}`"
    if isinstance(default, list) and next(_value(info.annotation, [], set())) == "list of duration":
        default = [format_duration(seconds) for seconds in default]
    return f"`{_written(default)}`"


def _written(value: Any) -> str:
    match value:
        case Config():
            given = [name for name in type(value).model_fields if name in value.model_fields_set]
            return _written({name: getattr(value, name) for name in given})
        case Mapping():
            return f"{{{', '.join(f'{key}: {_written(one)}' for key, one in value.items())}}}"
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(map(_written, value))}]"
        case bool():
            return str(value).lower()
        case "":
            return '""'
        case _:
            return str(value)


def _is_duration(metadata: Sequence[Any]) -> bool:
    return any(isinstance(item, BeforeValidator) and item.func is parse_duration for item in metadata)


def _title(block: type[Config]) -> str:
    return block.__name__.removesuffix("Config")


def _anchor(block: type[Config]) -> str:
    return _title(block).lower()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
