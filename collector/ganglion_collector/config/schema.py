"""The JSON Schema of a whole configuration, for editors and for other tools."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ganglion_collector.component import Config
from ganglion_collector.config.catalog import ALIASES, KINDS, BrokenComponentError, Kind, component_types, find_factory
from ganglion_collector.config.conform import without_effect
from ganglion_collector.config.service import ServiceConfig

__all__ = ["json_schema", "models"]

_MODE: JsonSchemaMode = "validation"


class _Generator(GenerateJsonSchema):
    """Knows what the loader takes besides the fields: null blocks, and the Collector's keys that have no effect."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        properties: dict[str, Any] = result.setdefault("properties", {})
        for name, described in properties.items():
            if "$ref" in described:
                reference = {"$ref": described.pop("$ref")}
                properties[name] = {"anyOf": [reference, {"type": "null"}], **described}
        if issubclass(schema["cls"], Config):
            for key, reason in without_effect(schema["cls"]).items():
                properties[key] = {"description": f"No effect: {reason}.", "deprecated": True}
        return result


def models(kind: Kind) -> dict[str, type[Config]]:
    """Return the configuration model of every component of a kind that can be imported, by type."""
    found: dict[str, type[Config]] = {}
    for name in component_types(kind):
        try:
            factory = find_factory(kind, name)
        except BrokenComponentError:
            continue
        if factory is not None:
            found[name] = factory.config
    return found


def json_schema() -> dict[str, Any]:
    """Return the schema; `${…}` references are text and must be expanded before it is applied."""
    sections: dict[Kind, dict[str, type[Config]]] = {kind: models(kind) for kind in KINDS}
    every = {model for section in sections.values() for model in section.values()} | {ServiceConfig}
    references, definitions = models_json_schema(
        [(model, _MODE) for model in sorted(every, key=lambda model: (model.__module__, model.__qualname__))],
        schema_generator=_Generator,
    )
    properties: dict[str, Any] = {
        kind: {
            "type": ["object", "null"],
            "additionalProperties": False,
            "patternProperties": {
                _pattern(kind, name): {"anyOf": [references[model, _MODE], {"type": "null"}]}
                for name, model in section.items()
            },
        }
        for kind, section in sections.items()
    }
    properties["service"] = references[ServiceConfig, _MODE]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ganglion collector configuration",
        "type": "object",
        "additionalProperties": False,
        "required": ["service"],
        "properties": properties,
        **definitions,
    }


def _pattern(kind: Kind, name: str) -> str:
    spellings = [name, *(other for other, canonical in ALIASES[kind].items() if canonical == name)]
    return f"^({'|'.join(spellings)})(/.+)?$"
