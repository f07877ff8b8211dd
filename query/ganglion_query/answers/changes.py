"""What changed at a time: services, versions, models, errors, latency, volume, before it and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ganglion_query.answers.appearances import appearances, uncertain
from ganglion_query.answers.change import Change, Evidence
from ganglion_query.answers.error_groups import find_failures
from ganglion_query.answers.measures import measures
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader, Session
from ganglion_query.reader import changes as rows
from ganglion_query.reader.requests import count_requests
from ganglion_query.sentences import at_time

__all__ = ["LONGEST_WINDOW", "Change", "Changes", "changes"]

_MOST_OPERATIONS = 2000
_MOST_MESSAGES = 5000
LONGEST_WINDOW = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes from the largest effect on; both windows are equally long, `after` ends at the latest now.

    `verdict` says the first in a sentence; `others` are changes beyond the limit.
    """

    at: datetime
    before: Period
    after: Period
    requests_before: int
    requests_after: int
    changes: Sequence[Change]
    verdict: str = ""
    others: int = 0


def changes(reader: Reader, at: datetime, window: timedelta, limit: int = 50) -> Changes:
    """Return what surely differs between `window` before `at` and as long after it.

    Raises:
        ValueError: `at` is in the future, or the window is no length of time or longer than a week.
        ReaderError: the database cannot be asked.
    """
    now = datetime.now(UTC)
    if not timedelta(0) < window <= LONGEST_WINDOW:
        raise ValueError("the window must be longer than nothing and at most 7 days")
    if at >= now:
        raise ValueError(f"{at_time(at)} is in the future: nothing can be known after it")
    length = min(window, now - at)
    before, after = Period(at - length, at), Period(at, at + length)
    with reader.session() as session:
        evidence = _evidence(session, before, after)
    found = _ranked(evidence)
    return Changes(
        at=at,
        before=before,
        after=after,
        requests_before=evidence.requests[0],
        requests_after=evidence.requests[1],
        changes=found[:limit],
        verdict=found[0].summary if found else f"nothing surely changed at {at_time(at)}",
        others=max(0, len(found) - limit),
    )


def _evidence(session: Session, before: Period, after: Period) -> Evidence:
    around = rows.Around(before.since, after.since, after.until, _MOST_OPERATIONS)
    senders = rows.senders(session, around)
    known = {
        kind: rows.known_before(session, kind, sorted(asked), before.since)
        for kind in ("service", "version", "model")
        if (asked := uncertain(senders, kind))
    }
    failures = [*find_failures(session, before).failures, *find_failures(session, after).failures]
    return Evidence(
        at=after.since,
        requests=(
            count_requests(session, before.since, before.until),
            count_requests(session, after.since, after.until),
        ),
        operations=rows.operations(session, around),
        steps=rows.steps(session, around),
        senders=senders,
        messages=rows.messages(session, replace(around, limit=_MOST_MESSAGES)),
        failures=failures,
        known=known,
    )


def _ranked(evidence: Evidence) -> list[Change]:
    appeared = list(appearances(evidence))
    concerned = {change.subject for change in appeared if change.kind == "service"}
    found = [*appeared, *measures(evidence, concerned)]
    return sorted(found, key=lambda change: (-round(change.effect, 9), -abs(change.z), change.kind, change.subject))
