"""What a LangSmith run says of itself, as span attributes: inputs, outputs, model, usage, metadata, tags."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import orjson
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

__all__ = ["RunAttributes"]

# Environment variables of the service, not of the run; and headers, which carry keys.
_LEFT_OUT = ("langsmith.metadata.LANGSMITH_", "langsmith.metadata.LANGCHAIN_", "langsmith.request.headers")


class RunAttributes:
    """Map runs with langsmith's own OpenTelemetry exporter: names and forms are those of the installed version."""

    def __init__(self) -> None:
        exporter = import_module("langsmith._internal.otel._otel_exporter").OTELExporter
        self._set = exporter(tracer_provider=trace.NoOpTracerProvider())._set_span_attributes  # noqa: SLF001
        self._serialize = import_module("langsmith._internal._operations").serialize_run_dict

    def __call__(self, operation: str, run: Mapping[str, Any]) -> Mapping[str, AttributeValue]:
        """Return the attributes of a run at its start (operation `post`) or end (`patch`); `run` stays as it is."""
        extra: Mapping[str, Any] = run.get("extra") or {}
        info: dict[str, Any] = {**run, "extra": {**extra, "metadata": extra.get("metadata") or {}}}
        collected = _Collected()
        self._set(collected, info, self._serialize(operation, {**run, "trace_id": run.get("trace_id") or run["id"]}))
        return {name: _encodable(value) for name, value in collected.attributes.items() if _belongs(name, value)}


class _Collected:
    """Stands where the exporter expects a span."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def set_attribute(self, name: str, value: Any) -> None:
        self.attributes[name] = value


def _belongs(name: str, value: Any) -> bool:
    """Tell whether an attribute is of the run and true: `langchain` is what the SDK says of any unknown model."""
    return not name.startswith(_LEFT_OUT) and (name, value) != ("gen_ai.system", "langchain")


def _encodable(value: Any) -> AttributeValue:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value)):
        return cast("list[str]", value)
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits, or a lone surrogate
        return repr(cast("object", value))
