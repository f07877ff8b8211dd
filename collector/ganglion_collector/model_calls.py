"""What spans say of a call of a model: which one, its tokens, what it cost; in the names of every convention.

Tokens and costs are as LangSmith's `usage_metadata` has them. What shows spans and what exports them share these rules.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, TypeAlias, TypeGuard

from ganglion_collector.prices import Cost, Prices, Usage

__all__ = ["MODELS", "PROVIDERS", "USAGE", "computed_cost", "models_of", "provider_of", "read_usage"]

_Object: TypeAlias = dict[str, Any]

MODELS = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "model",
    "llm.model_name",
    "llm.request.model_name",
    "llm.response.model_name",
    "embedding.model_name",
    "reranker.model_name",
)
"""The model's name, the most telling first."""

PROVIDERS = ("gen_ai.provider.name", "gen_ai.system", "llm.system", "llm.provider")
"""Who made the model, the most telling first."""

_PROVIDER_NAMES: Mapping[str, str] = {
    "aws.bedrock": "amazon_bedrock",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google_genai",
    "gcp.gen_ai": "google_genai",
    "gcp.vertex_ai": "google_vertexai",
    "gemini": "google_genai",
    "vertex_ai": "google_vertexai",
    "vertexai": "google_vertexai",
    "mistral_ai": "mistralai",
    "mistral": "mistralai",
    "x_ai": "xai",
    "langchain": "",  # what langsmith writes where it does not know
}
"""LangSmith's names for what the conventions call otherwise."""

_INPUT, _OUTPUT, _TOTAL = "input_tokens", "output_tokens", "total_tokens"
_INPUT_DETAILS, _OUTPUT_DETAILS = "input_token_details", "output_token_details"

_TOKENS: Mapping[str, str] = {
    "gen_ai.usage.input_tokens": _INPUT,
    "gen_ai.usage.prompt_tokens": _INPUT,
    "llm.token_count.prompt": _INPUT,
    "gen_ai.usage.output_tokens": _OUTPUT,
    "gen_ai.usage.completion_tokens": _OUTPUT,
    "llm.token_count.completion": _OUTPUT,
    "gen_ai.usage.total_tokens": _TOTAL,
    "llm.usage.total_tokens": _TOTAL,
    "llm.token_count.total": _TOTAL,
}
_DETAILS: Mapping[str, tuple[str, str]] = {
    "gen_ai.usage.cache_read.input_tokens": (_INPUT_DETAILS, "cache_read"),
    "gen_ai.usage.cache_read_input_tokens": (_INPUT_DETAILS, "cache_read"),
    "gen_ai.usage.details.cache_read_tokens": (_INPUT_DETAILS, "cache_read"),
    "gen_ai.usage.details.cache_read_input_tokens": (_INPUT_DETAILS, "cache_read"),
    "gen_ai.usage.details.cached_tokens": (_INPUT_DETAILS, "cache_read"),
    "llm.token_count.prompt_details.cache_read": (_INPUT_DETAILS, "cache_read"),
    "llm.token_count.prompt_details.cache_input": (_INPUT_DETAILS, "cache_read"),
    "gen_ai.usage.cache_creation.input_tokens": (_INPUT_DETAILS, "cache_creation"),
    "gen_ai.usage.cache_creation_input_tokens": (_INPUT_DETAILS, "cache_creation"),
    "gen_ai.usage.cache_write.input_tokens": (_INPUT_DETAILS, "cache_creation"),
    "gen_ai.usage.details.cache_write_tokens": (_INPUT_DETAILS, "cache_creation"),
    "gen_ai.usage.details.cache_creation_input_tokens": (_INPUT_DETAILS, "cache_creation"),
    "llm.token_count.prompt_details.cache_write": (_INPUT_DETAILS, "cache_creation"),
    "gen_ai.usage.details.input_audio_tokens": (_INPUT_DETAILS, "audio"),
    "llm.token_count.prompt_details.audio": (_INPUT_DETAILS, "audio"),
    "gen_ai.usage.reasoning.output_tokens": (_OUTPUT_DETAILS, "reasoning"),
    "gen_ai.usage.reasoning_tokens": (_OUTPUT_DETAILS, "reasoning"),
    "gen_ai.usage.details.reasoning_tokens": (_OUTPUT_DETAILS, "reasoning"),
    "llm.usage.reasoning_tokens": (_OUTPUT_DETAILS, "reasoning"),
    "llm.token_count.completion_details.reasoning": (_OUTPUT_DETAILS, "reasoning"),
    "gen_ai.usage.details.output_audio_tokens": (_OUTPUT_DETAILS, "audio"),
    "llm.token_count.completion_details.audio": (_OUTPUT_DETAILS, "audio"),
}
_WHOLE_DETAILS: Mapping[str, str] = {
    "gen_ai.usage.input_token_details": _INPUT_DETAILS,
    "gen_ai.usage.output_token_details": _OUTPUT_DETAILS,
}
_COSTS: Mapping[str, str] = {
    "llm.cost.prompt": "input_cost",
    "llm.cost.completion": "output_cost",
    "llm.cost.total": "total_cost",
    "gen_ai.usage.input_cost": "input_cost",
    "gen_ai.usage.output_cost": "output_cost",
    "gen_ai.usage.total_cost": "total_cost",
    "gen_ai.usage.cost": "total_cost",
    "operation.cost": "total_cost",
    "cost_usd": "total_cost",
}
_COST_DETAILS: Mapping[str, tuple[str, str]] = {
    "llm.cost.prompt_details.cache_read": ("input_cost_details", "cache_read"),
    "llm.cost.prompt_details.cache_input": ("input_cost_details", "cache_read"),
    "llm.cost.prompt_details.cache_write": ("input_cost_details", "cache_creation"),
    "llm.cost.prompt_details.audio": ("input_cost_details", "audio"),
    "llm.cost.completion_details.reasoning": ("output_cost_details", "reasoning"),
    "llm.cost.completion_details.audio": ("output_cost_details", "audio"),
}

