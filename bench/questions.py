"""The questions that are timed: what people ask of a history, about its last day and its first, and the budgets."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlencode

import psycopg
from ganglion_query.answers import (
    catalogue,
    changes,
    comparison,
    costs,
    error_groups,
    explanation,
    log_search,
    log_volume,
    overview,
    quality,
    search,
    tail,
    trace,
)
from ganglion_query.answers.period import Period
from ganglion_query.jaeger import questions as jaeger
from ganglion_query.jaeger.parameters import TraceQuery
from ganglion_query.model import Condition, LogFilter
from ganglion_query.reader import Reader, Scope
from ganglion_query.reader.jaeger import SpanCriteria
from ganglion_query.reader.logs import ErrorFilter

from bench.report import Budget

__all__ = ["HOUR", "TEXT", "TRACE", "USER", "Call", "Question", "Samples", "draw", "questions"]

Call: TypeAlias = Callable[[Reader], Any]

TRACE, USER = Budget(50, 5, "less"), Budget(100, 10, "less")
HOUR, TEXT = Budget(500, 100, "less"), Budget(1000, 200, "less")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Question:
    """Calls of one kind. `asked` is the time they are about, None where it is an id only.

    `path` is the same as the first call over HTTP.
    """

    name: str
    budget: Budget | None
    calls: Sequence[Call]
    asked: Period | None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """What is asked for: ids of traces, users and tenants as often as they have requests, words; of one time."""

    period: Period
    traces: Sequence[str]
    users: Sequence[str]
    hours: Sequence[Period]
    rare: Sequence[str]
    common: Sequence[str]
    tenants: Sequence[str]


_SAMPLE = """SELECT replace(trace_id::text, '-', '') AS trace, user_id, tenant_id FROM spans
    WHERE start_time >= %(since)s AND start_time < %(until)s AND parent_span_id IS NULL ORDER BY trace_id"""
_ASKED = """SELECT message FROM logs WHERE timestamp >= %(since)s AND timestamp < %(until)s
    AND message LIKE 'answering question%%' ORDER BY timestamp LIMIT 2000"""


def draw(dsn: str, period: Period, count: int) -> Samples:
    """Draw `count` samples of what is in `period`."""
    source = random.Random(1)
    arguments = {"since": period.since, "until": period.until}
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(_SAMPLE, arguments).fetchall()
        asked = [message for (message,) in connection.execute(_ASKED, arguments)]
    chosen = [source.choice(rows) for _ in range(count)]
    words = [word for message in asked for word in message.split()[2:]]
    by_count = sorted(set(words), key=lambda word: (words.count(word), word))
    starts = [period.since + (period.length - _HOUR) * source.random() for _ in range(count)]
    return Samples(
        period,
        [trace_id for trace_id, _, _ in chosen],
        [user for _, user, _ in chosen],
        [Period(start, start + _HOUR) for start in starts],
        [source.choice(by_count[: len(by_count) // 2]) for _ in range(count)],
        [source.choice(by_count[-20:]) for _ in range(count)],
        [tenant for _, _, tenant in chosen],
    )


def questions(samples: Samples, whole: Period) -> Iterator[Question]:
    """Yield the questions about the day of `samples`, within the `whole` history."""
    day = samples.period
    yield from _of_requests(samples, day)
    yield from _of_time(samples, day)
    yield from _of_text(samples, day, whole)
    yield from _of_traces(samples, day, whole)
    yield from _of_causes(samples, day, whole)


def _of_requests(samples: Samples, day: Period) -> Iterator[Question]:
    traces, users = samples.traces, samples.users
    yield Question("trace by id, rows", TRACE, [_ask(Reader.trace, one) for one in traces], None)
    answered = [_ask(trace.read_trace, one) for one in traces]
    yield Question("trace by id, answer", TRACE, answered, None, f"traces/{traces[0]}")
    errors = [_ask(log_search.list_errors, ErrorFilter(user=one, since=day.since, until=day.until)) for one in users]
    yield Question("errors of a user in 24 h", USER, errors, day, f"errors?{_times(day)}&user={users[0]}")
    logs = [_ask(log_search.search_logs, LogFilter(user=one, since=day.since, until=day.until)) for one in users]
    yield Question("logs of a user in 24 h", USER, logs, day, f"logs?{_times(day)}&user={users[0]}")
    explained = [_ask(explanation.explain, one) for one in traces[:20]]
    before = Period(day.since - _DAY, day.until)
    yield Question("explain", None, explained, before, f"traces/{traces[0]}/explanation")


def _of_time(samples: Samples, day: Period) -> Iterator[Question]:
    hours = samples.hours
    newest = [_ask(log_search.search_logs, LogFilter(since=one.since, until=one.until)) for one in hours]
    yield Question("an hour, newest 100 logs", HOUR, newest, day, f"logs?{_times(hours[0])}")
    graver = [LogFilter(since=one.since, until=one.until, level="WARNING") for one in hours]
    warnings = [_ask(log_search.search_logs, one) for one in graver]
    yield Question("an hour, warnings and errors", HOUR, warnings, day)
    yield Question("an hour, error rate of each logger", HOUR, [_error_rate(one) for one in hours], day)
    counted = [_ask(log_volume.log_volume, LogFilter(), one) for one in hours]
    yield Question("an hour, logs over time", HOUR, counted, day, f"logs/volume?{_times(hours[0])}")
    yield Question("a day, logs over time", None, [_ask(log_volume.log_volume, LogFilter(), day)] * 5, day)
    failed = [_ask(log_search.list_errors, ErrorFilter(since=one.since, until=one.until)) for one in hours]
    yield Question("an hour, errors", HOUR, failed, day, f"errors?{_times(hours[0])}")
    views = [_ask(overview.overview, one) for one in hours]
    yield Question("overview of an hour", HOUR, views, day, f"overview?{_times(hours[0])}")
    yield Question("overview of a day", None, [_ask(overview.overview, day)] * 5, day, f"overview?{_times(day)}")
    yield Question("tail, one look", USER, [_look] * len(hours), _today())


def _of_text(samples: Samples, day: Period, whole: Period) -> Iterator[Question]:
    rare, common = samples.rare, samples.common
    texts = {
        "a rare word": rare,
        "a common word": common,
        "two words": [f"{one} {other}" for one, other in zip(common, rare, strict=True)],
        "a phrase": ['"connection refused"', '"retry after 20"', '"is encrypted"', '"did not answer within"'] * 5,
        "a word of every request": ["answering", "upstream", "httpx", "chunk"] * 5,
        "what is not there": [f"nothing{number}" for number in range(10)],
    }
    for what, searches in texts.items():
        for name, period in (("24 h", day), ("all days", whole)):
            wanted = [LogFilter(search=one, since=period.since, until=period.until) for one in searches]
            calls = [_ask(log_search.search_logs, one) for one in wanted]
            path = f"logs?{_times(period)}&{urlencode({'search': searches[0]})}"
            yield Question(f"full text, {what}, {name}", TEXT, calls, period, path)
            whose = zip(samples.tenants, wanted, strict=False)
            own = [_ask_within(tenant, log_search.search_logs, one) for tenant, one in whose]
            yield Question(f"full text with a tenant's token, {what}, {name}", TEXT, own, period)


def _of_traces(samples: Samples, day: Period, whole: Period) -> Iterator[Question]:
    hours, users = samples.hours, samples.users
    slow = [_ask(search.search_traces, search.TraceFilter(one, min_duration_ms=5000, order="slowest")) for one in hours]
    yield Question("slow in an hour", HOUR, slow, day)
    slowest = search.TraceFilter(day, min_duration_ms=5000, order="slowest")
    path = f"traces?{_times(day)}&order=slowest&min_duration=5s"
    yield Question("slow in 24 h", HOUR, [_ask(search.search_traces, slowest)] * 5, day, path)
    filters = {
        "newest": search.TraceFilter(day),
        "failed": search.TraceFilter(day, status="error"),
        "of a service": search.TraceFilter(day, service="retrieval"),
        "of a layer": search.TraceFilter(day, layer="memory"),
        "of an operation, slow": search.TraceFilter(day, operation="data.search", min_duration_ms=500),
        "chunk_size=512": search.TraceFilter(day, conditions=[Condition("chunk_size", "=", "512")]),
        "metrics.tokens>900": search.TraceFilter(day, conditions=[Condition("metrics.tokens", ">", "900")]),
    }
    for name, wanted in filters.items():
        yield Question(f"search in 24 h, {name}", None, [_ask(search.search_traces, wanted)] * 5, day)
    of_users = [_ask(search.search_traces, search.TraceFilter(day, user=one)) for one in users]
    yield Question("search in 24 h, of a user", None, of_users, day)
    criteria = [SpanCriteria(since=one.since, until=one.until, service="rag-service") for one in hours]
    found = [_ask(jaeger.traces, TraceQuery(one, 20)) for one in criteria]
    yield Question("Jaeger, 20 traces of a service", None, found, day)
    yield Question("Jaeger, operations", None, [_ask(jaeger.operations, "rag-service")] * 5, whole)
    yield Question("services", None, [_ask(catalogue.services)] * 5, whole, "services")


def _of_causes(samples: Samples, day: Period, whole: Period) -> Iterator[Question]:
    spent = [_ask(costs.costs, "user", day)] * 5
    yield Question("costs of a day by user", None, spent, day, f"costs?{_times(day)}&by=user")
    groups = [_ask(error_groups.error_groups, one) for one in samples.hours[:10]]
    yield Question("error groups of an hour", None, groups, day)
    groups = [_ask(error_groups.error_groups, day)] * 3
    yield Question("error groups of a day", None, groups, day, f"errors/groups?{_times(day)}")
    moments = [one.since for one in samples.hours[:10]]
    changed = [_ask(changes.changes, at, timedelta(minutes=30)) for at in moments]
    yield Question("changes, half an hour each side", None, changed, day)
    compared = [_ask(comparison.compare, "chunk_size", day)] * 3
    yield Question("compare chunk_size in 24 h", None, compared, day, f"comparison?{_times(day)}&by=chunk_size")
    week = Period(max(whole.since, day.until - timedelta(days=7)), day.until)
    yield Question("quality of seven days", None, [_ask(quality.quality, week)] * 5, week, f"quality?{_times(week)}")


def _ask(function: Callable[..., Any], *arguments: Any) -> Call:
    return lambda reader: function(reader, *arguments)


def _ask_within(tenant: str, function: Callable[..., Any], *arguments: Any) -> Call:
    return lambda reader: function(reader.within(Scope((tenant,))), *arguments)


def _today() -> Period:
    now = datetime.now(UTC)
    return Period(now, now + _DAY)


def _look(reader: Reader) -> None:
    follower = tail.Tail(reader, LogFilter())
    follower.poll()
    follower.poll()


def _error_rate(hour: Period) -> Call:
    """The SQL that docs/schema.md gives people, over an hour."""
    query = (
        "SELECT logger, count(*) AS count, avg((level = 'ERROR')::int) AS share FROM logs "
        "WHERE timestamp >= %(since)s AND timestamp < %(until)s GROUP BY logger"
    )

    def ask(reader: Reader) -> Any:
        with reader.session() as session:
            return session.dicts(query, {"since": hour.since, "until": hour.until})

    return ask


def _times(period: Period) -> str:
    return urlencode({"since": _iso(period.since), "until": _iso(period.until)})


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
