"""What a configuration is once it is read: components by id, pipelines, and the collector's own telemetry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ganglion_collector.component import (
    Config,
    ConnectorFactory,
    ExporterFactory,
    ExtensionFactory,
    ProcessorFactory,
    ReceiverFactory,
    Signal,
)

__all__ = ["CollectorConfig", "Component", "LogTelemetry", "MetricTelemetry", "Pipeline", "Telemetry"]

F_co = TypeVar("F_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Component(Generic[F_co]):
    """A component as one configuration wants it; `id` is `type[/name]` as the user wrote it."""

    id: str
    factory: F_co
    config: Config


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A way from receivers through processors to exporters, by their ids; `id` is `signal[/name]`.

    A connector's id stands among the exporters of the pipelines that it ends, the receivers of those that it begins.
    """

    id: str
    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogTelemetry:
    """The collector's own logs; `level` is debug, info, warn, error or fatal, `encoding` json or console."""

    level: str = "info"
    encoding: str = "json"


@dataclass(frozen=True, slots=True)
class MetricTelemetry:
    """The collector's own metrics; level `none` does not serve them."""

    level: str = "normal"
    host: str = "localhost"
    port: int = 8888


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the collector says about itself."""

    logs: LogTelemetry = LogTelemetry()
    metrics: MetricTelemetry = MetricTelemetry()


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A valid configuration. The components are those in use, extensions in the order of `service::extensions`.

    `raw` is the resolved configuration, ready for JSON and for `from_mapping`; it holds secrets.
    """

    raw: Mapping[str, Any]
    receivers: Mapping[str, Component[ReceiverFactory[Any]]]
    processors: Mapping[str, Component[ProcessorFactory[Any]]]
    exporters: Mapping[str, Component[ExporterFactory[Any]]]
    connectors: Mapping[str, Component[ConnectorFactory[Any]]]
    extensions: Mapping[str, Component[ExtensionFactory[Any]]]
    pipelines: Mapping[str, Pipeline]
    telemetry: Telemetry
    warnings: tuple[str, ...] = ()