_NUMBERS: Mapping[str, str] = {**_TOKENS, **_COSTS}
_PARTS: Mapping[str, tuple[str, str]] = {**_DETAILS, **_COST_DETAILS}
_RANK = {name: rank for rank, name in enumerate((*_NUMBERS, *_PARTS, *_WHOLE_DETAILS))}
USAGE = frozenset(_RANK)
"""Attributes that tell tokens or a cost."""


def models_of(attributes: Mapping[str, Any]) -> list[str]:
    """Return the names that a span has for its model, the most telling first."""
    return list(dict.fromkeys(_texts(attributes, MODELS)))


def provider_of(attributes: Mapping[str, Any]) -> str:
    """Return who made a span's model, by LangSmith's name; empty where nobody says."""
    said = (name.lower() for name in _texts(attributes, PROVIDERS))
    return next(filter(None, (_PROVIDER_NAMES.get(name, name) for name in said)), "")


def _texts(attributes: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    values = [attributes[name] for name in names if name in attributes]
    return [text for value in values if isinstance(value, str) and (text := value.strip())]


def computed_cost(usage: Mapping[str, Any], provider: str, models: Iterable[str], prices: Prices) -> Cost | None:
    """Return what a call costs by list prices, where nobody said what it did.

    The first of its model's names that has a price decides: a request may name a deployment, the answer the model.
    """
    if any(usage.get(name) is not None for name in ("input_cost", "output_cost", "total_cost")):
        return None
    tokens = _tokens(usage)
    return next((cost for model in models if (cost := prices.cost(provider, model, tokens)) is not None), None)


def read_usage(
    attributes: Mapping[str, Any], complete: Sequence[object], parse: Callable[[Any], object]
) -> dict[str, Any]:
    """Return a span's `usage_metadata`, empty where nothing is known of it.

    `complete` are sources that may say all of it, the best first; the attributes fill what they leave open. `parse`
    returns the object that a text says.
    """
    usage: _Object = {}
    for source in complete:
        if _is_object(found := parse(source)):
            _fill(usage, found)
    if not USAGE.isdisjoint(attributes):
        named = [name for name in attributes if name in USAGE and _WHOLE_DETAILS.get(name) not in usage]
        _fill(usage, _counted({name: attributes[name] for name in named}, parse))
    _sum(usage)
    return usage


def _counted(attributes: Mapping[str, Any], parse: Callable[[Any], object]) -> _Object:
    usage: _Object = {}
    for name in sorted(attributes, key=_RANK.__getitem__):
        value = attributes[name]
        if name in _WHOLE_DETAILS:
            if _is_object(found := parse(value)):
                _fill(usage, {_WHOLE_DETAILS[name]: found})
        elif (number := _number(value)) is not None:
            if name in _NUMBERS:
                usage.setdefault(_NUMBERS[name], number)
            else:
                group, part = _PARTS[name]
                _fill(usage, {group: {part: number}})
    return usage


def _number(value: object) -> int | float | None:
    """Return a number that can be a count or a cost; JavaScript's SDKs write counts as text or with a fraction of 0."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fill(usage: _Object, more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        known = usage.get(key)
        if _is_object(known) and _is_object(value):
            usage[key] = {**value, **known}
        elif known is None and value is not None:
            usage[key] = value


def _sum(usage: _Object) -> None:
    """Complete the total; input that was counted without what came from or went to a cache gets it added."""
    given, written, details = usage.get(_INPUT), usage.get(_OUTPUT), usage.get(_INPUT_DETAILS)
    if _is_object(details) and _is_count(given):
        cached = sum(_count(details, key) for key in ("cache_read", "cache_creation"))
        if cached > given:
            usage[_INPUT] = given = given + cached
            usage.pop(_TOTAL, None)
    if usage.get(_TOTAL) is None and (_is_count(given) or _is_count(written)):
        usage[_TOTAL] = sum(count for count in (given, written) if _is_count(count))


def _tokens(usage: Mapping[str, Any]) -> Usage:
    given, written = _details(usage, _INPUT_DETAILS), _details(usage, _OUTPUT_DETAILS)
    of_5_minutes, of_1_hour = _count(given, "ephemeral_5m_input_tokens"), _count(given, "ephemeral_1h_input_tokens")
    return Usage(
        input=_count(usage, _INPUT),
        output=_count(usage, _OUTPUT),
        total=_count(usage, _TOTAL),
        cache_read=_count(given, "cache_read"),
        cache_creation=_count(given, "cache_creation") or of_5_minutes + of_1_hour,
        cache_creation_1h=of_1_hour,
        reasoning=_count(written, "reasoning"),
        audio_input=_count(given, "audio"),
        audio_output=_count(written, "audio"),
    )


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = usage.get(name)
    return found if _is_object(found) else {}


def _count(counts: Mapping[str, Any], name: str) -> int:
    found = counts.get(name)
    number = None if found is None else _number(found)
    return number if isinstance(number, int) else 0


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
