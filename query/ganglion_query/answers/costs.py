"""What did it cost: US dollars and tokens by user, tenant, model, layer, service or trace."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.calls import Call, find_calls
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader

__all__ = ["By", "CostGroup", "Costs", "costs"]

By = Literal["user", "tenant", "model", "layer", "service", "trace"]

_MOST_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class CostGroup:
    """`name` is None for what names none; `is_computed`: part of it is by list prices.

    `unpriced` counts calls whose tokens are known, but nobody said what they cost and no list has their model.
    """

    name: str | None
    usd: float
    is_computed: bool
    calls: int
    requests: int
    tokens: int
    last_seen: datetime
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """The groups by descending dollars; `usd` and `tokens` are those of all, also of groups beyond the limit.

    `truncated`: there are more calls than are added up, these are the newest.
    """

    by: By
    period: Period
    usd: float
    is_computed: bool
    tokens: int
    groups: Sequence[CostGroup]
    others: int
    truncated: bool = False


def costs(reader: Reader, by: By, period: Period, trace_id: str | None = None, limit: int = 50) -> Costs:
    """Return what the calls of models in a period cost, of one trace if it is given; each call once.

    Raises:
        ValueError: `trace_id` is not one.
        ConfigError: the file of own prices is wrong.
        ReaderError: the database cannot be asked.
    """
    with reader.session() as session:
        found = find_calls(session, period, trace_id, _MOST_ROWS)
    groups = _grouped(found.calls, by)
    return Costs(
        by=by,
        period=period,
        usd=_dollars(found.calls),
        is_computed=any(call.is_computed for call in found.calls),
        tokens=sum(call.tokens for call in found.calls),
        groups=groups[:limit],
        others=max(0, len(groups) - limit),
        truncated=found.truncated,
    )


def _grouped(calls: Iterable[Call], by: By) -> list[CostGroup]:
    groups: defaultdict[str | None, list[Call]] = defaultdict(list)
    for call in calls:
        groups[_name(call, by)].append(call)
    found = [_group(name, some) for name, some in groups.items()]
    return sorted(found, key=lambda group: (-group.usd, -group.tokens, group.name or ""))


def _name(call: Call, by: By) -> str | None:
    match by:
        case "user":
            return call.user_id
        case "tenant":
            return call.tenant_id
        case "model":
            return call.model
        case "layer":
            return call.layer
        case "service":
            return call.service
        case "trace":
            return call.trace_id


def _group(name: str | None, calls: Sequence[Call]) -> CostGroup:
    return CostGroup(
        name=name,
        usd=_dollars(calls),
        is_computed=any(call.is_computed for call in calls),
        calls=len(calls),
        requests=len({call.trace_id for call in calls if call.trace_id}),
        tokens=sum(call.tokens for call in calls),
        last_seen=max(call.time for call in calls),
        unpriced=sum(call.usd is None for call in calls),
    )


def _dollars(calls: Iterable[Call]) -> float:
    return round(sum(call.usd or 0.0 for call in calls), 12)
