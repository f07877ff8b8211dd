"""What the exporter counts of itself."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["DROPPED", "EXPIRED", "OVERFLOWED", "SCRAPE_SECONDS", "SERIES"]

DROPPED = Counter("ganglion_prometheus_dropped_points", "Points that are not shown, by reason.", ("reason",))
OVERFLOWED = Counter("ganglion_prometheus_overflowed_points", "Points of series past max_series, summed up or not.")
EXPIRED = Counter("ganglion_prometheus_expired_series", "Series taken out since no point came for too long.")
SERIES = Gauge("ganglion_prometheus_series", "Series that a scrape shows.", multiprocess_mode="livesum")
SCRAPE_SECONDS = Histogram(
    "ganglion_prometheus_scrape_duration_seconds",
    "Time that it took to write a scrape's answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
