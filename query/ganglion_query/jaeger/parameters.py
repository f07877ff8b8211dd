"""What each route is asked for, by the parameters of Jaeger's query service and with its defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.datastructures import QueryParams

from ganglion_query.jaeger.parsing import (
    MOST_TRACES,
    ParameterError,
    checked_tags,
    flag,
    iso_time,
    json_tags,
    length,
    limit,
    milliseconds,
    required,
    text,
    trace_id,
    unix,
)
from ganglion_query.reader.jaeger import SpanCriteria

__all__ = ["NO_SERVICE", "DependencyQuery", "TraceQuery", "dependency_query", "query_of_v3", "search_query", "stored"]

NO_SERVICE = "OTLPResourceNoServiceName"
"""How Jaeger calls the service of spans that name none."""

_LOOKBACK = timedelta(days=2)
_LOOKBACK_OF_CALLS = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """A search: by `criteria`, or with `traces` for those ids alone; `raw` without anything that we add."""

    criteria: SpanCriteria
    limit: int
    traces: Sequence[str] = ()
    raw: bool = False


@dataclass(frozen=True, slots=True)
class DependencyQuery:
    """Calls from `since` up to and without `until`, of a service if there is one."""

    since: datetime
    until: datetime
    service: str | None


def search_query(given: QueryParams, now: datetime) -> TraceQuery:
    """Return what `/api/traces` is asked for.

    Raises:
        ParameterError: a value cannot be; so do all functions here.
    """
    traces = tuple(dict.fromkeys(trace_id(one) for one in given.getlist("traceID")))
    if len(traces) > MOST_TRACES:
        raise ParameterError(f"more than {MOST_TRACES} trace ids")
    service = text("service", given.get("service")) if traces else required("service", given.get("service"))
    shortest, longest = (milliseconds(name, given.get(name)) for name in ("minDuration", "maxDuration"))
    criteria = SpanCriteria(
        since=unix("start", given.get("start"), _MICROSECOND) or now - _LOOKBACK,
        until=_including(unix("end", given.get("end"), _MICROSECOND) or now),
        service=stored(service),
        operation=text("operation", given.get("operation")),
        min_duration=shortest,
        max_duration=longest,
        tags=_tags(given),
    )
    _check(criteria)
    return TraceQuery(criteria, limit("limit", given.get("limit")), traces, flag("raw", given.get("raw")))


def query_of_v3(given: QueryParams) -> TraceQuery:
    """Return what `/api/v3/traces` and `/api/v3/trace-summaries` are asked for."""
    if given.get("query.filter"):
        raise ParameterError("query.filter is not supported here; query.attributes is")
    since, until = (_first(given, f"query.startTime{end}", f"query.start_time_{end.lower()}") for end in ("Min", "Max"))
    if not since or not until:
        raise ParameterError("query.startTimeMin and query.startTimeMax are required")
    attributes = given.get("query.attributes")
    criteria = SpanCriteria(
        since=iso_time("query.startTimeMin", since),
        until=_including(iso_time("query.startTimeMax", until)),
        service=stored(text("query.serviceName", _first(given, "query.serviceName", "query.service_name"))),
        operation=text("query.operationName", _first(given, "query.operationName", "query.operation_name")),
        min_duration=milliseconds("query.durationMin", _first(given, "query.durationMin", "query.duration_min")),
        max_duration=milliseconds("query.durationMax", _first(given, "query.durationMax", "query.duration_max")),
        tags=checked_tags(json_tags("query.attributes", attributes)) if attributes else {},
    )
    _check(criteria)
    if criteria.since >= criteria.until:
        raise ParameterError("query.startTimeMin must be before query.startTimeMax")
    depth = limit("query.searchDepth", _first(given, "query.searchDepth", "query.search_depth", "query.num_traces"))
    raw = flag("query.rawTraces", _first(given, "query.rawTraces", "query.raw_traces"))
    return TraceQuery(criteria, depth, raw=raw)


def dependency_query(given: QueryParams, now: datetime) -> DependencyQuery:
    """Return what `/api/dependencies` is asked for."""
    until = unix("endTs", given.get("endTs"), _MILLISECOND) or now
    lookback = length("lookback", given.get("lookback"), _MILLISECOND)
    try:
        since = until - (_LOOKBACK_OF_CALLS if lookback is None else lookback)
        return DependencyQuery(since, _including(until), text("service", given.get("service")))
    except OverflowError:
        raise ParameterError("unable to parse param 'lookback': it is out of range") from None


def stored(service: str | None) -> str | None:
    """Return the name of a service as `SpanCriteria` has it."""
    return "" if service == NO_SERVICE else service


def _first(given: QueryParams, *names: str) -> str | None:
    return next((value for name in names if (value := given.get(name))), None)


def _check(criteria: SpanCriteria) -> None:
    shortest, longest = criteria.min_duration, criteria.max_duration
    if shortest is not None and longest is not None and longest < shortest:
        raise ParameterError("'maxDuration' should be greater than 'minDuration'")


def _tags(given: QueryParams) -> dict[str, str]:
    tags: dict[str, str] = {}
    for one in given.getlist("tag"):
        key, colon, value = one.partition(":")
        if not colon:
            raise ParameterError(f"malformed 'tag' parameter, expecting key:value, received: {one[:80]}")
        tags[key] = value
    for document in given.getlist("tags"):
        tags |= json_tags("tags", document)
    return checked_tags(tags)


def _including(until: datetime) -> datetime:
    """Return the end of a time that includes its last microsecond."""
    return min(until, datetime.max.replace(tzinfo=UTC) - _MICROSECOND) + _MICROSECOND
