"""Calls of models in a period, each once, with what it cost and for whom: by the rule of `costs.trace_cost`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ganglion_collector.model_calls import MODELS, PROVIDERS, models_of

from ganglion_query.answers.period import Period
from ganglion_query.costs import TELLING, cost_of_usage, told_by_logs, usage_of
from ganglion_query.model import Spent, parse_trace_id
from ganglion_query.reader import Session
from ganglion_query.reader import costs as rows
from ganglion_query.reader.costs import CostLogRow, Item, LineRow, PeopleRow, UsageRow

__all__ = ["Call", "FoundCalls", "find_calls"]

_KEPT = (
    *MODELS,
    *PROVIDERS,
    "metadata",
    *(
        f"{owner}.{name}"
        for owner in ("langsmith.metadata", "traceloop.association.properties")
        for name in ("ls_provider", "ls_model_name")
    ),
)
# What a span of the period repeats may have begun after it, and what repeats it before.
_MARGIN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model; `usd` is None where its tokens are known, but not its cost."""

    trace_id: str | None
    time: datetime
    usd: float | None
    is_computed: bool
    tokens: int
    model: str | None
    service: str | None
    layer: str | None
    user_id: str | None
    tenant_id: str | None


@dataclass(frozen=True, slots=True)
class FoundCalls:
    """The calls; `truncated`: there are more, these are the newest."""

    calls: Sequence[Call]
    truncated: bool


class _Told:
    """What tells of one span: itself, and its logs; `spent` as the span says, else list prices, else its logs."""

    def __init__(self, usage: UsageRow | None, logs: Sequence[CostLogRow]) -> None:
        self.usage = usage
        self.logs = logs
        counted = usage_of(usage.attributes) if usage else {}
        by_span = cost_of_usage(counted, usage.attributes) if usage else None
        self.spent: Spent | None = by_span or next(iter(told_by_logs(logs).values()), None)
        by_logs = (round(log.tokens) for log in reversed(logs) if log.tokens)
        self.tokens = _tokens(counted) or next(by_logs, 0)


_Key = tuple[str, str]


def find_calls(session: Session, period: Period, trace_id: str | None, most: int) -> FoundCalls:
    """Return the calls that began in a period, of one trace if it is given.

    Raises:
        ValueError: `trace_id` is not one.
        ConfigError: the file that GANGLION_PRICES names is wrong.
    """
    known = None if trace_id is None else parse_trace_id(trace_id)
    wanted = rows.Wanted(period.since - _MARGIN, period.until + _MARGIN, known, most)
    usages = rows.usages(session, wanted, TELLING, _KEPT)
    logs = rows.cost_logs(session, wanted)
    spans = {(usage.trace_id, usage.span_id): usage for usage in usages}
    logs_of: defaultdict[_Key, list[CostLogRow]] = defaultdict(list)
    for log in logs:
        if log.trace_id:
            logs_of[log.trace_id, log.span_id or ""].append(log)
    told = {key: _Told(spans.get(key), logs_of.get(key, ())) for key in {**spans, **logs_of}}
    calls = [*_calls(session, told, wanted), *(_of_log(log) for log in logs if not log.trace_id)]
    within = [call for call in calls if period.since <= call.time < period.until]
    return FoundCalls(within, len(usages) == most or len(logs) == most)


def _calls(session: Session, told: Mapping[_Key, _Told], wanted: rows.Wanted) -> Iterator[Call]:
    lines = {(line.trace_id, line.span_id): line for line in rows.lineage(session, list(_items(told)), wanted)}
    nameless = {key[0] for key, line in lines.items() if line.user_id is None or line.tenant_id is None}
    people = {row.trace_id: row for row in rows.people(session, nameless, wanted)}
    for key, one in told.items():
        line = lines[key]
        spent = None if line.repeats_costs else one.spent
        tokens = 0 if line.repeats_tokens else one.tokens
        # A second instrumentation of a call, which only repeats its cost, is none of its own.
        if spent is not None or (tokens and one.spent is None):
            yield _call(one, line, people.get(key[0]), spent, tokens)


def _items(told: Mapping[_Key, _Told]) -> Iterator[Item]:
    for (trace_id, span_id), one in told.items():
        parent = next((log.parent_span_id for log in one.logs if log.parent_span_id), None)
        yield Item(trace_id, span_id, parent, one.spent is not None, one.tokens > 0)


def _call(one: _Told, line: LineRow, people: PeopleRow | None, spent: Spent | None, tokens: int) -> Call:
    usage, logs = one.usage, one.logs
    models = models_of(usage.attributes) if usage else []
    whose: list[LineRow | CostLogRow | PeopleRow] = [line, *logs, *([people] if people else [])]
    return Call(
        trace_id=line.trace_id,
        time=usage.start_time if usage else min(log.timestamp for log in logs),
        usd=spent.usd if spent else None,
        is_computed=spent is not None and spent.is_computed,
        tokens=tokens,
        model=_first([*models, *(log.model for log in logs)]),
        service=_first([usage.service_name if usage else None, *(log.service_name for log in logs)]),
        layer=_first([line.layer, *(log.layer for log in logs)]),
        user_id=_first(row.user_id for row in whose),
        tenant_id=_first(row.tenant_id for row in whose),
    )


def _of_log(log: CostLogRow) -> Call:
    return Call(
        trace_id=None,
        time=log.timestamp,
        usd=log.cost_usd,
        is_computed=False,
        tokens=round(log.tokens) if log.tokens else 0,
        model=log.model,
        service=log.service_name,
        layer=log.layer,
        user_id=log.user_id,
        tenant_id=log.tenant_id,
    )


def _tokens(usage: Mapping[str, Any]) -> int:
    count = usage.get("total_tokens")
    return count if isinstance(count, int) and not isinstance(count, bool) else 0


def _first(values: Iterable[str | None]) -> str | None:
    return next(filter(None, values), None)
