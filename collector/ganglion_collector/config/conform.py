"""Brings what a user wrote into the form that a model reads, and finds the keys that no model has.

unknown key             an error with the nearest name
key without effect      a warning with the reason, then left out
null                    a block with its defaults, or a field's default, as in the Collector
a value from `${…}`     the text for a field of text, else the value that YAML reads in it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from ganglion_collector.component import Config
from ganglion_collector.config.document import is_list, is_map
from ganglion_collector.config.expand import Expanded, typed
from ganglion_collector.config.problems import join, nearest, problem
from ganglion_collector.errors import ConfigError

__all__ = ["Conformer", "without_effect"]


def without_effect(model: type[Config]) -> dict[str, str]:
    """Return the keys that `model` and its bases take without effect, with the reasons."""
    keys: dict[str, str] = {}
    for base in reversed(model.__mro__):
        keys |= vars(base).get("without_effect", {})
    return {key: reason for key, reason in keys.items() if key not in model.model_fields}


@dataclass(slots=True)
class Conformer:
    """Walks a tree along a model; what is wrong is in `errors`, what has no effect in `warnings`."""

    errors: list[ConfigError] = field(default_factory=list[ConfigError])
    warnings: list[str] = field(default_factory=list[str])

    def model(self, model: type[Config], raw: Any, path: str) -> dict[str, Any]:
        """Return plain `raw` with only keys that `model` has; null stands for an empty map."""
        body = raw.value if isinstance(raw, Expanded) else raw
        if body is None:
            return {}
        if not is_map(body):
            self.errors.append(problem(path, body, "must be a map", "write key: value under it"))
            return {}
        annotations = _annotations(model)
        ignored = without_effect(model)
        result: dict[str, Any] = {}
        for key, value in body.items():
            if key in annotations:
                self._keep(result, key, self.value(annotations[key], value, join(path, key)), annotations[key])
            elif key in ignored:
                self.warnings.append(f"{join(path, key)} has no effect here: {ignored[key]}")
            else:
                hint = nearest(key, [*annotations, *ignored])
                self.errors.append(problem(join(path, key), None, "is not a key of this block", hint))
        return result

    def value(self, annotation: Any, raw: Any, path: str) -> Any:
        """Return plain `raw` in the form that suits `annotation`."""
        options = _options(annotation)
        body = raw.value if isinstance(raw, Expanded) else raw
        for option in options:
            if _is_model(option) and (body is None or is_map(body)):
                return self.model(option, body, path)
            origin, inner = get_origin(option), get_args(option)
            if is_map(body) and origin in {dict, Mapping}:
                return {key: self.value(inner[1], child, join(path, key)) for key, child in body.items()}
            if is_list(body) and origin in {list, tuple, set, frozenset, Sequence}:
                return [self.value(inner[0], child, join(path, index)) for index, child in enumerate(body)]
        if isinstance(body, bool) and bool not in options and not {int, float}.isdisjoint(options):
            self.errors.append(problem(path, body, "must be a number", "write digits"))
            return None
        if isinstance(raw, Expanded) and _wants_text(options, body):
            return raw.text
        return typed(raw)

    @staticmethod
    def _keep(result: dict[str, Any], key: str, value: Any, annotation: Any) -> None:
        if value is not None or NoneType in _options(annotation):
            result[key] = value


def _annotations(model: type[Config]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _options(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return [option for part in get_args(annotation) for option in _options(part)]
    return [annotation]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, Config)


def _wants_text(options: list[Any], value: Any) -> bool:
    if value is None and NoneType in options:
        return False
    return any(option in {str, SecretStr} or get_origin(option) is Literal for option in options)
