"""Cost of a run by list prices, where the span has tokens and nobody said what they cost."""

from ganglion_collector.prices import Prices, Usage

from ganglion_exporters._langsmith._values import JSON, Object

__all__ = ["TABLE_DATE", "add_cost"]

TABLE_DATE = "ganglion.prices"
"""Metadata: the cost is computed, by the price table of this date."""


def add_cost(usage: Object, provider: str, model: str, prices: Prices) -> str:
    """Return the date of the table by which costs were added to `usage`; empty where none were."""
    if any(usage.get(name) is not None for name in ("input_cost", "output_cost", "total_cost")):
        return ""
    cost = prices.cost(provider, model, _tokens(usage))
    if cost is None:
        return ""
    usage.update(input_cost=cost.input, output_cost=cost.output, total_cost=cost.total)
    return cost.table_date


def _tokens(usage: Object) -> Usage:
    given, written = _details(usage, "input_token_details"), _details(usage, "output_token_details")
    of_5_minutes, of_1_hour = _count(given, "ephemeral_5m_input_tokens"), _count(given, "ephemeral_1h_input_tokens")
    return Usage(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        total=_count(usage, "total_tokens"),
        cache_read=_count(given, "cache_read"),
        cache_creation=_count(given, "cache_creation") or of_5_minutes + of_1_hour,
        cache_creation_1h=of_1_hour,
        reasoning=_count(written, "reasoning"),
        audio_input=_count(given, "audio"),
        audio_output=_count(written, "audio"),
    )


def _details(usage: Object, name: str) -> Object:
    found: JSON = usage.get(name)
    return found if isinstance(found, dict) else {}


def _count(counts: Object, name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
