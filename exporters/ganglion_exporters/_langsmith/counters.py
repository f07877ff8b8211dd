"""What the exporter counts of itself."""

from prometheus_client import Counter, Gauge

__all__ = [
    "CUT_FIELDS",
    "DROPPED_LOGS",
    "DUPLICATE_RUNS",
    "DUPLICATE_SPANS",
    "LATE_SPANS",
    "OPEN_TRACES",
    "REFUSED_RUNS",
    "REQUESTS",
    "RUNS",
    "SPOOLED_BYTES",
    "SPOOLED_SPANS",
    "SYNTHETIC_ROOTS",
    "TROUBLE",
]

RUNS = Counter("ganglion_langsmith_runs", "Runs that LangSmith has.", ("operation",))
DUPLICATE_RUNS = Counter("ganglion_langsmith_duplicate_runs", "Runs that LangSmith had already, among those it has.")
REFUSED_RUNS = Counter("ganglion_langsmith_refused_runs", "Runs that LangSmith will never take, set aside.")
REQUESTS = Counter(
    "ganglion_langsmith_requests", "Requests with runs, by status, `none` without an answer.", ("status",)
)
LATE_SPANS = Counter("ganglion_langsmith_late_spans", "Spans sent after the root of their trace.")
DUPLICATE_SPANS = Counter("ganglion_langsmith_duplicate_spans", "Spans that came again while they still waited.")
DROPPED_LOGS = Counter(
    "ganglion_langsmith_dropped_log_records",
    "Log records that are no event: too many for their trace, or of a span that never came or was sent before.",
)
SYNTHETIC_ROOTS = Counter("ganglion_langsmith_synthetic_roots", "Roots made for traces whose own did not come in time.")
CUT_FIELDS = Counter(
    "ganglion_langsmith_cut_fields", "Inputs, outputs and the like that were too large to be sent whole."
)
OPEN_TRACES = Gauge(
    "ganglion_langsmith_open_traces",
    "Traces that wait to be complete, or to be sent.",
    multiprocess_mode="livesum",
)
SPOOLED_SPANS = Gauge("ganglion_langsmith_spooled_spans", "Spans that wait on disk.", multiprocess_mode="livesum")
SPOOLED_BYTES = Gauge("ganglion_langsmith_spooled_bytes", "What waits on disk.", multiprocess_mode="livesum")
TROUBLE = Gauge("ganglion_langsmith_trouble", "1 while LangSmith takes nothing, else 0.", multiprocess_mode="livemax")
