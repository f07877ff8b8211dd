"""How a wrong configuration is told: one line each, what was written there, no secret."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ganglion_collector.config.document import is_list, is_map
from ganglion_collector.config.expand import typed
from ganglion_collector.errors import ConfigError, InvalidConfigError

__all__ = ["invalid", "join", "nearest", "printable", "problem", "shown", "validate"]

_SECRET = re.compile(
    r"token|passw|secret|authorization|credential|cookie|htpasswd|dsn|(?:^|[_-])(?:key|keys|apikey|pem|inline)$",
    re.IGNORECASE,
)
_USER_INFORMATION = re.compile(r"(?<=://)[^/@\s]*@|(?<=://).*@")
_LONGEST = 80
_SHORTEST_SECRET = 3

_HINTS = {
    "missing": ("is not set", "set it"),
    "string_type": ("must be text", "put it in quotes"),
    "bool_type": ("must be true or false", "write true or false"),
    "bool_parsing": ("must be true or false", "write true or false"),
    "int_type": ("must be a whole number", "write digits"),
    "int_parsing": ("must be a whole number", "write digits"),
    "int_from_float": ("must be a whole number", "write it without a fraction"),
    "float_type": ("must be a number", "write digits"),
    "float_parsing": ("must be a number", "write digits"),
    "list_type": ("must be a list", "write [a, b]"),
    "tuple_type": ("must be a list", "write [a, b]"),
    "frozen_set_type": ("must be a list", "write [a, b]"),
    "finite_number": ("must be a finite number", "write digits"),
    "dict_type": ("must be a map", "write key: value under it"),
    "model_type": ("must be a map", "write key: value under it"),
}


def join(path: str, key: object) -> str:
    return f"{path}::{key}" if path else str(key)


def printable(text: str) -> str:
    """Return `text` on one line: what a terminal would act on is written as an escape."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def invalid(errors: Iterable[ConfigError]) -> InvalidConfigError:
    """Make the one error of all `errors`, each on a line of its own, none twice."""
    lines = [
        ConfigError(printable(error.path), error.value, printable(error.reason), printable(error.hint))
        for error in errors
    ]
    return InvalidConfigError(list({str(line): line for line in lines}.values()))


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of `known` was perhaps meant."""
    names = sorted(known)
    match get_close_matches(name, names, n=1, cutoff=0.6):
        case [close]:
            return f"did you mean {close!r}?"
        case _:
            return f"known here: {', '.join(names)}" if names else "nothing is known here"


def problem(path: str, value: Any, reason: str, hint: str) -> ConfigError:
    """Make the error for `value` at `path`; containers, secrets and long text are not shown."""
    return ConfigError(path, shown(path, value), reason, hint)


def shown(path: str, value: Any) -> Any:
    """Return what may be printed of the value at `path`, None for nothing."""
    plain = typed(value)
    if plain is None or isinstance(plain, dict | list):
        return None
    if plain == "":
        return plain
    parts = path.split("::")
    if "headers" in parts or any(_SECRET.search(part) and not part.endswith("_file") for part in parts[1:]):
        return "***"
    if not isinstance(plain, str):
        return plain
    text = _USER_INFORMATION.sub("***@", plain)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def validate(model: type[BaseModel], body: Any, path: str, errors: list[ConfigError]) -> Any:
    """Return `body` as an instance of `model`; what is wrong goes to `errors`, and the result is None."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _add(_from_details(details, body, path), errors)
    except ConfigError as error:
        errors.append(error)
    except OSError as error:
        errors.append(problem(path, None, str(error), "name a file that can be read"))
    return None


def _add(found: ConfigError, errors: list[ConfigError]) -> None:
    # Each branch of a union complains; the first says enough.
    if all(found.path != known.path for known in errors):
        errors.append(found)


def _from_details(details: ErrorDetails, body: Any, path: str) -> ConfigError:
    where, value = _find(path, details, body)
    reason, hint = _reason(details)
    visible = shown(where, value)
    if visible == "***" and len(str(value)) > _SHORTEST_SECRET:
        reason = reason.replace(str(value), "***")
    return ConfigError(where, visible, reason, hint)


def _find(path: str, details: ErrorDetails, body: Any) -> tuple[str, Any]:
    # A union puts the names of its branches between the keys; only what is in the body is a key.
    place, current = path, body
    for part in details["loc"]:
        if is_map(current) and part in current:
            place, current = join(place, part), current[str(part)]
        elif is_list(current) and isinstance(part, int) and part < len(current):
            place, current = join(place, part), current[part]
    if details["type"] == "missing":
        return join(place, details["loc"][-1]), None
    return place, current


def _reason(details: ErrorDetails) -> tuple[str, str]:
    kind = details["type"]
    if kind in _HINTS:
        return _HINTS[kind]
    message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    reason, _, hint = message.replace("Input should be", "must be").rpartition("; ")
    if reason:
        return reason, hint
    return hint, "docs/configuration.md lists what may stand here"
