"""Tokens and what they cost, as LangSmith's `usage_metadata`."""

from collections.abc import Mapping
from typing import cast

from ganglion_exporters._langsmith._values import JSON, Object, literal

__all__ = ["USAGE", "read_usage"]

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
"""Attributes that are read here."""


def read_usage(known: Mapping[str, JSON], complete: tuple[JSON, ...]) -> Object:
    """Return `usage_metadata`, empty where nothing is known of it.

    `complete` are sources that may say all of it, the best first; the attributes fill what they leave open.
    """
    usage: Object = {}
    for source in complete:
        found = literal(source)
        if isinstance(found, dict):
            _fill(usage, found)
    if not USAGE.isdisjoint(known):
        _fill(
            usage,
            _counted({name: known[name] for name in USAGE & known.keys() if _WHOLE_DETAILS.get(name) not in usage}),
        )
    _sum(usage)
    return usage


def _counted(known: Mapping[str, JSON]) -> Object:
    usage: Object = {}
    for name in sorted(known, key=_RANK.__getitem__):
        value = known[name]
        if name in _WHOLE_DETAILS:
            found = literal(value)
            if isinstance(found, dict):
                _fill(usage, {_WHOLE_DETAILS[name]: found})
        elif (number := _count(value)) is not None:
            if name in _NUMBERS:
                usage.setdefault(_NUMBERS[name], number)
            else:
                group, part = _PARTS[name]
                _fill(usage, {group: {part: number}})
    return usage


def _count(value: JSON) -> int | float | None:
    """Return a number that can be a count or a cost; JavaScript's SDKs write some as text."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return value


def _fill(usage: Object, more: Mapping[str, JSON]) -> None:
    for key, value in more.items():
        known = usage.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            usage[key] = {**value, **known}
        elif known is None and value is not None:
            usage[key] = value


def _sum(usage: Object) -> None:
    """Complete the total; input that was counted without what came from or went to a cache gets it added."""
    given, written, details = usage.get(_INPUT), usage.get(_OUTPUT), usage.get(_INPUT_DETAILS)
    if isinstance(details, dict) and isinstance(given, int):
        cached = sum(
            cast("int", details[key]) for key in ("cache_read", "cache_creation") if _is_count(details.get(key))
        )
        if cached > given:
            usage[_INPUT] = given = given + cached
            usage.pop(_TOTAL, None)
    if usage.get(_TOTAL) is None and (_is_count(given) or _is_count(written)):
        usage[_TOTAL] = sum(cast("int", count) for count in (given, written) if _is_count(count))


def _is_count(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
