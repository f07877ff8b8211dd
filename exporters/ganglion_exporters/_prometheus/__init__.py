"""What the exporters to Prometheus share: translation of OTLP metrics to its names, labels and types."""
