"""The keys of the `prometheus` exporter."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ganglion_collector.component import Config, Duration, ExporterConfig
from ganglion_collector.endpoint import EndpointText
from ganglion_collector.tls import TLSServerConfig
from pydantic import Field, field_validator

from ganglion_exporters._prometheus.names import TranslationStrategy
from ganglion_exporters._prometheus.translate import TranslationSettings

__all__ = ["PrometheusConfig", "translation_settings"]

_ONE_PAGE = "the server has one page to read and nothing to send to"
_OF_PROMETHEUS = ("le", "quantile", "otel_metric_overflow")
_SERVICE = ("service.name", "service.namespace", "service.instance.id")


class ResourceConversionConfig(Config):
    """The Collector's older way to copy resource attributes."""

    enabled: bool = False
    """Copy every resource attribute to the labels of all series of that resource."""
    exclude_service_attributes: bool = False
    """Leave out the three attributes that `job` and `instance` are made of."""


class ResourceLabelsConfig(Config):
    """Resource attributes that become labels; patterns such as `k8s.pod.*`."""

    included: tuple[str, ...] = ()
    """Those to copy; with `excluded` alone all others are."""
    excluded: tuple[str, ...] = ()
    """Those to leave out, also where `included` names them."""


class TargetInfoConfig(Config):
    """The series that carries a resource's attributes."""

    enabled: bool = True
    """Show `target_info`, one series for each job and instance."""


class PrometheusConfig(ExporterConfig):
    """The Collector's `prometheus` exporter: a page that Prometheus reads."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "compression_algorithms": "answers are compressed by gzip where the reader asks for it",
        "cors": _ONE_PAGE,
        "include_metadata": _ONE_PAGE,
        "max_request_body_size": _ONE_PAGE,
        "idle_timeout": "a connection that is not used is closed after 5 s",
        "keep_alives_enabled": "connections are kept while they are used",
        "read_header_timeout": "the HTTP library chooses it",
        "read_timeout": _ONE_PAGE,
        "write_timeout": "a reader that has not taken its answer after 60 s is cut off",
    }

    endpoint: EndpointText = "localhost:8889"
    """Where to listen; the page is at `/metrics`."""
    tls: TLSServerConfig | None = None
    """The server's certificate; without it the page goes out over plain HTTP."""
    namespace: str = ""
    """Prefix of every metric's name, followed by `_`."""
    const_labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels that every series gets which does not have them itself."""
    send_timestamps: bool = False
    """Give each sample the time of its point, which puts an end to Prometheus' own marking of series that are gone."""
    metric_expiration: Duration = Field(default=300.0, ge=0)
    """How long a gauge stays without a point; 0 is for ever."""
    counter_expiration: Duration = Field(default=3600.0, ge=0)
    """The same for counters, histograms and summaries, at least as long as for gauges: one that goes away and comes
    back is taken for a restart of its sender by some queries; 0 is for ever."""
    max_series: int = Field(default=200_000, ge=1)
    """Most series; a very large one counts as several. Counters and histograms beyond them are summed up in one series
    of their metric, which has the label `otel_metric_overflow="true"`; gauges and summaries are left out. Both are
    counted."""
    enable_open_metrics: bool = True
    """Answer in OpenMetrics where the reader prefers it; only there and in protobuf are there exemplars."""
    add_metric_suffixes: bool = True
    """Add unit and type to names; `translation_strategy` overrules it."""
    translation_strategy: TranslationStrategy | None = None
    """How names are written; by default UnderscoreEscapingWithSuffixes."""
    without_scope_info: bool = False
    """Leave out the labels `otel_scope_…` that name the instrumentation."""
    target_info: TargetInfoConfig = TargetInfoConfig()
    """The series that carries a resource's attributes."""
    resource_constant_labels: ResourceLabelsConfig = ResourceLabelsConfig()
    """Resource attributes that become labels of every series."""
    resource_to_telemetry_conversion: ResourceConversionConfig = ResourceConversionConfig()
    """Older form of `resource_constant_labels`, which overrules it."""

    @field_validator("const_labels")
    @classmethod
    def _not_of_prometheus(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if name in _OF_PROMETHEUS or name.startswith("__"):
                raise ValueError(f"{name!r} is a label that Prometheus or this exporter gives; choose another")
        return labels

    @field_validator("translation_strategy", mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        return value or None

    @property
    def longest_without_point(self) -> float:
        """Seconds that counters stay; 0 is for ever."""
        both = (self.metric_expiration, self.counter_expiration)
        return 0.0 if 0.0 in both else max(both)


def translation_settings(config: PrometheusConfig) -> TranslationSettings:
    """Return what the translation of names and labels needs to know."""
    plain: TranslationStrategy = (
        "UnderscoreEscapingWithSuffixes" if config.add_metric_suffixes else "UnderscoreEscapingWithoutSuffixes"
    )
    included, excluded = _resource_labels(config)
    return TranslationSettings(
        namespace=config.namespace,
        constant_labels=config.const_labels,
        strategy=config.translation_strategy or plain,
        resource_included=included,
        resource_excluded=excluded,
        scope_labels=not config.without_scope_info,
        target_info=config.target_info.enabled,
    )


def _resource_labels(config: PrometheusConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    chosen, conversion = config.resource_constant_labels, config.resource_to_telemetry_conversion
    if chosen.included or chosen.excluded or not conversion.enabled:
        return chosen.included, chosen.excluded
    return ("*",), _SERVICE if conversion.exclude_service_attributes else ()
