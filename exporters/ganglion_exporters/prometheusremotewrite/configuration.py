"""The keys of the `prometheusremotewrite` exporter."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from ganglion_collector.component import Config
from pydantic import Field, SecretStr, field_validator

from ganglion_exporters import _otlp
from ganglion_exporters._http import checked_url
from ganglion_exporters._prometheus.names import TranslationStrategy
from ganglion_exporters._prometheus.translate import TranslationSettings

__all__ = ["PrometheusRemoteWriteConfig", "translation_settings"]

_POOL = "the exporter has one request under way and keeps its connection"
_RESERVED = {
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-prometheus-remote-write-version",
}


class SwitchConfig(Config):
    """Something that is on or off."""

    enabled: bool = False
    """Turn it on."""


class TargetInfoConfig(Config):
    """The series that carries a resource's attributes."""

    enabled: bool = True
    """Send `target_info`, one sample for each resource of a request."""


class PrometheusRemoteWriteConfig(_otlp.OTLPExporterConfig):
    """The Collector's `prometheusremotewrite` exporter: for a Prometheus that cannot come and read."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "remote_write_queue": "the journal is the queue; requests go one after the other, which keeps the order",
        "wal": "the journal is the write-ahead log: what is acknowledged is on disk until it is sent",
        "max_batch_request_parallelism": "requests go one after the other, which keeps the order of samples",
        "compression": "the protocol has snappy only",
        "disable_keep_alives": _POOL,
        "force_attempt_http2": "requests go out by HTTP/1.1",
        "idle_conn_timeout": _POOL,
        "max_conns_per_host": _POOL,
        "max_idle_conns": _POOL,
        "max_idle_conns_per_host": _POOL,
        "read_buffer_size": "the HTTP library chooses it",
        "write_buffer_size": "the HTTP library chooses it",
    }

    endpoint: str
    """URL that takes remote writes, such as http://localhost:9090/api/v1/write."""
    external_labels: dict[str, str] = Field(default={})
    """Labels that every series gets which does not have them itself."""
    namespace: str = ""
    """Prefix of every metric's name, followed by `_`."""
    add_metric_suffixes: bool = True
    """Add unit and type to names; `translation_strategy` overrules it."""
    translation_strategy: TranslationStrategy | None = None
    """How names are written; by default UnderscoreEscapingWithSuffixes."""
    disable_scope_info: bool = False
    """Leave out the labels `otel_scope_…` that name the instrumentation."""
    target_info: TargetInfoConfig = TargetInfoConfig()
    """The series that carries a resource's attributes."""
    resource_to_telemetry_conversion: SwitchConfig = SwitchConfig()
    """Copy every resource attribute to the labels of all series of that resource."""
    export_created_metric: SwitchConfig = SwitchConfig()
    """Send `…_created`, when counters, histograms and summaries began to count, in Unix seconds."""
    send_metadata: bool = False
    """Send type, help and unit of each metric; the message of protocol 2.0 has them always."""
    protobuf_message: Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] = "prometheus.WriteRequest"
    """The message of protocol 1.0, or that of 2.0."""
    max_batch_size_bytes: int = Field(default=3_000_000, ge=1)
    """Most bytes in one request before compression; a single larger series goes alone."""
    proxy_url: SecretStr | None = None
    """HTTP proxy; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment hold."""

    @field_validator("endpoint")
    @classmethod
    def _check_url(cls, endpoint: str) -> str:
        checked_url(endpoint, "write all of it, such as http://localhost:9090/api/v1/write")
        return endpoint

    @field_validator("headers")
    @classmethod
    def _check_reserved(cls, headers: _otlp.Headers) -> _otlp.Headers:
        for name in headers:
            if name.lower() in _RESERVED:
                raise ValueError(f"{name!r} is set by the exporter itself")
        return headers

    @field_validator("external_labels")
    @classmethod
    def _not_of_prometheus(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if name in {"le", "quantile"} or name.startswith("__"):
                raise ValueError(f"{name!r} is a label that Prometheus gives; choose another")
        return labels

    @field_validator("translation_strategy", mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        return value or None

    @field_validator("proxy_url")
    @classmethod
    def _check_proxy(cls, proxy_url: SecretStr | None) -> SecretStr | None:
        if proxy_url is not None and not proxy_url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("not a proxy's URL; write http://host:port")
        return proxy_url

    @property
    def is_version_2(self) -> bool:
        return self.protobuf_message == "io.prometheus.write.v2.Request"


def translation_settings(config: PrometheusRemoteWriteConfig) -> TranslationSettings:
    """Return what the translation of names and labels needs to know."""
    plain: TranslationStrategy = (
        "UnderscoreEscapingWithSuffixes" if config.add_metric_suffixes else "UnderscoreEscapingWithoutSuffixes"
    )
    return TranslationSettings(
        namespace=config.namespace,
        constant_labels=config.external_labels,
        strategy=config.translation_strategy or plain,
        resource_included=("*",) if config.resource_to_telemetry_conversion.enabled else (),
        scope_labels=not config.disable_scope_info,
        target_info=config.target_info.enabled,
        label_target_info=True,
    )
