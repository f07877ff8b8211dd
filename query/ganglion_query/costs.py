"""What the calls of models in a trace cost: as a span says, else by list prices from the tokens that it tells."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ganglion_collector.model_calls import USAGE, computed_cost, models_of, provider_of, read_usage
from ganglion_collector.prices import Prices, default_prices

from ganglion_query.model import SpanRow, Spent

__all__ = ["dollars", "total", "with_costs"]

# Where langsmith's, OpenLLMetry's and OpenInference's users say it themselves, which wins.
_GIVEN = ("langsmith.metadata.", "traceloop.association.properties.")
_WHOLE = ("langsmith.usage_metadata", *(f"{prefix}usage_metadata" for prefix in _GIVEN))
_TELLING = USAGE | {*_WHOLE}


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
    usage = read_usage(attributes, [attributes.get(name) for name in _WHOLE], _parsed)
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


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
