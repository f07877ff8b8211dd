"""Why are there errors now: errors of one cause together, since when, whose, and where they begin."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.period import Period
from ganglion_query.answers.population import EVERYBODY, Population, Share, Whose, population
from ganglion_query.change_point import Weighed, clearest_fall
from ganglion_query.failures import Failure, causes
from ganglion_query.fingerprints import fingerprint
from ganglion_query.reader import Reader, Session
from ganglion_query.reader import error_groups as rows
from ganglion_query.sentences import amount, at_time, share_text
from ganglion_query.significance import CERTAIN, counts_apart, shares_apart

__all__ = ["ErrorGroup", "ErrorGroups", "Found", "Share", "error_groups", "find_failures"]

_MOST_ROWS = 50_000
_MOST_TRACES = 10_000
_EXAMPLES = 5
_STEPS = 60
_MOST_OF_THEM = 0.9
_MOST_OF_ALL = 0.99

Trend = Literal["new", "rising", "steady", "falling"]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one type and message, numbers and ids left out.

    `origin`: service and operation in which the first error of a trace in causal order arose, most often. `before`
    counts the same time before the period; `first_seen` is the first of both, `rising_since` the first from which on a
    rising one is more frequent. `new_versions` came with it. `trace_ids` are the newest.
    """

    fingerprint: str
    error: str
    origin: str | None
    count: int
    before: int
    trend: Trend
    first_seen: datetime
    last_seen: datetime
    requests: int
    users: int
    services: Mapping[str, int]
    common: Sequence[Share]
    trace_ids: Sequence[str]
    rising_since: datetime | None = None
    new_versions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ErrorGroups:
    """The groups by descending count; `verdict` says in a sentence why there are errors now.

    `requests` are all of the period, `failed_requests` those with an error in them; `errors` counts each where it
    began. `others` are groups beyond the limit.
    """

    period: Period
    verdict: str
    requests: int
    errors: int
    groups: Sequence[ErrorGroup]
    truncated: bool
    failed_requests: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The errors of a period where they began; `truncated`: there are more."""

    failures: Sequence[Failure]
    truncated: bool


def error_groups(reader: Reader, period: Period, whose: Whose = EVERYBODY, limit: int = 20) -> ErrorGroups:
    """Return the errors of a period by cause.

    Raises:
        ReaderError: the database cannot be asked.
    """
    earlier = Period(period.since - period.length, period.since)
    with reader.session() as session:
        now = find_failures(session, period, whose)
        before = find_failures(session, earlier, whose)
        everyone = population(session, period, whose)
        usual = population(session, earlier, whose) if now.failures else everyone
    groups = _grouped(now.failures, before.failures, everyone, usual)
    failed = {failure.trace_id for failure in now.failures if failure.trace_id}
    return ErrorGroups(
        period=period,
        verdict=_verdict(groups, len(failed), everyone),
        requests=everyone.count,
        errors=len(now.failures),
        groups=groups[:limit],
        truncated=now.truncated or before.truncated or everyone.truncated,
        failed_requests=len(failed),
        others=max(0, len(groups) - limit),
    )


def find_failures(session: Session, period: Period, whose: Whose = EVERYBODY) -> Found:
    """Return the errors that are causes, of at most 50,000 logs and as many spans, the newest."""
    wanted = rows.Wanted(period.since, period.until, whose.service, whose.user, whose.tenant, _MOST_ROWS)
    logs, spans = rows.error_logs(session, wanted), rows.failed_spans(session, wanted)
    traces = dict.fromkeys(filter(None, [*(log.trace_id for log in logs), *(span.trace_id for span in spans)]))
    judged = list(traces)[:_MOST_TRACES]
    found = list(causes(logs, spans, rows.span_places(session, judged, wanted)))
    return Found(found, len(logs) == _MOST_ROWS or len(spans) == _MOST_ROWS or len(traces) > _MOST_TRACES)


def _grouped(
    now: Sequence[Failure], before: Sequence[Failure], everyone: Population, usual: Population
) -> list[ErrorGroup]:
    earlier = _by_error(before)
    groups = [
        _group(error, failures, earlier.get(error, []), (everyone, usual)) for error, failures in _by_error(now).items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.error))


def _by_error(failures: Sequence[Failure]) -> Mapping[str, list[Failure]]:
    found: defaultdict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        found[failure.error].append(failure)
    return found


def _group(
    error: str, failures: Sequence[Failure], before: Sequence[Failure], all_: tuple[Population, Population]
) -> ErrorGroup:
    times = sorted(failure.timestamp for failure in [*before, *failures])
    trend = _trend(len(before), len(failures), all_)
    newest = sorted(failures, key=lambda failure: failure.timestamp, reverse=True)
    traces = list(dict.fromkeys(failure.trace_id for failure in newest if failure.trace_id))
    origins = Counter(_origin(failure) for failure in failures)
    return ErrorGroup(
        fingerprint=fingerprint(error),
        error=error,
        origin=origins.most_common(1)[0][0],
        count=len(failures),
        before=len(before),
        trend=trend,
        first_seen=times[0],
        last_seen=times[-1],
        requests=len(traces),
        users=len({failure.user_id for failure in failures if failure.user_id}),
        services=dict(Counter(failure.service or "" for failure in failures).most_common()),
        common=all_[0].over_represented(set(traces)),
        trace_ids=traces[:_EXAMPLES],
        rising_since=(_rising_since(times) or newest[-1].timestamp) if trend == "rising" else None,
        new_versions=_new_versions(set(traces), _service(failures), all_) if trend in {"new", "rising"} else (),
    )


def _rising_since(times: Sequence[datetime]) -> datetime | None:
    """Return the first of the errors that follow each other sooner than those before, None where that is not sure.

    In equal steps of time their number rises where its negative falls.
    """
    step = (times[-1] - times[0]) / _STEPS
    if not step:
        return times[0]
    counts = Counter(min(_STEPS - 1, (time - times[0]) // step) for time in times)
    found = clearest_fall([Weighed(1, -counts[number], counts[number] ** 2) for number in range(_STEPS)])
    if found is None:
        return None
    return next((time for time in times if time >= times[0] + step * found.start), None)


def _service(failures: Sequence[Failure]) -> str | None:
    return Counter(failure.service for failure in failures).most_common(1)[0][0]


def _origin(failure: Failure) -> str | None:
    parts = [part for part in (failure.operation, failure.service) if part]
    return " of ".join(parts) or None


def _trend(before: int, after: int, all_: tuple[Population, Population]) -> Trend:
    """Compare as shares of the requests where there are any; that there were more of them is no cause."""
    if before == 0:
        return "new"
    everyone, usual = all_
    if everyone.count >= after and usual.count >= before:
        z = shares_apart(before, usual.count, after, everyone.count)
    else:
        z = counts_apart(before, after)
    return "rising" if z >= CERTAIN else "falling" if z <= -CERTAIN else "steady"


def _verdict(groups: Sequence[ErrorGroup], failed: int, everyone: Population) -> str:
    if not groups:
        return f"no errors in {amount(everyone.count, 'request')}"
    telling = _telling(groups)
    whole = sum(group.count for group in groups)
    subject = f"{failed:,} of {amount(everyone.count, 'request')} have errors" if failed else amount(whole, "error")
    among = f" of {len(groups)} causes, above all" if len(groups) > 1 else ":"
    where = f" at {telling.origin}" if telling.origin else ""
    return f"{subject}{among} {telling.error}{where} ({telling.count:,}), {_how(telling)}"


def _telling(groups: Sequence[ErrorGroup]) -> ErrorGroup:
    """Return the group that became more by most, if that is sure, else the largest."""
    increased = max(groups, key=lambda group: group.count - group.before)
    return increased if counts_apart(increased.before, increased.count) >= CERTAIN else groups[0]


def _how(group: ErrorGroup) -> str:
    """Say what is new, and in what these requests differ from others."""
    trend = {"new": "new", "rising": f"rising from {group.before:,}", "steady": "as before", "falling": "falling"}
    began = group.first_seen if group.trend == "new" else group.rising_since
    told = trend[group.trend] + (f" since {at_time(began)}" if began else "")
    if group.new_versions:
        return f"{told} with version {group.new_versions[0]}"
    if not group.common:
        return told
    first = group.common[0]
    among = f"{share_text(first.among_errors)} of them have {first.attribute} {first.value}"
    return f"{told}; {among} ({share_text(first.among_all)} of all requests)"


def _new_versions(traces: AbstractSet[str], service: str | None, all_: tuple[Population, Population]) -> Sequence[str]:
    """Return versions that came with these errors, that of their service first.

    None of the time before has them, and these requests do, more than others do or as all do.
    """
    everyone, usual = all_
    if not usual.count:
        return []
    known = usual.values("version")
    shares = [share for share in everyone.shares(traces, "version") if share.value not in known]
    telling = {share.value for share in everyone.over_represented(traces)}
    found = [
        share.value
        for share in shares
        if share.among_errors >= _MOST_OF_THEM and (share.value in telling or share.among_all >= _MOST_OF_ALL)
    ]
    return sorted(found, key=lambda version: (version.rpartition(" of ")[2] != service, version))
