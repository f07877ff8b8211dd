"""What the exporter counts of itself."""

from prometheus_client import Counter

__all__ = ["DROPPED", "REJECTED_REQUESTS", "SAMPLES"]

DROPPED = Counter("ganglion_prometheusremotewrite_dropped_points", "Points that are not sent, by reason.", ("reason",))
SAMPLES = Counter("ganglion_prometheusremotewrite_samples", "Samples and histograms that a destination has taken.")
REJECTED_REQUESTS = Counter(
    "ganglion_prometheusremotewrite_partly_rejected_requests",
    "Requests of which the destination refused samples as out of order, too old or repeated, and stored the rest.",
)
