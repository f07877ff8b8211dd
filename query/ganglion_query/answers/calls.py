"""Calls of models in a period, each once, with what it cost and for whom: by the rule of `costs.trace_cost`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ganglion_collector.model_calls import MODELS, PROVIDERS, models_of

from ganglion_query.answers.period import Period
from ganglion_query.costs import TELLING, calls_of, told_by_logs, usage_of, with_costs
from ganglion_query.model import LogRow, SpanRow, Spent, parse_trace_id
from ganglion_query.reader import Session
from ganglion_query.reader import costs as rows
from ganglion_query.reader.costs import CostLogRow, PlaceRow, UsageRow

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


@dataclass(slots=True)
class _Told:
    """What is known of the calls of one trace."""

    usages: dict[str, UsageRow] = field(default_factory=dict[str, UsageRow])
    logs: list[CostLogRow] = field(default_factory=list[CostLogRow])


def find_calls(session: Session, period: Period, trace_id: str | None, most: int) -> FoundCalls:
    """Return the calls that began in a period, of one trace if it is given.

    Raises:
        ValueError: `trace_id` is not one.
    """
    known = None if trace_id is None else parse_trace_id(trace_id)
    wanted = rows.Wanted(period.since - _MARGIN, period.until + _MARGIN, known, most)
    usages = rows.usages(session, wanted, TELLING, _KEPT)
    logs = rows.cost_logs(session, wanted)
    told: defaultdict[str, _Told] = defaultdict(_Told)
    for usage in usages:
        told[usage.trace_id].usages[usage.span_id] = usage
    for log in logs:
        told[log.trace_id or ""].logs.append(log)
    calls = [call for call in _calls(session, told, wanted) if period.since <= call.time < period.until]
    return FoundCalls(calls, len(usages) == most or len(logs) == most)


def _calls(session: Session, told: Mapping[str, _Told], wanted: rows.Wanted) -> Iterator[Call]:
    traces = [trace_id for trace_id in told if trace_id]
    missing = set(told)
    for portion in rows.places(session, traces, wanted.since, wanted.until):
        by_trace: defaultdict[str, list[PlaceRow]] = defaultdict(list)
        for place in portion:
            by_trace[place.trace_id].append(place)
        missing -= by_trace.keys()
        for trace_id, places in by_trace.items():
            yield from _Trace(places, told[trace_id]).calls()
    for trace_id in missing:
        if trace_id:
            yield from _Trace([], told[trace_id]).calls()
        else:
            yield from (_of_log(log) for log in told[trace_id].logs)


class _Trace:
    """The spans of one trace, with what they and logs tell."""

    def __init__(self, places: Sequence[PlaceRow], told: _Told) -> None:
        self._places = {place.span_id: place for place in places}
        self._told = told
        spans = [_span(place.span_id, place.parent_span_id, told.usages.get(place.span_id)) for place in places]
        by_logs = told_by_logs([_log(log) for log in told.logs])
        parents = {log.span_id: log.parent_span_id for log in told.logs if log.span_id}
        absent = [_span(span_id, parents.get(span_id)) for span_id in by_logs if span_id not in self._places]
        self._spans = [*with_costs(spans), *absent]
        self._costs = {**by_logs, **{span.span_id: span.cost for span in self._spans if span.cost}}

    def calls(self) -> Iterator[Call]:
        tokens = {span_id: count for span_id, usage in self._told.usages.items() if (count := _tokens(usage))}
        tokens = {**self._tokens_by_logs(), **tokens}
        costly, telling = calls_of(self._spans, self._costs), calls_of(self._spans, tokens)
        for span_id in dict.fromkeys([*sorted(costly), *sorted(telling)]):
            spent = self._costs[span_id] if span_id in costly else None
            # A second instrumentation of a call, which only repeats its tokens, is none of its own.
            if spent is not None or span_id not in self._costs:
                yield self._call(span_id, spent, tokens.get(span_id, 0) if span_id in telling else 0)

    def _tokens_by_logs(self) -> Mapping[str, int]:
        return {log.span_id or "": round(log.tokens) for log in self._told.logs if log.tokens}

    def _call(self, span_id: str, spent: Spent | None, tokens: int) -> Call:
        usage = self._told.usages.get(span_id)
        logs = [log for log in self._told.logs if (log.span_id or "") == span_id]
        above = list(self._up(span_id))
        whose: list[PlaceRow | CostLogRow] = [*above[:1], *logs, *above, *self._places.values()]
        models = models_of(usage.attributes) if usage else []
        return Call(
            trace_id=usage.trace_id if usage else logs[0].trace_id,
            time=usage.start_time if usage else min(log.timestamp for log in logs),
            usd=spent.usd if spent else None,
            is_computed=spent is not None and spent.is_computed,
            tokens=tokens,
            model=_first([*models, *(log.model for log in logs)]),
            service=_first([usage.service_name if usage else None, *(log.service_name for log in logs)]),
            layer=_first([*(place.layer for place in above), *(log.layer for log in logs)]),
            user_id=_first(row.user_id for row in whose),
            tenant_id=_first(row.tenant_id for row in whose),
        )

    def _up(self, span_id: str) -> Iterator[PlaceRow]:
        """Yield the span and all above it."""
        seen: set[str] = set()
        at: str | None = span_id
        while at and at in self._places and at not in seen:
            seen.add(at)
            yield self._places[at]
            at = self._places[at].parent_span_id


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


def _tokens(usage: UsageRow) -> int:
    count = usage_of(usage.attributes).get("total_tokens")
    return count if isinstance(count, int) and not isinstance(count, bool) else 0


def _first(values: Iterable[str | None]) -> str | None:
    return next(filter(None, values), None)


def _span(span_id: str, parent: str | None, usage: UsageRow | None = None) -> SpanRow:
    known: dict[str, Any] = dict.fromkeys(SpanRow.__dataclass_fields__)
    known |= {"span_id": span_id, "parent_span_id": parent, "attributes": usage.attributes if usage else {}}
    return SpanRow(**known)


def _log(log: CostLogRow) -> LogRow:
    known: dict[str, Any] = dict.fromkeys(LogRow.__dataclass_fields__)
    known |= {"span_id": log.span_id, "message": log.message, "cost_usd": log.cost_usd}
    return LogRow(**known)
