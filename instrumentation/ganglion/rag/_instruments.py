"""The instruments behind `ganglion.rag`.

An instrument's name and unit are chosen for what a Prometheus exporter makes of them: dots become underscores, a unit
in braces adds nothing, `By` adds `_bytes`, a monotonic sum adds `_total`. `ms` would add `_milliseconds` to a name that
has to end in `_ms`, therefore latency carries its unit in braces.
"""

import threading
from collections.abc import Mapping

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider

from ganglion.rag._values import number

__all__ = ["Instruments", "add", "instruments", "record"]

_LATENCIES_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 1_048_576)
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class Instruments:
    """Every instrument, made by one meter."""

    def __init__(self, meter: Meter) -> None:
        self._of_layers(meter)
        self._of_models(meter)
        self._of_data(meter)
        self._of_quality(meter)

    def _of_layers(self, meter: Meter) -> None:
        self.requests = meter.create_counter("rag.requests", "{request}", "Operations of a layer that ended")
        self.errors = meter.create_counter("rag.errors", "{error}", "Operations of a layer that failed")
        self.active = meter.create_up_down_counter("rag.active_queries", "{query}", "Outermost operations under way")
        self.latency = meter.create_histogram(
            "rag.request.latency_ms",
            "{millisecond}",
            "Time an operation took",
            explicit_bucket_boundaries_advisory=_LATENCIES_MS,
        )

    def _of_models(self, meter: Meter) -> None:
        self.cost = meter.create_counter("rag.cost_usd", "{USD}", "Money spent on models")
        self.rate_limits = meter.create_counter("rag.rate_limit.hits", "{hit}", "Requests that a model's owner put off")
        self.tokens = meter.create_histogram(
            "rag.token_usage",
            "{token}",
            "Tokens of one call of a model, input and output",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def _of_data(self, meter: Meter) -> None:
        self.documents = meter.create_counter("rag.documents", "{document}", "Documents parsed")
        self.chunks = meter.create_counter("rag.chunks", "{chunk}", "Chunks created")
        self.cache_hits = meter.create_counter("rag.cache.hits", "{hit}", "Lookups that a cache answered")
        self.cache_misses = meter.create_counter("rag.cache.misses", "{miss}", "Lookups that a cache did not answer")
        self.cache_size = meter.create_gauge("rag.cache.size", "By", "Bytes that a cache holds")

    def _of_quality(self, meter: Meter) -> None:
        self.claims = meter.create_counter("rag.claims", "{claim}", "Claims of answers that were checked")
        self.hallucinated = meter.create_counter("rag.hallucinated_claims", "{claim}", "Claims without support")
        self.tiers = meter.create_counter("rag.quality_tiers", "{answer}", "Answers of a quality tier")
        self.scores = meter.create_histogram(
            "rag.ragas_score",
            "{score}",
            "RAGAS scores, 0 to 1",
            explicit_bucket_boundaries_advisory=_SCORES,
        )


_lock = threading.Lock()
_made: tuple[MeterProvider, Instruments] | None = None


def instruments() -> Instruments:
    """Give the instruments of the present global meter provider.

    Before one is set they are the API's proxies, which measure nothing.
    """
    provider = metrics.get_meter_provider()
    made = _made
    return made[1] if made is not None and made[0] is provider else _make(provider)


def _make(provider: MeterProvider) -> Instruments:
    global _made  # noqa: PLW0603 - one set of instruments for the process
    with _lock:
        if _made is None or _made[0] is not provider:
            _made = (provider, Instruments(provider.get_meter("ganglion.rag")))
        return _made[1]


def add(counter: Counter, value: object, labels: Mapping[str, str], context: Context | None = None) -> None:
    """Add `value` where it is a finite number above zero, or zero; a counter cannot take another."""
    amount = number(value)
    if amount is not None and amount >= 0:
        counter.add(amount, labels, context)


def record(histogram: Histogram, value: object, labels: Mapping[str, str], context: Context | None = None) -> None:
    """Record `value` where it is a finite number that is not negative: one NaN would spoil the sum for ever."""
    amount = number(value)
    if amount is not None and amount >= 0:
        histogram.record(amount, labels, context)
