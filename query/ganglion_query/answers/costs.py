"""What did it cost: US dollars and tokens by user, tenant, model, layer, service or trace."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ganglion_query.answers.calls import Call, find_calls
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader

__all__ = ["By", "CostGroup", "Costs", "costs"]

By = Literal["user", "tenant", "model", "layer", "service", "trace"]

_MOST_ROWS = 200_000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


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
        groups = _grouped(found, by)
    return Costs(
        by=by,
        period=period,
        usd=round(sum(group.usd for group in groups), 12),
        is_computed=any(group.is_computed for group in groups),
        tokens=sum(group.tokens for group in groups),
        groups=groups[:limit],
        others=max(0, len(groups) - limit),
        truncated=found.truncated,
    )


def _grouped(calls: Iterable[Call], by: By) -> list[CostGroup]:
    sums: defaultdict[str | None, _Sum] = defaultdict(_Sum)
    for call in calls:
        sums[_name(call, by)].add(call)
    found = [one.group(name) for name, one in sums.items()]
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


class _Sum:
    """Calls added up."""

    __slots__ = ("calls", "is_computed", "last_seen", "tokens", "traces", "unpriced", "usd")

    def __init__(self) -> None:
        self.usd = 0.0
        self.is_computed = False
        self.calls = 0
        self.traces: set[str] = set()
        self.tokens = 0
        self.last_seen = _LONG_AGO
        self.unpriced = 0

    def add(self, call: Call) -> None:
        self.usd += call.usd or 0.0
        self.is_computed |= call.is_computed
        self.calls += 1
        if call.trace_id:
            self.traces.add(call.trace_id)
        self.tokens += call.tokens
        self.last_seen = max(self.last_seen, call.time)
        self.unpriced += call.usd is None

    def group(self, name: str | None) -> CostGroup:
        return CostGroup(
            name=name,
            usd=round(self.usd, 12),
            is_computed=self.is_computed,
            calls=self.calls,
            requests=len(self.traces),
            tokens=self.tokens,
            last_seen=self.last_seen,
            unpriced=self.unpriced,
        )
