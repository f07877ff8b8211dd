"""Where configuration text comes from: `file:`, `env:`, `yaml:` and bare paths, as in the Collector."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganglion_collector.config.document import MAX_CHARACTERS, parse_document
from ganglion_collector.errors import ConfigError

__all__ = ["Retrieved", "read_source", "retrieve"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a reference stands for: its text; `warning` when there was nothing where something was expected.

    `verbatim` text was not written as configuration: two dollar signs in it are two.
    """

    text: str
    warning: str | None = None
    verbatim: bool = False


def read_source(uri: str, environ: Mapping[str, str]) -> tuple[str, Any]:
    """Return the name (for error messages) and the YAML value of one `--config` argument.

    Raises:
        ConfigError: it cannot be read or is not YAML.
    """
    match = _SCHEME.fullmatch(uri)
    scheme, rest = match.groups() if match else ("file", uri)
    name = {"file": rest, "yaml": "yaml: source"}.get(scheme, uri)
    retrieved = retrieve(scheme, rest, environ, name)
    if retrieved.warning:
        raise ConfigError(name, None, "the environment variable is not set", "set it, or name a file")
    return name, parse_document(retrieved.text, name)


def retrieve(scheme: str, rest: str, environ: Mapping[str, str], path: str) -> Retrieved:
    """Return what `scheme:rest` stands for.

    Raises:
        ConfigError: at `path`, which says where the reference stands.
    """
    match scheme:
        case "env":
            return _variable(rest, environ, path)
        case "file":
            return Retrieved(_file(rest, path))
        case "yaml":
            return Retrieved(rest)
        case "http" | "https":
            reason = "a configuration is not fetched over the network"
            raise ConfigError(path, None, reason, "download it first and name the file")
        case _:
            reason = f"the source {scheme!r} is not known"
            raise ConfigError(path, None, reason, "use file:, env: or yaml:, or a path")


def _variable(rest: str, environ: Mapping[str, str], path: str) -> Retrieved:
    name, has_default, default = rest.partition(":-")
    if not _VARIABLE.fullmatch(name):
        reason = f"{name[:80]!r} is not the name of an environment variable"
        raise ConfigError(path, None, reason, "letters, digits and _ only; write $$ for a dollar sign")
    if name in environ:
        return Retrieved(environ[name], verbatim=True)
    if has_default:
        return Retrieved(default)
    return Retrieved("", f"{path}: the environment variable {name} is not set; taken as empty")


def _file(name: str, path: str) -> str:
    if not name or "\0" in name:
        raise ConfigError(path, None, "names no file", "write file: and a path")
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        where = "" if name == path else f"{name}: "
        raise ConfigError(path, None, f"{where}{error.strerror or error}", "name a file that can be read") from None
    if len(content) > MAX_CHARACTERS:
        raise ConfigError(path, None, f"{name} is larger than {MAX_CHARACTERS} bytes", "a configuration is not")
    try:
        return content.decode("utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line}: is not text in UTF-8"
        raise ConfigError(path, None, reason, "save it as UTF-8; is it the right file?") from None
