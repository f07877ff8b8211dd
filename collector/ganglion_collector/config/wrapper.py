"""Unwraps a configuration from the Kubernetes resource that the OpenTelemetry operator takes."""

from typing import Any

from ganglion_collector.config.document import is_map, parse_document
from ganglion_collector.errors import ConfigError

__all__ = ["unwrap"]


def unwrap(value: Any, source: str) -> dict[str, Any]:
    """Return the configuration in a document: the whole, or `spec.config` of `kind: OpenTelemetryCollector`.

    Raises:
        ConfigError: it is neither a map nor empty.
    """
    if is_map(value) and value.get("kind") == "OpenTelemetryCollector":
        spec = value.get("spec")
        config = spec.get("config") if is_map(spec) else None
        if isinstance(config, str):
            config = parse_document(config, f"{source} spec.config")
        if config is None:
            raise ConfigError(source, None, "OpenTelemetryCollector without spec.config", "put the configuration there")
        return unwrap(config, f"{source} spec.config")
    if value is None:
        return {}
    if not is_map(value):
        raise ConfigError(source, None, "is not a map", "begin with receivers:, exporters: and service:")
    return value
