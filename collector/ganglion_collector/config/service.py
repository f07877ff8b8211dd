"""The `service` section: which extensions and pipelines run, and the collector's own telemetry."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from ganglion_collector.component import Config
from ganglion_collector.config.model import LogTelemetry, MetricTelemetry, Telemetry

__all__ = ["PipelineConfig", "ServiceConfig", "TelemetryConfig"]

_NO_OTLP_TELEMETRY = "the collector's own telemetry is JSON logs on stderr and Prometheus metrics; none is pushed"


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _zap_level(value: Any) -> Any:
    level = _lower(value)
    return {"warning": "warn", "dpanic": "fatal", "panic": "fatal"}.get(level, level)


class LogsConfig(Config):
    """The collector's own logs, on standard error."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "development": "only the Collector's logger has a development mode",
        "sampling": "repeated errors are rare by themselves: retries back off",
        "output_paths": "logs go to standard error; redirect it",
        "error_output_paths": "logs go to standard error; redirect it",
        "disable_caller": "no caller is logged",
        "disable_stacktrace": "a stack trace is logged for unexpected errors only",
        "disable_zap_resource": "no resource is logged",
        "initial_fields": "fields are added by what collects the logs",
        "processors": _NO_OTLP_TELEMETRY,
    }

    level: Annotated[Literal["debug", "info", "warn", "error", "fatal"], BeforeValidator(_zap_level)] = "info"
    """The least severe line that is written."""
    encoding: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = "json"
    """One JSON object a line, or text for people."""


class PrometheusReaderConfig(Config):
    """Where the collector's own metrics are served, at `/metrics`."""

    without_effect: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "without_scope_info",
            "without_units",
            "without_type_suffix",
            "with_resource_constant_labels",
            "translation_strategy",
        ),
        "the metrics have the Collector's default names",
    )

    host: str = "localhost"
    """Host to listen on."""
    port: int = Field(default=8888, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""


class PullExporterConfig(Config):
    """What kind of server the metrics are pulled from."""

    prometheus: PrometheusReaderConfig
    """Prometheus text format."""


class PullConfig(Config):
    """Metrics that are asked for."""

    without_effect: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("producers", "cardinality_limits"), "the collector's own metrics are few"
    )

    exporter: PullExporterConfig
    """What kind of server the metrics are pulled from."""


class ReaderConfig(Config):
    """One way to read the collector's own metrics."""

    without_effect: ClassVar[Mapping[str, str]] = {"periodic": _NO_OTLP_TELEMETRY}

    pull: PullConfig | None = None
    """Metrics that are asked for."""


class MetricsConfig(Config):
    """The collector's own metrics."""

    without_effect: ClassVar[Mapping[str, str]] = {"views": "the metrics are those of the Collector's level normal"}

    level: Annotated[Literal["none", "basic", "normal", "detailed"], BeforeValidator(_lower)] = "normal"
    """`none` serves no metrics; the others serve the same ones."""
    address: str | None = None
    """Where to serve them, as `host:port`: the Collector's old spelling. Use `readers`."""
    readers: list[ReaderConfig] | None = Field(default=None, max_length=8)
    """One reader with `pull: {exporter: {prometheus: {host, port}}}`; an empty list serves no metrics."""

    @model_validator(mode="after")
    def _one_server(self) -> "MetricsConfig":
        if sum(reader.pull is not None for reader in self.readers or ()) > 1:
            raise ValueError("has several pull readers; keep one: the metrics are served at one address")
        if self.address is not None:
            _split_address(self.address)
        return self

    def resolved(self) -> MetricTelemetry:
        """Return where the metrics are served."""
        if self.readers is None and self.address is not None:
            host, port = _split_address(self.address)
            return MetricTelemetry(self.level, host, port)
        for reader in self.readers or ():
            if reader.pull is not None:
                server = reader.pull.exporter.prometheus
                return MetricTelemetry(self.level, server.host, server.port)
        return MetricTelemetry(self.level if self.readers is None else "none")


def _split_address(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("address is not host:port; write readers with a prometheus host and port")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what `:8888` means in the Collector


class TelemetryConfig(Config):
    """What the collector says about itself."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "traces": _NO_OTLP_TELEMETRY,
        "resource": "attributes of the collector itself are added by what scrapes its metrics",
    }

    logs: LogsConfig = LogsConfig()
    """Its logs."""
    metrics: MetricsConfig = MetricsConfig()
    """Its metrics."""

    def resolved(self) -> Telemetry:
        """Return the settings that follow from all keys."""
        return Telemetry(LogTelemetry(self.logs.level, self.logs.encoding), self.metrics.resolved())


class PipelineConfig(Config):
    """One way from receivers through processors to exporters."""

    receivers: list[str] = Field(default=[])
    """Ids of the receivers, at least one."""
    processors: list[str] = Field(default=[])
    """Ids of the processors, in their order, none twice."""
    exporters: list[str] = Field(default=[])
    """Ids of the exporters, at least one."""


class ServiceConfig(Config):
    """What runs."""

    extensions: list[str] = Field(default=[])
    """Ids of the extensions that are started."""
    pipelines: dict[str, PipelineConfig] = Field(default={})
    """Pipelines by `traces`, `metrics` or `logs`, with a `/name` where there are several."""
    telemetry: TelemetryConfig = TelemetryConfig()
    """What the collector says about itself."""
