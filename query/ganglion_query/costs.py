"""What the calls of models in a trace cost: as a span says, else by list prices from the tokens that it tells."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ganglion_collector.prices import Prices, Usage, default_prices

from ganglion_query.model import SpanRow, Spent

__all__ = ["dollars", "total", "with_costs"]

# Each by the conventions of OpenTelemetry, OpenInference, OpenLLMetry, Logfire, LangSmith; the most telling first.
_COSTS = ("cost_usd", "gen_ai.usage.total_cost", "gen_ai.usage.cost", "llm.cost.total", "operation.cost")
_MODELS = (
    "langsmith.metadata.ls_model_name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "embedding.model_name",
)
_PROVIDERS = (
    "langsmith.metadata.ls_provider",
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
)
_TOKENS = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_creation": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "audio_input": ("gen_ai.usage.details.input_audio_tokens", "llm.token_count.prompt_details.audio"),
    "audio_output": ("gen_ai.usage.details.output_audio_tokens", "llm.token_count.completion_details.audio"),
}
_WHOLE = ("langsmith.metadata.usage_metadata", "langsmith.usage_metadata")
_TELLING = frozenset((*_COSTS, *_WHOLE, *(name for names in _TOKENS.values() for name in names)))
# Where `usage_metadata` has each count.
_PLACES = {
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "total": ("total_tokens",),
    "cache_read": ("input_token_details", "cache_read"),
    "cache_creation": ("input_token_details", "cache_creation"),
    "cache_creation_1h": ("input_token_details", "ephemeral_1h_input_tokens"),
    "reasoning": ("output_token_details", "reasoning"),
    "audio_input": ("input_token_details", "audio"),
    "audio_output": ("output_token_details", "audio"),
}


def with_costs(spans: Sequence[SpanRow], prices: Prices | None = None) -> list[SpanRow]:
    """Return `spans` with what each cost, where that is known; without `prices` by those of this machine.

    Raises:
        ConfigError: the file of own prices is wrong.
    """
    return [
        span if _TELLING.isdisjoint(span.attributes) else replace(span, cost=_cost(span.attributes, prices))
        for span in spans
    ]


def total(spans: Sequence[SpanRow]) -> Spent | None:
    """Return what all of `spans` cost, None if nothing is known.

    A span above others with a cost repeats theirs: an agent's, a chain's or a second instrumentation's.
    """
    by_id = {span.span_id: span for span in spans}
    repeating: set[str] = set()
    for span in spans:
        above = by_id.get(span.parent_span_id or "") if span.cost is not None else None
        while above is not None and above.span_id not in repeating:
            repeating.add(above.span_id)
            above = by_id.get(above.parent_span_id or "")
    counted = [span.cost for span in spans if span.cost is not None and span.span_id not in repeating]
    if not counted:
        return None
    return Spent(round(math.fsum(one.usd for one in counted), 12), any(one.is_computed for one in counted))


def dollars(spent: Spent) -> str:
    """Return an amount with the digits that matter, marked where it is computed: `≈ $0.00042`."""
    digits = 2 if spent.usd >= 1 or spent.usd <= 0 else min(12, 1 - math.floor(math.log10(spent.usd)))
    return f"{'≈ ' if spent.is_computed else ''}${spent.usd:,.{max(2, digits)}f}"


def _cost(attributes: Mapping[str, Any], prices: Prices | None) -> Spent | None:
    whole = _whole(attributes)
    said = [attributes.get(name) for name in _COSTS] + [whole.get("total_cost")]
    given = next(filter(_is_amount, said), None)
    if given is not None:
        return Spent(float(given), is_computed=False)
    usage = _usage(attributes, whole)
    provider = next((text for name in _PROVIDERS if (text := _text(attributes, name))), "")
    for model in filter(None, (_text(attributes, name) for name in _MODELS)):
        computed = (prices or default_prices()).cost(provider, model, usage)
        if computed is not None:
            return Spent(computed.total, is_computed=True, table_date=computed.table_date)
    return None


def _usage(attributes: Mapping[str, Any], whole: Mapping[str, Any]) -> Usage:
    counts = {name: _count(_at(whole, places)) for name, places in _PLACES.items()}
    for name, sources in _TOKENS.items():
        counts[name] = counts[name] or next(filter(None, (_count(attributes.get(one)) for one in sources)), 0)
    return Usage(**counts)


def _whole(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return LangSmith's `usage_metadata`, an object or its JSON."""
    for name in _WHOLE:
        found = attributes.get(name)
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                continue
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    return {}


def _at(whole: Mapping[str, Any], places: Sequence[str]) -> Any:
    found: Any = whole
    for place in places:
        found = cast("dict[str, Any]", found).get(place) if isinstance(found, Mapping) else None
    return found


def _text(attributes: Mapping[str, Any], name: str) -> str:
    found = attributes.get(name)
    return found if isinstance(found, str) else ""


def _count(value: Any) -> int:
    """Return a number of tokens; JavaScript's SDKs write it as a float or as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return max(0, int(value))
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
