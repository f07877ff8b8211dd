"""Several configurations into one: maps merge deeply, everything else is replaced, null wipes."""

from collections.abc import Mapping
from typing import Any

from ganglion_collector.config.document import is_map, parse_document
from ganglion_collector.errors import ConfigError

__all__ = ["merge", "setting", "unflatten"]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` on top, as the Collector merges its sources; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if is_map(below) and is_map(value) else value
    return merged


def unflatten(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Write out top-level keys such as `processors::batch::timeout` as nested maps."""
    result: dict[str, Any] = {}
    for key, value in raw.items():
        nested: Any = value
        *outer, first = reversed(key.split("::"))
        for part in [*outer, first]:
            nested = {part: nested}
        result = merge(result, nested)
    return result


def setting(assignment: str) -> dict[str, Any]:
    """Read one `--set` argument: `a.b.c=value` or `a::b::c=value`, the value in YAML.

    Raises:
        ConfigError: there is no key or no `=`, or the value is not YAML.
    """
    key, equals, text = assignment.partition("=")
    parts = key.strip().split("::" if "::" in key else ".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {key}".strip(), None, "is not key=value", "write --set=processors.batch.timeout=2s")
    nested: Any = parse_document(text, f"--set {key.strip()}")
    for part in reversed(parts):
        nested = {part: nested}
    return dict(nested)
