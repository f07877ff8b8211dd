"""The instruments behind `ganglion.rag`: the API's proxies until a meter provider is set.

An instrument's name and unit are chosen for what a Prometheus exporter makes of them: dots become underscores, a unit
in braces adds nothing, `By` adds `_bytes`, a monotonic sum adds `_total`. `ms` would add `_milliseconds` to a name that
has to end in `_ms`, therefore latency carries its unit in braces.
"""

from collections.abc import Mapping

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram

from ganglion.rag._values import number

__all__ = [
    "ACTIVE_QUERIES",
    "CACHE_HITS",
    "CACHE_MISSES",
    "CACHE_SIZE",
    "CHUNKS",
    "CLAIMS",
    "COST",
    "DOCUMENTS",
    "ERRORS",
    "HALLUCINATED_CLAIMS",
    "LATENCY",
    "QUALITY_TIERS",
    "RATE_LIMITS",
    "REQUESTS",
    "SCORES",
    "TOKENS",
    "add",
    "record",
]

_meter = metrics.get_meter("ganglion.rag")

REQUESTS = _meter.create_counter("rag.requests", "{request}", "Operations of a layer that ended")
ERRORS = _meter.create_counter("rag.errors", "{error}", "Operations of a layer that failed")
ACTIVE_QUERIES = _meter.create_up_down_counter("rag.active_queries", "{query}", "Outermost operations under way")
LATENCY = _meter.create_histogram(
    "rag.request.latency_ms",
    "{millisecond}",
    "Time an operation took",
    explicit_bucket_boundaries_advisory=(
        *(1, 2.5, 5, 10, 25, 50, 100, 250, 500),
        *(1000, 2000, 5000, 10_000, 30_000, 60_000),
    ),
)
TOKENS = _meter.create_histogram(
    "rag.token_usage",
    "{token}",
    "Tokens of one call of a model, input and output",
    explicit_bucket_boundaries_advisory=(16, 64, *(2**power for power in range(8, 18)), 2**20),
)
COST = _meter.create_counter("rag.cost_usd", "{USD}", "Money spent on models")
RATE_LIMITS = _meter.create_counter("rag.rate_limit.hits", "{hit}", "Requests that a model's owner put off")

DOCUMENTS = _meter.create_counter("rag.documents", "{document}", "Documents parsed")
CHUNKS = _meter.create_counter("rag.chunks", "{chunk}", "Chunks created")
CACHE_HITS = _meter.create_counter("rag.cache.hits", "{hit}", "Lookups that a cache answered")
CACHE_MISSES = _meter.create_counter("rag.cache.misses", "{miss}", "Lookups that a cache did not answer")
CACHE_SIZE = _meter.create_gauge("rag.cache.size", "By", "Bytes that a cache holds")

CLAIMS = _meter.create_counter("rag.claims", "{claim}", "Claims of answers that were checked")
HALLUCINATED_CLAIMS = _meter.create_counter("rag.hallucinated_claims", "{claim}", "Claims that no source supports")
QUALITY_TIERS = _meter.create_counter("rag.quality_tiers", "{answer}", "Answers of a quality tier")
SCORES = _meter.create_histogram(
    "rag.ragas_score",
    "{score}",
    "RAGAS scores, 0 to 1",
    explicit_bucket_boundaries_advisory=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
)


def add(counter: Counter, value: object, labels: Mapping[str, str]) -> None:
    """Add `value` where it is a finite number and not negative; a counter cannot take another."""
    amount = number(value)
    if amount is not None and amount >= 0:
        counter.add(amount, labels)


def record(histogram: Histogram, value: object, labels: Mapping[str, str]) -> None:
    """Record `value` where it is a finite number and not negative: one NaN would spoil the sum for ever."""
    amount = number(value)
    if amount is not None and amount >= 0:
        histogram.record(amount, labels)
