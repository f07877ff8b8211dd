"""Configuration in the OpenTelemetry Collector's grammar.

sources ──read──▶ merge ──▶ expand ${…} ──▶ conform and validate each component ──▶ check the pipelines
                                                    └─ every error, one line each ─┘
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ganglion_collector.config.assemble import assemble
from ganglion_collector.config.catalog import Row, list_components
from ganglion_collector.config.expand import Expander
from ganglion_collector.config.merge import merge, setting, unflatten
from ganglion_collector.config.model import (
    CollectorConfig,
    Component,
    LogTelemetry,
    MetricTelemetry,
    Pipeline,
    Telemetry,
)
from ganglion_collector.config.problems import invalid
from ganglion_collector.config.providers import read_source
from ganglion_collector.config.schema import json_schema
from ganglion_collector.config.wrapper import unwrap
from ganglion_collector.errors import ConfigError

__all__ = [
    "CollectorConfig",
    "Component",
    "LogTelemetry",
    "MetricTelemetry",
    "Pipeline",
    "Row",
    "Telemetry",
    "from_mapping",
    "json_schema",
    "list_components",
    "load",
]

_MAX_SOURCES = 100


def load(uris: Sequence[str], *, sets: Sequence[str] = (), environ: Mapping[str, str]) -> CollectorConfig:
    """Read, merge, expand and check a configuration.

    Args:
        uris: paths or `file:`, `env:`, `yaml:` URIs; later ones go over earlier ones.
        sets: `a.b.c=value` or `a::b::c=value`, over all of them.
        environ: where `${env:X}` looks.

    Raises:
        InvalidConfigError: with every error.
    """
    if not 0 < len(uris) <= _MAX_SOURCES:
        reason = f"{len(uris)} configurations are given"
        raise invalid([ConfigError("--config", None, reason, f"give 1 to {_MAX_SOURCES}")])
    merged, errors = _merged(uris, sets, environ)
    if errors:
        raise invalid(errors)
    expander = Expander(environ)
    resolved = expander.expand(merged)
    return assemble(resolved, expander.warnings, expander.errors)


def from_mapping(raw: Mapping[str, Any]) -> CollectorConfig:
    """Check a configuration that is resolved already, such as `CollectorConfig.raw`; nothing in it is expanded.

    Raises:
        InvalidConfigError: with every error.
    """
    return assemble(raw)


def _merged(
    uris: Sequence[str], sets: Sequence[str], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[ConfigError]]:
    merged: dict[str, Any] = {}
    errors: list[ConfigError] = []
    for uri in uris:
        try:
            name, value = read_source(uri, environ)
            merged = merge(merged, unflatten(unwrap(value, name)))
        except ConfigError as error:
            errors.append(error)
    for assignment in sets:
        try:
            merged = merge(merged, setting(assignment))
        except ConfigError as error:
            errors.append(error)
    return merged, errors
