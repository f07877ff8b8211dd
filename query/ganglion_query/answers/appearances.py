"""What is there after a moment and was not before, or the other way: services, versions, models, errors, messages."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from ganglion_query.answers.change import Change, Evidence, Key
from ganglion_query.failures import Failure
from ganglion_query.fingerprints import alike, template
from ganglion_query.reader.changes import MessageRow, SenderRow
from ganglion_query.sentences import at_time
from ganglion_query.significance import CERTAIN, counts_apart, log_ratio, shares_apart

__all__ = ["appearances", "uncertain"]

Kind = Literal["service", "version", "model"]
K = TypeVar("K")


@dataclass(slots=True)
class Seen:
    """One thing in both windows, by all that tells of it."""

    before: int
    after: int
    first_seen: datetime
    last_seen: datetime
    trace_before: str | None
    trace_after: str | None

    def add(self, row: SenderRow | MessageRow) -> None:
        self.before += row.before
        self.after += row.after
        self.first_seen = min(self.first_seen, row.first_seen)
        self.last_seen = max(self.last_seen, row.last_seen)
        self.trace_before = self.trace_before or row.trace_before
        self.trace_after = self.trace_after or row.trace_after

    @property
    def z(self) -> float:
        return counts_apart(self.before, self.after)

    @property
    def has_vanished(self) -> bool:
        return self.after == 0 and self.z <= -CERTAIN

    def is_new(self, key: Key, known: AbstractSet[Key] | None) -> bool:
        """Say if it was not there before: by chance, unless it is frequent or the day before had none either."""
        if self.before or not self.after:
            return False
        return self.z >= CERTAIN or (known is not None and key not in known)


def _merged(senders: Iterable[SenderRow], kind: Kind) -> dict[Key, Seen]:
    """Return the services, or the versions or models of each, whoever told of them."""
    found: dict[Key, Seen] = {}
    for row in senders:
        name = {"service": row.service, "version": row.version, "model": row.model}[kind]
        if name is not None:
            _add(found, (row.service, name), row)
    return found


def _add(found: dict[K, Seen], key: K, row: SenderRow | MessageRow) -> None:
    if key in found:
        found[key].add(row)
    else:
        found[key] = _seen(row)


def _seen(row: SenderRow | MessageRow) -> Seen:
    return Seen(row.before, row.after, row.first_seen, row.last_seen, row.trace_before, row.trace_after)


def uncertain(senders: Sequence[SenderRow], kind: Kind) -> set[str]:
    """Return the services of what is there only after, but too seldom to be sure that it is new."""
    return {key[0] for key, seen in _merged(senders, kind).items() if not seen.before and 0 < seen.z < CERTAIN}


def appearances(evidence: Evidence) -> Iterator[Change]:
    """Yield what appeared and vanished, in no order; what a new or lost service has is no change of its own."""
    services = list(_services(evidence))
    concerned = {change.subject for change in services}
    yield from services
    yield from _versions(evidence, concerned)
    yield from _models(evidence, concerned)
    yield from _errors(evidence)
    yield from _messages(evidence, concerned)


def _services(evidence: Evidence) -> Iterator[Change]:
    for key, seen in _merged(evidence.senders, "service").items():
        if seen.is_new(key, evidence.known.get("service")):
            yield _change("service", key[0], f"{key[0]} began at {at_time(seen.first_seen)}", seen)
        elif seen.has_vanished:
            yield _change("service", key[0], f"{key[0]} is silent since {at_time(seen.last_seen)}", seen)


def _versions(evidence: Evidence, concerned: Collection[str]) -> Iterator[Change]:
    for service, names in _by_service(evidence.senders, "version", concerned).items():
        known = evidence.known.get("version")
        new = {name: seen for name, seen in names.items() if seen.is_new((service, name), known)}
        for name, seen in new.items():
            old = ", ".join(sorted(other for other, one in names.items() if one.before))
            before = f", before {old}" if old else ""
            summary = f"{service} runs version {name} since {at_time(seen.first_seen)}{before}"
            yield _change("version", f"{service} {name}", summary, seen)
        for name, seen in names.items():
            if seen.has_vanished and not new:
                summary = f"{service} runs version {name} no more since {at_time(seen.last_seen)}"
                yield _change("version", f"{service} {name}", summary, seen)


def _models(evidence: Evidence, concerned: Collection[str]) -> Iterator[Change]:
    for service, names in _by_service(evidence.senders, "model", concerned).items():
        known = evidence.known.get("model")
        new = {name for name, seen in names.items() if seen.is_new((service, name), known)}
        for name, seen in names.items():
            if name in new:
                gone = ", ".join(sorted(other for other, one in names.items() if one.before and not one.after))
                instead = f" instead of {gone}" if gone else ""
                summary = f"{service} calls the model {name}{instead} since {at_time(seen.first_seen)}"
                yield _change("model", f"{service} {name}", summary, seen)
            elif seen.has_vanished and not new:
                summary = f"{service} calls the model {name} no more since {at_time(seen.last_seen)}"
                yield _change("model", f"{service} {name}", summary, seen)


def _by_service(
    senders: Sequence[SenderRow], kind: Kind, concerned: Collection[str]
) -> Mapping[str, Mapping[str, Seen]]:
    found: defaultdict[str, dict[str, Seen]] = defaultdict(dict)
    for (service, name), seen in _merged(senders, kind).items():
        if service not in concerned:
            found[service][name] = seen
    return found


def _messages(evidence: Evidence, concerned: Collection[str]) -> Iterator[Change]:
    shapes = alike({(row.service, row.logger, row.level, template(row.name)) for row in evidence.messages})
    found: dict[tuple[str, str, str], Seen] = {}
    for row in evidence.messages:
        if row.service not in concerned:
            shape = shapes[row.service, row.logger, row.level, template(row.name)]
            _add(found, (row.service, row.logger, shape), row)
    for (service, logger, text), seen in found.items():
        subject = f"{text} ({logger or service})"
        if seen.is_new((service, text), None):
            yield _change("log", subject, f"{service} logs “{text}” since {at_time(seen.first_seen)}", seen)
        elif seen.has_vanished:
            yield _change("log", subject, f"{service} logs “{text}” no more since {at_time(seen.last_seen)}", seen)


def _change(kind: Literal["service", "version", "model", "log"], subject: str, summary: str, seen: Seen) -> Change:
    return Change(
        kind=kind,
        subject=subject,
        summary=summary,
        unit="count",
        before=seen.before,
        after=seen.after,
        effect=log_ratio(seen.before, seen.after),
        z=seen.z,
        first_seen=seen.first_seen if seen.after and not seen.before else None,
        trace_id=_plain(seen.trace_after or seen.trace_before),
    )


def _plain(trace_id: str | None) -> str | None:
    return trace_id.replace("-", "") if trace_id else None


def _errors(evidence: Evidence) -> Iterator[Change]:
    groups: defaultdict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in evidence.failures:
        place = " of ".join(part for part in (failure.operation, failure.service) if part)
        groups[failure.kind or failure.error, place].append(failure)
    for (error, place), failures in groups.items():
        before = [failure for failure in failures if failure.timestamp < evidence.at]
        after = [failure for failure in failures if failure.timestamp >= evidence.at]
        z = _errors_apart(len(before), len(after), evidence.requests)
        if abs(z) >= CERTAIN:
            subject = f"{error} at {place}" if place else error
            yield _error_change(subject, before, after, z)


def _errors_apart(before: int, after: int, requests: tuple[int, int]) -> float:
    """Compare as counts, and as shares of the requests where they are: the lesser, as more requests are no cause."""
    by_count = counts_apart(before, after)
    if before > requests[0] or after > requests[1]:
        return by_count
    by_share = shares_apart(before, requests[0], after, requests[1])
    return min(by_count, by_share, key=abs) if by_count * by_share > 0 else 0.0


def _times(count: int) -> str:
    return ("never", "once", "twice")[count] if count < 3 else f"{count:,} times"


def _error_change(subject: str, before: Sequence[Failure], after: Sequence[Failure], z: float) -> Change:
    first = min((failure.timestamp for failure in after), default=None)
    since = f" since {at_time(first)}" if first and not before else ""
    example = min(after or before, key=lambda failure: failure.timestamp)
    return Change(
        kind="error",
        subject=subject,
        summary=f"{subject}: {_times(len(after))}{since}, before {_times(len(before))}",
        unit="count",
        before=len(before),
        after=len(after),
        effect=log_ratio(len(before), len(after)),
        z=z,
        first_seen=None if before else first,
        trace_id=example.trace_id,
    )
