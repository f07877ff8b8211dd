"""The Collector's keys for span metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ganglion_collector.component import Config, Duration

__all__ = ["Dimension", "SpanMetricsConfig"]

_OWN_DIMENSIONS = ("service.name", "span.name", "span.kind", "status.code")
_DEFAULT_BUCKETS = [0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.4, 2.0, 5.0, 10.0, 15.0]


class Dimension(Config):
    """An attribute that tells series apart."""

    name: str = Field(min_length=1)
    """Looked up among the span's attributes, then among its resource's."""
    default: str | None = None
    """Taken where neither has it; without a default such a span's series lacks the attribute."""


class ExplicitConfig(Config):
    """Buckets with given bounds."""

    buckets: list[Duration] = Field(default=_DEFAULT_BUCKETS, min_length=1)
    """Upper bounds, ascending."""

    @field_validator("buckets")
    @classmethod
    def _ascend(cls, buckets: list[float]) -> list[float]:
        if not all(low < high for low, high in pairwise(buckets)):
            raise ValueError("the bounds do not ascend; write each once, the smallest first")
        return buckets


class ExponentialConfig(Config):
    """Buckets that grow by a factor, which adapts itself to what is measured."""

    max_size: int = Field(default=160, ge=2, le=10_000)
    """Most buckets."""


class HistogramConfig(Config):
    """How durations are measured."""

    disable: bool = False
    """Measure no durations, count calls only."""
    unit: Literal["ms", "s"] = "ms"
    """Unit of the durations."""
    explicit: ExplicitConfig | None = None
    """Given bounds; the default unless `exponential` is written."""
    exponential: ExponentialConfig | None = None
    """Bounds that adapt themselves."""
    dimensions: list[Dimension] = Field(default=[])
    """Further attributes of durations alone."""

    @model_validator(mode="after")
    def _one_kind(self) -> "HistogramConfig":
        if self.explicit is not None and self.exponential is not None:
            raise ValueError("explicit and exponential exclude each other; write one of them")
        return self

    @property
    def bounds(self) -> tuple[float, ...]:
        """The bounds of explicit buckets, in the unit."""
        factor = 1000 if self.unit == "ms" else 1
        # Seconds come from a decimal text: rounding gives its exact number of milliseconds back.
        return tuple(round(seconds * factor, 9) for seconds in (self.explicit or ExplicitConfig()).buckets)


class ExemplarsConfig(Config):
    """Traces that a number stands for."""

    enabled: bool = True
    """Keep exemplars."""
    max_per_data_point: int = Field(default=5, ge=1)
    """Most of a histogram's data point: the latest of each bucket, where there are more those of the slowest."""


class EventsConfig(Config):
    """Counts the events of spans too."""

    enabled: bool = False
    """Count them."""
    dimensions: list[Dimension] = Field(default=[])
    """Attributes of events that tell their series apart; at least one when enabled."""

    @model_validator(mode="after")
    def _has_dimensions(self) -> "EventsConfig":
        if self.enabled and not self.dimensions:
            raise ValueError("events are counted by their attributes; write at least one of dimensions")
        return self


class SpanMetricsConfig(Config):
    """Keys and defaults of the Collector, but for exemplars and the cardinality limit, which are on."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "dimensions_cache_size": "the Collector has given it up; `aggregation_cardinality_limit` bounds the series",
        "add_resource_attributes": "the metrics have the resource of their spans always",
        "enable_metrics_sampling_method": "each span counts once; a sampling rate in its trace state is not read",
    }

    dimensions: list[Dimension] = Field(default=[])
    """Further attributes of every metric."""
    calls_dimensions: list[Dimension] = Field(default=[])
    """Further attributes of calls alone."""
    exclude_dimensions: list[str] = Field(default=[])
    """Which of `service.name`, `span.name`, `span.kind` and `status.code` to leave out."""
    resource_metrics_cache_size: int = Field(default=1000, ge=1)
    """Most resources; the least recently seen are forgotten after they were sent once more."""
    resource_metrics_key_attributes: list[str] = Field(default=[])
    """Resource attributes that tell resources apart; none means all. Leave out what changes with a restart."""
    aggregation_temporality: Literal["AGGREGATION_TEMPORALITY_CUMULATIVE", "AGGREGATION_TEMPORALITY_DELTA"] = (
        "AGGREGATION_TEMPORALITY_CUMULATIVE"
    )
    """Whether each data point counts from the beginning or since the one before."""
    histogram: HistogramConfig = HistogramConfig()
    """How durations are measured."""
    metrics_flush_interval: Duration = Field(default=60.0, gt=0)
    """How often the metrics are sent."""
    metrics_expiration: Duration = Field(default=0.0, ge=0)
    """Forget a resource that has had no span for this long; 0 never does."""
    series_expiration: Duration = Field(default=0.0, ge=0)
    """Forget a series that has had no span for this long; 0 never does."""
    metric_timestamp_cache_size: int = Field(default=1000, ge=1)
    """Of how many series a delta's end is remembered, to be the start of the next."""
    namespace: str = "traces.span.metrics"
    """Before the names of the metrics, with a dot; empty for none."""
    exemplars: ExemplarsConfig = ExemplarsConfig()
    """Traces that a number stands for."""
    events: EventsConfig = EventsConfig()
    """Counting of span events."""
    include_instrumentation_scope: list[str] = Field(default=[])
    """Scopes whose name and version become attributes."""
    aggregation_cardinality_limit: int = Field(default=10_000, ge=0)
    """Most series of one metric of one resource; what is more counts in one, `otel.metric.overflow`. 0: none."""

    @field_validator("exclude_dimensions")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        if not set(names) <= set(_OWN_DIMENSIONS):
            raise ValueError(f"only default dimensions can be excluded; write some of {', '.join(_OWN_DIMENSIONS)}")
        return names

    @model_validator(mode="after")
    def _no_dimension_twice(self) -> "SpanMetricsConfig":
        for added in (self.calls_dimensions, self.histogram.dimensions, self.events.dimensions):
            _check_unique([*self.dimensions, *added])
        return self


def _check_unique(dimensions: Iterable[Dimension]) -> None:
    counted = Counter([*_OWN_DIMENSIONS, *(dimension.name for dimension in dimensions)])
    name, count = counted.most_common(1)[0]
    if count > 1:
        raise ValueError(f"the dimension {name} is there already; write it once")
