"""Does a setting matter: latency, error rate, cost and quality of requests by the value of an attribute."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import cast

from ganglion_query.answers.calls import find_calls
from ganglion_query.answers.contrast import contrast
from ganglion_query.answers.estimates import Estimate, ValueGroup, mean_of, quantile_of, share_of
from ganglion_query.answers.period import Period
from ganglion_query.intervals import Interval
from ganglion_query.reader import Reader, Session, scores
from ganglion_query.reader import comparison as rows
from ganglion_query.reader.comparison import ValueRow
from ganglion_query.reader.requests import RequestRow, requests
from ganglion_query.reader.resources import ResourceRow, resources

__all__ = ["Comparison", "Estimate", "ValueGroup", "compare"]

_MOST = 100_000
_COSTS = (0.0, inf)
_PLACES = ("attributes", "resource", "context", "metrics")
_VALUES_SHOWN = 3
_OF_REQUEST = {"service", "operation", "user_id", "tenant_id", "session_id"}
_OF_RESOURCE = {"version", "environment", "host"}
_ALIASES = {
    "service.name": "service",
    "service_name": "service",
    "name": "operation",
    "user": "user_id",
    "user.id": "user_id",
    "tenant": "tenant_id",
    "tenant.id": "tenant_id",
    "session": "session_id",
    "session.id": "session_id",
    "model": "models",
    "gen_ai.request.model": "models",
    "service.version": "version",
    "deployment.environment.name": "environment",
    "deployment.environment": "environment",
    "host.name": "host",
}

Values = Mapping[str, str]
"""The value of the attribute by trace."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """By value; numbers in their order, else by descending requests. `verdict` says in a sentence what differs.

    Requests of one operation are compared: `service` and `operation`, of those that have the attribute the most
    frequent one unless it was given; `elsewhere` counts requests of other operations that have it too. `without` counts
    requests that do not have it, `others` values beyond the limit; `truncated`: there are more requests.
    """

    attribute: str
    period: Period
    verdict: str
    groups: Sequence[ValueGroup]
    without: int
    others: int
    truncated: bool
    service: str | None = None
    operation: str | None = None
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of requests besides their spans, by trace."""

    costs: Mapping[str, float]
    scores: Mapping[str, Mapping[str, float]]


def compare(
    reader: Reader,
    attribute: str,
    period: Period,
    service: str | None = None,
    operation: str | None = None,
    limit: int = 20,
) -> Comparison:
    """Return the requests of a period by an attribute of any of their spans, logs or resources.

    `attribute` may begin with `attributes.`, `resource.`, `context.` or `metrics.` to be looked for there only.

    Raises:
        ValueError: the attribute has no name.
        ReaderError: the database cannot be asked.
    """
    if not attribute.strip():
        raise ValueError("name the attribute to compare by, such as chunk_size")
    with reader.session() as session:
        everyone = requests(session, period.since, period.until, _MOST)
        known = resources(session, (id_ for row in everyone for id_ in row.resource_ids))
        chosen = [row for row in everyone if _is_asked_for(row, known, service, operation)]
        values = _values(session, attribute.strip(), period, chosen, known)
        told = _told(session, period)
    having = [row for row in chosen if row.trace_id in values]
    compared = _of_one_operation(having, attribute, operation)
    groups = _grouped(compared, values, told)
    return Comparison(
        attribute=attribute,
        period=period,
        verdict=contrast(attribute, groups, _whose(compared, having, operation)),
        groups=groups[:limit],
        without=len(chosen) - len(having),
        others=max(0, len(groups) - limit),
        truncated=len(everyone) == _MOST,
        service=_only(row.service for row in compared),
        operation=_only(row.operation for row in compared),
        elsewhere=len(having) - len(compared),
    )


def _is_asked_for(
    row: RequestRow, known: Mapping[int, ResourceRow], service: str | None, operation: str | None
) -> bool:
    if operation not in {None, row.operation}:
        return False
    services = {row.service, *(known[id_].service_name for id_ in row.resource_ids if id_ in known)}
    return service is None or service in services


def _values(
    session: Session, attribute: str, period: Period, chosen: Sequence[RequestRow], known: Mapping[int, ResourceRow]
) -> Values:
    of_entries = {row.trace_id: _of_entry(row, known, attribute) for row in chosen}
    if any(of_entries.values()):
        return {trace_id: value for trace_id, value in of_entries.items() if value}
    place, _, key = attribute.partition(".")
    if place not in _PLACES or not key:
        place, key = "", attribute
    wanted = rows.Wanted(place, key, period.since, period.until, _MOST * 2)
    return _by_trace([*rows.values_of_spans(session, wanted), *rows.values_of_logs(session, wanted)])


