"""What the calls of models in a trace cost.

As a span says, else by list prices from the tokens that it tells, else as its logs say.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeGuard, cast

from ganglion_collector.model_calls import USAGE, computed_cost, models_of, provider_of, read_usage
from ganglion_collector.prices import Prices, default_prices

from ganglion_query.model import LogRow, SpanRow, Spent

__all__ = [
    "TELLING",
    "SpentLog",
    "calls_of",
    "cost_of",
    "cost_of_usage",
    "dollars",
    "repeating",
    "told_by_logs",
    "total",
    "trace_cost",
    "usage_of",
    "with_costs",
]


class SpentLog(Protocol):
    """What counts of a log."""

    @property
    def span_id(self) -> str | None: ...
    @property
    def message(self) -> str | None: ...
    @property
    def cost_usd(self) -> float | None: ...


# Where langsmith's, OpenLLMetry's and OpenInference's users say it themselves, which wins.
_GIVEN = ("langsmith.metadata.", "traceloop.association.properties.")
_WHOLE = ("langsmith.usage_metadata", *(f"{prefix}usage_metadata" for prefix in _GIVEN))
_SAID = frozenset({"metadata", *(f"{prefix}{name}" for prefix in _GIVEN for name in ("ls_provider", "ls_model_name"))})
TELLING = USAGE | {*_WHOLE}
"""Attributes that tell tokens or a cost."""


def with_costs(spans: Sequence[SpanRow], prices: Prices | None = None) -> list[SpanRow]:
    """Return `spans` with what each cost, where that is known; without `prices` by those of this machine.

    Raises:
        ConfigError: the file of own prices is wrong.
    """
    return [
        span if TELLING.isdisjoint(span.attributes) else replace(span, cost=cost_of(span.attributes, prices))
        for span in spans
    ]


def trace_cost(spans: Sequence[SpanRow], logs: Sequence[LogRow]) -> Spent | None:
    """Return what a trace cost, None if nothing is known; every call once.

    This is the rule, here and wherever costs are added up:

    1. A span costs what it says or what list prices make of its tokens (`with_costs`), else what its logs say.
    2. What logs of one span say is added up for each message; messages that say the same sum tell of the same call
       (`generation_complete`, then `question_answered`), others of another. Logs of no span are taken together too.
    3. A span above others with a cost repeats theirs (an agent's, a chain's, a second instrumentation's, the log of a
       whole request): it is not counted. So is one that is not here, but is named as a parent and by logs.
    """
    told = told_by_logs(logs)
    known = [(span.span_id, span.parent_span_id, span.cost or told.get(span.span_id)) for span in spans]
    here = {span.span_id for span in spans}
    parents = {log.span_id or "": log.parent_span_id for log in logs}
    absent = [(span_id, parents.get(span_id), cost) for span_id, cost in told.items() if span_id not in here]
    return _sum(_counted([*known, *absent]))


def told_by_logs(logs: Iterable[SpentLog]) -> dict[str, Spent]:
    """Return what logs say that each span cost, by its id; `""` is of logs without a span."""
    amounts: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for log in logs:
        if _is_amount(log.cost_usd):
            amounts[log.span_id or ""][log.message or ""].append(log.cost_usd)
    return {
        span_id: Spent(math.fsum({round(math.fsum(one), 12) for one in messages.values()}), is_computed=False)
        for span_id, messages in amounts.items()
    }


def total(spans: Sequence[SpanRow]) -> Spent | None:
    """Return what all of `spans` cost without what logs say, None if nothing is known."""
    return trace_cost(spans, ())


def calls_of(spans: Sequence[SpanRow], telling: Iterable[str]) -> set[str]:
    """Return which of the spans `telling` something of a call say it first: those above no other of them."""
    told = set(telling)
    cost = Spent(0, is_computed=False)
    return set(_counted((span.span_id, span.parent_span_id, cost if span.span_id in told else None) for span in spans))


def usage_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a span's tokens and costs as LangSmith's `usage_metadata`, empty where it tells none."""
    if TELLING.isdisjoint(attributes):
        return {}
    return read_usage(attributes, [attributes.get(name) for name in _WHOLE], _parsed)


def repeating(above: Mapping[str, str], telling: Iterable[str]) -> set[str]:
    """Return all spans above those that tell something, which repeat it; `above` has each span's parent, if any."""
    found: set[str] = set()
    for span_id in telling:
        parent = above.get(span_id, "")
        while parent and parent not in found:
            found.add(parent)
            parent = above.get(parent, "")
    return found


def _counted(calls: Iterable[tuple[str, str | None, Spent | None]]) -> dict[str, Spent]:
    """Return the costs (span, parent, cost) that do not repeat those of spans below, by span."""
    known = list(calls)
    above = {span_id: parent or "" for span_id, parent, _ in known}
    repeated = repeating(above, (span_id for span_id, _, cost in known if cost is not None))
    return {span_id: cost for span_id, _, cost in known if cost is not None and span_id not in repeated}


def _sum(costs: Mapping[str, Spent]) -> Spent | None:
    if not costs:
        return None
    return Spent(
        round(math.fsum(one.usd for one in costs.values()), 12), any(one.is_computed for one in costs.values())
    )


def dollars(spent: Spent) -> str:
    """Return an amount with the digits that matter, marked where it is computed: `≈ $0.00042`."""
    digits = 2 if spent.usd >= 1 or spent.usd <= 0 else min(12, 1 - math.floor(math.log10(spent.usd)))
    return f"{'≈ ' if spent.is_computed else ''}${spent.usd:,.{max(2, digits)}f}"


def cost_of(attributes: Mapping[str, Any], prices: Prices | None = None) -> Spent | None:
    """Return what a span cost, as it says or by list prices; without `prices` by those of this machine.

    Raises:
        ConfigError: the file of own prices is wrong.
    """
    return cost_of_usage(usage_of(attributes), attributes, prices)


def cost_of_usage(
    usage: Mapping[str, Any], attributes: Mapping[str, Any], prices: Prices | None = None
) -> Spent | None:
    """Return the same, of what `usage_of` returned."""
    given = [usage[name] for name in ("input_cost", "output_cost") if _is_amount(usage.get(name))]
    amount: Any = usage.get("total_cost", math.fsum(given) if given else None)
    if _is_amount(amount):
        return Spent(float(amount), is_computed=False)
    provider = _given(attributes, "ls_provider") or provider_of(attributes)
    models = [_given(attributes, "ls_model_name"), *models_of(attributes)]
    computed = computed_cost(usage, provider, models, prices or default_prices())
    if computed is None:
        return None
    return Spent(computed.total, is_computed=True, table_date=computed.table_date)


def _given(attributes: Mapping[str, Any], name: str) -> str:
    if _SAID.isdisjoint(attributes):
        return ""
    metadata = _parsed(attributes.get("metadata"))
    more = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    said = [attributes.get(f"{prefix}{name}") for prefix in _GIVEN] + [more.get(name)]
    return next((text for text in said if isinstance(text, str) and text), "")


def _parsed(value: object) -> object:
    """Return an object, or what its JSON says."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _is_amount(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
