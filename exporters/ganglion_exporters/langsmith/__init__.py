"""Send traces to LangSmith, complete and once: as runs that this exporter makes, or passed on as OTLP."""

from ganglion_collector.component import Exporter, ExporterFactory, Signal

from ganglion_exporters._langsmith.configuration import (
    AssemblyConfig,
    LangSmithConfig,
    RateLimitConfig,
    SpoolConfig,
    why_disabled,
)
from ganglion_exporters._langsmith.exporter import LangSmithExporter
from ganglion_exporters._langsmith.forwarding import LangSmithForwarder

__all__ = [
    "AssemblyConfig",
    "LangSmithConfig",
    "LangSmithExporter",
    "LangSmithForwarder",
    "RateLimitConfig",
    "SpoolConfig",
    "factory",
]


def _create(config: LangSmithConfig) -> Exporter:
    return LangSmithForwarder(config) if config.mode == "otlp" else LangSmithExporter(config)


factory = ExporterFactory(
    component_type="langsmith",
    config=LangSmithConfig,
    create=_create,
    signals=frozenset({Signal.LOGS, Signal.TRACES}),
    shared=True,
    disabled=why_disabled,
)