def _of_entry(row: RequestRow, known: Mapping[int, ResourceRow], attribute: str) -> str | None:
    """Return what the entry span says itself in a column."""
    column = _ALIASES.get(attribute, attribute)
    if column in _OF_REQUEST:
        return cast("str | None", getattr(row, column))
    if column == "models":
        return _joined(sorted(set(row.models)))
    resource = known.get(row.resource_id)
    return cast("str | None", getattr(resource, column)) if resource and column in _OF_RESOURCE else None


def _by_trace(found: Iterable[ValueRow]) -> Values:
    """Return one value for each trace: that of its root, else of all its values together."""
    at_root: dict[str, str] = {}
    said: defaultdict[str, set[str]] = defaultdict(set)
    for row in found:
        value = _plain(row.value)
        said[row.trace_id].add(value)
        if row.at_root:
            at_root[row.trace_id] = value
    joined = {trace_id: _joined(sorted(values, key=_order)) for trace_id, values in said.items()}
    return {trace_id: value for trace_id, value in {**joined, **at_root}.items() if value}


def _joined(values: Sequence[str]) -> str | None:
    more = f" + {len(values) - _VALUES_SHOWN} more" if len(values) > _VALUES_SHOWN else ""
    return " + ".join(values[:_VALUES_SHOWN]) + more or None


def _plain(value: str) -> str:
    """Return a number without what does not change it: 512.0 as 512."""
    number = _number(value)
    return str(int(number)) if number is not None and number.is_integer() and abs(number) < 1e15 else value


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None


def _order(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return number is None, number or 0.0, value


def _of_one_operation(having: Sequence[RequestRow], attribute: str, operation: str | None) -> Sequence[RequestRow]:
    """Return requests that can be compared: an upload and a question differ whatever is set."""
    column = _ALIASES.get(attribute, attribute)
    if operation is not None or column == "operation" or not having:
        return having

    def place(row: RequestRow) -> tuple[str | None, str]:
        return None if column == "service" else row.service, row.operation

    ((most_frequent, _),) = Counter(map(place, having)).most_common(1)
    return [row for row in having if place(row) == most_frequent]


def _whose(compared: Sequence[RequestRow], having: Sequence[RequestRow], operation: str | None) -> str:
    if operation is not None:
        return f" to {operation}"
    return f" to {compared[0].operation}" if len(compared) < len(having) else ""


def _only(names: Iterable[str | None]) -> str | None:
    found = set(names)
    return found.pop() if len(found) == 1 else None


def _told(session: Session, period: Period) -> _Told:
    costs: defaultdict[str, float] = defaultdict(float)
    for call in find_calls(session, period, None, _MOST * 2):
        if call.trace_id and call.usd is not None:
            costs[call.trace_id] += call.usd
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    wanted = scores.Wanted(period.since, period.until, None, _MOST * 10)
    for score in scores.trace_scores(session, wanted):
        found[score.trace_id][score.metric] = score.score
    return _Told(costs, found)


def _grouped(compared: Sequence[RequestRow], values: Values, told: _Told) -> list[ValueGroup]:
    by_value: defaultdict[str, list[RequestRow]] = defaultdict(list)
    for row in compared:
        by_value[values[row.trace_id]].append(row)
    groups = [_group(value, some, told) for value, some in by_value.items()]
    if all(_number(group.value) is not None for group in groups):
        return sorted(groups, key=lambda group: _order(group.value))
    return sorted(groups, key=lambda group: (-group.requests, group.value))


def _group(value: str, some: Sequence[RequestRow], told: _Told) -> ValueGroup:
    timed = sorted((row.duration_ms, row.trace_id) for row in some if row.duration_ms is not None and not row.failed)
    durations = [duration for duration, _ in timed]
    times = sorted(row.start_time for row in some)
    costs = [told.costs[row.trace_id] for row in some if row.trace_id in told.costs]
    return ValueGroup(
        value=value,
        requests=len(some),
        p50_ms=quantile_of(durations, 0.5),
        p95_ms=quantile_of(durations, 0.95),
        error_rate=share_of(sum(row.failed for row in some), len(some)),
        cost_usd=mean_of(costs, _COSTS),
        scores=_scores(some, told),
        first_seen=times[0].isoformat(),
        last_seen=times[-1].isoformat(),
        trace_id=timed[-1][1] if timed else some[0].trace_id,
    )


def _bounds(scores_: Sequence[float]) -> Interval:
    """Return 0 and 1, as RAGAS has them, where nothing speaks against it."""
    return (0.0, 1.0) if all(0 <= score <= 1 for score in scores_) else (-inf, inf)


def _scores(some: Sequence[RequestRow], told: _Told) -> Mapping[str, Estimate]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for row in some:
        for name, score in told.scores.get(row.trace_id, {}).items():
            found[name].append(score)
    estimates = {name: mean_of(scores_, _bounds(scores_)) for name, scores_ in sorted(found.items())}
    return {name: estimate for name, estimate in estimates.items() if estimate}
