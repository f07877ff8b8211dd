"""What the exporter counts of itself."""

from prometheus_client import Counter, Gauge

__all__ = [
    "CUT_FIELDS",
    "DUPLICATE_RUNS",
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
REQUESTS = Counter("ganglion_langsmith_requests", "Requests with runs, by outcome.", ("outcome",))
SYNTHETIC_ROOTS = Counter("ganglion_langsmith_synthetic_roots", "Roots made for traces whose own did not come in time.")
CUT_FIELDS = Counter(
    "ganglion_langsmith_cut_fields", "Inputs, outputs and the like that were too large to be sent whole."
)
OPEN_TRACES = Gauge(
    "ganglion_langsmith_open_traces",
    "Traces that wait to be complete, or to be sent.",
    multiprocess_mode="livemostrecent",
)
SPOOLED_SPANS = Gauge(
    "ganglion_langsmith_spooled_spans", "Spans that wait on disk.", multiprocess_mode="livemostrecent"
)
SPOOLED_BYTES = Gauge("ganglion_langsmith_spooled_bytes", "What waits on disk.", multiprocess_mode="livemostrecent")
TROUBLE = Gauge(
    "ganglion_langsmith_trouble", "1 while LangSmith takes nothing, else 0.", multiprocess_mode="livemostrecent"
)
