"""`${…}` in configuration values, with the Collector's rules.

    ${env:X}  ${X}  ${env:X:-default}  ${file:/path}  ${yaml:…}     innermost first, so they nest
    $$        a dollar sign; `$X` without braces stays as it is

A reference that is the whole value takes the type that its text has in YAML, while a text field keeps the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganglion_collector.config.document import MAX_CHARACTERS, is_list, is_map, parse_document
from ganglion_collector.config.providers import retrieve
from ganglion_collector.errors import ConfigError

__all__ = ["Expanded", "Expander", "typed"]

_MAX_PASSES = 1000
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value that came from a reference: `value` as YAML reads it, `text` for a field of text."""

    value: Any
    text: str


def typed(value: Any) -> Any:
    """Return `value` with every Expanded in it as YAML reads it."""
    if isinstance(value, Expanded):
        return value.value
    if is_map(value):
        return {key: typed(child) for key, child in value.items()}
    return [typed(child) for child in value] if is_list(value) else value


@dataclass(slots=True)
class Expander:
    """Expands a whole configuration; what went wrong is in `errors`, what is odd in `warnings`."""

    environ: Mapping[str, str]
    errors: list[ConfigError] = field(default_factory=list[ConfigError])
    warnings: list[str] = field(default_factory=list[str])

    def expand(self, value: Any, path: str = "", depth: int = 0) -> Any:
        """Return `value` with references replaced; one that cannot be is None, its error recorded at its path."""
        if depth > _MAX_DEPTH:
            self.errors.append(ConfigError(path, None, "refers to itself", "end the circle of references"))
            return None
        if is_map(value):
            return {key: self.expand(child, _join(path, key), depth + 1) for key, child in value.items()}
        if is_list(value):
            return [self.expand(child, _join(path, str(index)), depth + 1) for index, child in enumerate(value)]
        return self._checked(value, path, depth) if isinstance(value, str) else value

    def _checked(self, text: str, path: str, depth: int) -> Any:
        try:
            return self._text(text, path, depth)
        except ConfigError as error:
            self.errors.append(error)
            return None

    def _text(self, text: str, path: str, depth: int) -> Any:
        whole = False
        for _ in range(_MAX_PASSES):
            reference = find_reference(text)
            if reference is None:
                return self._whole(text, path, depth) if whole else _unescape(text)
            found = self._resolve(reference[2:-1], path)
            whole = reference == text
            text = text.replace(reference, found)
            if len(text) > MAX_CHARACTERS:
                raise ConfigError(path, None, f"grows past {MAX_CHARACTERS} characters", "end the circle of references")
        raise ConfigError(path, None, "refers to itself", "end the circle of references")

    def _whole(self, text: str, path: str, depth: int) -> Any:
        try:
            value = parse_document(text, path)
        except ConfigError:
            value = text
        if isinstance(value, dict | list):
            return self.expand(value, path, depth + 1)
        plain = _unescape(text)
        return Expanded(plain if isinstance(value, str) else value, plain)

    def _resolve(self, reference: str, path: str) -> str:
        scheme, colon, rest = reference.partition(":")
        if not colon or rest.startswith("-"):
            scheme, rest = "env", reference
        retrieved = retrieve(scheme, rest, self.environ, path)
        if retrieved.warning:
            self.warnings.append(retrieved.warning)
        return retrieved.text.replace("$$", "$$$$") if retrieved.verbatim else retrieved.text


def find_reference(text: str) -> str | None:
    """Return the first innermost `${…}` of `text` that no odd number of dollar signs escapes."""
    start = 0
    while (close := text.find("}", start)) >= 0:
        opening = text.rfind("${", start, close)
        if opening >= 0:
            before = text[start:opening]
            if (len(before) - len(before.rstrip("$"))) % 2 == 0:
                return text[opening : close + 1]
        start = close + 1
    return None


def _unescape(text: str) -> str:
    return text.replace("$$", "$")


def _join(path: str, key: str) -> str:
    return f"{path}::{key}" if path else key
