"""Counts spans and measures how long they take: calls, errors and durations of every service, without its help."""

from ganglion_collector.component import ConnectorFactory, Signal
from ganglion_collector.connectors.span_metrics.config import SpanMetricsConfig
from ganglion_collector.connectors.span_metrics.connector import SpanMetricsConnector

__all__ = ["SpanMetricsConfig", "SpanMetricsConnector", "factory"]

factory = ConnectorFactory(
    component_type="span_metrics",
    config=SpanMetricsConfig,
    create=SpanMetricsConnector,
    pairs=frozenset({(Signal.TRACES, Signal.METRICS)}),
)
