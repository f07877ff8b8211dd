"""Calls of models in a period, each once, with what it cost and for whom: by the rule of `costs.trace_cost`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ganglion_collector.model_calls import MODELS, PROVIDERS, models_of

from ganglion_query.answers.period import Period
from ganglion_query.costs import TELLING, cost_of_usage, repeating, told_by_logs, usage_of
from ganglion_query.model import Spent, parse_trace_id
from ganglion_query.reader import Session
from ganglion_query.reader import costs as rows
from ganglion_query.reader.costs import CostLogRow, Places, UsageRow

__all__ = ["Call", "Calls", "find_calls"]

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
# What a span of the period repeats may have begun after it, and what repeats it before; as far as a stretch is long,
# where so many come that it has to be a short one.
_MARGIN = timedelta(minutes=15)
_STRETCH, _SHORTEST = timedelta(hours=6), timedelta(minutes=1)
_AT_ONCE = 10_000
"""Rows of a stretch; where there are more, a shorter one is read."""
_FEW = _AT_ONCE // 20
"""Rows of a stretch after which a longer one is read."""
_MOST_ABOVE = 200


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


class _Told:
    """What tells of one span: itself, and its logs; `spent` as the span says, else list prices, else its logs."""

    __slots__ = ("logs", "spent", "tokens", "usage")

    def __init__(self, usage: UsageRow | None, logs: Sequence[CostLogRow]) -> None:
        self.usage = usage
        self.logs = logs
        counted = usage_of(usage.attributes) if usage else {}
        by_span = cost_of_usage(counted, usage.attributes) if usage else None
        self.spent: Spent | None = by_span or next(iter(told_by_logs(logs).values()), None)
        by_logs = (round(log.tokens) for log in reversed(logs) if log.tokens)
        self.tokens = _tokens(counted) or next(by_logs, 0)

    @property
    def parent(self) -> str:
        return _first(log.parent_span_id for log in self.logs) or ""


class _Trace:
    """The spans of a trace, and what is told of some, here or only named by logs."""

    __slots__ = ("_above", "places", "repeats_costs", "repeats_tokens")

    def __init__(self, places: Places, told: Mapping[str, _Told]) -> None:
        self.places = places
        absent = {span_id: one.parent for span_id, one in told.items() if span_id not in places.parents}
        self._above = {**absent, **places.parents} if absent else places.parents
        costly = [span_id for span_id, one in told.items() if one.spent is not None]
        telling = [span_id for span_id, one in told.items() if one.tokens]
        self.repeats_costs = repeating(self._above, costly)
        self.repeats_tokens = self.repeats_costs if telling == costly else repeating(self._above, telling)

    def nearest(self, said: Mapping[str, str], span_id: str) -> str | None:
        """Return what a span says, or the nearest above it that does."""
        for _ in range(_MOST_ABOVE):
            if value := said.get(span_id):
                return value
            if not (span_id := self._above.get(span_id, "")):
                return None
        return None

    def whose(self) -> "_Names | None":
        """Return the user and the tenant that its spans name; None where they name several."""
        users, tenants = {*self.places.users.values()} - {""}, {*self.places.tenants.values()} - {""}
        return None if max(len(users), len(tenants)) > 1 else (_first(users), _first(tenants))


_Key = tuple[str, str]
_Names = tuple[str | None, str | None]
_NOWHERE = Places({}, {}, {}, {})


class Calls:
    """Calls of models, each once, for one iteration; `truncated` says afterwards that there are more.

    They are read a stretch of time after the other, the newest first: a long period takes its time, but no memory.
    """

    def __init__(self, session: Session, period: Period, trace_id: str | None, most: int) -> None:
        self.truncated = False
        self._session = session
        self._period = period
        self._trace_id = trace_id
        self._left = most

    def __iter__(self) -> Iterator[Call]:
        until, length = self._period.until, self._period.length if self._trace_id else _STRETCH
        while until > self._period.since and not self.truncated:
            since = until - min(length, until - self._period.since)
            margin = min(_MARGIN, length)
            wanted = rows.Wanted(since - margin, until + margin, self._trace_id, _AT_ONCE)
            usages, logs = rows.usages(self._session, wanted, TELLING, _KEPT), rows.cost_logs(self._session, wanted)
            found = max(len(usages), len(logs))
            if found == _AT_ONCE and length > _SHORTEST:
                length /= 2
                continue
            calls = [one for one in _each(self._session, usages, logs, wanted) if since <= one.time < until]
            self.truncated = _is_cut(usages, logs, since) or len(calls) > self._left
            yield from sorted(calls, key=_time, reverse=True)[: self._left]
            self._left -= len(calls)
            until, length = since, 2 * length if found < _FEW else length


def _is_cut(usages: Sequence[UsageRow], logs: Sequence[CostLogRow], since: datetime) -> bool:
    """Tell whether there are more rows after `since` than were read, which are the newest."""
    last = [*(one.start_time for one in usages[_AT_ONCE - 1 :]), *(one.timestamp for one in logs[_AT_ONCE - 1 :])]
    return any(time >= since for time in last)


def find_calls(session: Session, period: Period, trace_id: str | None, most: int) -> Calls:
    """Return the calls that began in a period, of one trace if it is given, at most so many.

    Raises:
        ValueError: `trace_id` is not one.
        ConfigError: the file that GANGLION_PRICES names is wrong; while the calls are read.
    """
    return Calls(session, period, None if trace_id is None else parse_trace_id(trace_id), most)


def _each(session: Session, usages: Sequence[UsageRow], logs: Sequence[CostLogRow], wanted: rows.Wanted) -> list[Call]:
    spans = {(usage.trace_id, usage.span_id): usage for usage in usages}
    logs_of: defaultdict[_Key, list[CostLogRow]] = defaultdict(list)
    for log in logs:
        if log.trace_id:
            logs_of[log.trace_id, log.span_id or ""].append(log)
    told = {key: _Told(spans.get(key), logs_of.get(key, ())) for key in {**spans, **logs_of}}
    return [*_calls(session, told, wanted), *(_of_log(log) for log in logs if not log.trace_id)]


def _time(call: Call) -> datetime:
    return call.time


def _calls(session: Session, told: Mapping[_Key, _Told], wanted: rows.Wanted) -> list[Call]:
    traces = _traces(session, told, wanted)
    calls = [_call(one, key, traces[key[0]]) for key, one in told.items() if _is_own(key[1], one, traces[key[0]])]
    nameless = {call.trace_id for call in calls if call.user_id is None or call.tenant_id is None}
    names = _names(session, {id_: trace for id_, trace in traces.items() if id_ in nameless}, wanted)
    return [_named(call, *names[call.trace_id]) if call.trace_id in names else call for call in calls]


def _traces(session: Session, told: Mapping[_Key, _Told], wanted: rows.Wanted) -> dict[str, _Trace]:
    by_trace: defaultdict[str, dict[str, _Told]] = defaultdict(dict)
    for (trace_id, span_id), one in told.items():
        by_trace[trace_id][span_id] = one
    places = rows.places(session, by_trace, wanted)
    return {trace_id: _Trace(places.get(trace_id, _NOWHERE), some) for trace_id, some in by_trace.items()}


def _is_own(span_id: str, one: _Told, trace: _Trace) -> bool:
    """Tell whether this is a call; a second instrumentation of one, which only repeats its cost, is none of its own."""
    if one.spent is not None:
        return span_id not in trace.repeats_costs
    return one.tokens > 0 and span_id not in trace.repeats_tokens


def _names(session: Session, traces: Mapping[str, _Trace], wanted: rows.Wanted) -> dict[str, _Names]:
    """Return whose each trace is, by the first of its spans that says it."""
    names = {trace_id: trace.whose() for trace_id, trace in traces.items()}
    unclear = [trace_id for trace_id, name in names.items() if name is None]
    people = {row.trace_id: (row.user_id, row.tenant_id) for row in rows.people(session, unclear, wanted)}
    return {trace_id: name or people.get(trace_id, (None, None)) for trace_id, name in names.items()}


def _call(one: _Told, key: _Key, trace: _Trace) -> Call:
    (trace_id, span_id), usage, logs, places = key, one.usage, one.logs, trace.places
    spent = None if span_id in trace.repeats_costs else one.spent
    models = models_of(usage.attributes) if usage else []
    return Call(
        trace_id=trace_id,
        time=usage.start_time if usage else min(log.timestamp for log in logs),
        usd=spent.usd if spent else None,
        is_computed=spent is not None and spent.is_computed,
        tokens=0 if span_id in trace.repeats_tokens else one.tokens,
        model=_first([*models, *(log.model for log in logs)]),
        service=_first([usage.service_name if usage else None, *(log.service_name for log in logs)]),
        layer=trace.nearest(places.layers, span_id) or _first(log.layer for log in logs),
        user_id=trace.nearest(places.users, span_id) or _first(log.user_id for log in logs),
        tenant_id=trace.nearest(places.tenants, span_id) or _first(log.tenant_id for log in logs),
    )


def _named(call: Call, user: str | None, tenant: str | None) -> Call:
    return replace(call, user_id=call.user_id or user, tenant_id=call.tenant_id or tenant)


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
