"""Is the system healthy: the collector's parts, what arrives, and services against their day before."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from ganglion_query.collector_metrics import read_backlog
from ganglion_query.reader import Reader, ReaderError, Session
from ganglion_query.reader import health as rows
from ganglion_query.reader.health import NewestRow, ServiceRow
from ganglion_query.sentences import amount, duration, share_text, size
from ganglion_query.significance import CERTAIN, Sample, means_apart, shares_apart

__all__ = ["OFF", "Health", "Part", "ServiceHealth", "State", "health"]

State = Literal["healthy", "degraded", "failing", "unknown"]

OFF = "switched off"
"""How the detail of a part begins that is not meant to run: it is neither well nor ill."""

_LATELY = timedelta(minutes=15)
_MOST_SERVICES = 500
_STALE = timedelta(minutes=15)
_LONGEST_LAG = 60.0
_MANY_FAIL = 0.5
_ALERTING = 0.05
_LEAST_ERRORS = 3
_LEAST_MORE_ERRORS = 0.01
_LEAST_SLOWER = 1.5
_LEAST_REQUESTS = 12
_FULL, _FILLING, _FAR_BEHIND = 0.95, 0.8, 0.25
_ORDER: Sequence[State] = ("failing", "degraded", "unknown", "healthy")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is well or not: a process, a component, the database, arrival of telemetry."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The last 15 minutes of a service against the day before. Milliseconds, shares from 0 to 1."""

    service: str
    state: State
    reason: str
    requests: int
    error_rate: float
    usual_error_rate: float | None
    p95_ms: float | None
    usual_p95_ms: float | None
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """`state` is the worst of all; `verdict` says it in a sentence."""

    state: State
    verdict: str
    checked_at: datetime
    parts: Sequence[Part]
    services: Sequence[ServiceHealth]


def health(reader: Reader, collector_status: Mapping[str, Any] | None) -> Health:
    """Return how the collector, the database and the services are.

    `collector_status` is what `ganglion_collector.background.read_status` returns, None if it is not known here. A
    database that cannot be asked is an answer, not an error.
    """
    now = datetime.now(UTC)
    parts = [*_collector(collector_status)]
    services: Sequence[ServiceHealth] = ()
    try:
        with reader.session() as session:
            parts += _database(session, now)
            services = _services(rows.services(session, now - _LATELY, now, _MOST_SERVICES))
    except ReaderError as error:
        parts.append(Part("database", "failing", str(error)))
    states: list[State] = [*(part.state for part in parts), *(service.state for service in services)]
    state = min(states, key=_ORDER.index)
    return Health(state, _verdict(state, parts, services), now, parts, services)


def _collector(status: Mapping[str, Any] | None) -> Iterator[Part]:
    if status is None:
        return
    reason = str(status.get("reason") or "")
    if not status.get("healthy"):
        stopped = reason == "not running"
        yield Part("collector", "failing" if stopped else "degraded", reason or "not healthy")
    else:
        yield Part("collector", "healthy", "running")
    for process in cast("Sequence[Mapping[str, Any]]", status.get("processes", ())):
        yield _process(process)
    disabled = cast("Mapping[str, str]", status.get("disabled", {}))
    yield from _journal(cast("Mapping[str, str]", status.get("addresses", {})), disabled)
    for name, why in disabled.items():
        yield Part(_named(name), "healthy", f"{OFF}: {why}" if why else OFF)


def _named(component: str) -> str:
    """Return a component's name as those of the other parts are: `exporter langsmith`."""
    return component.replace(":", " ", 1)


def _process(process: Mapping[str, Any]) -> Part:
    running = process.get("state") == "running"
    restarts = int(process.get("restarts") or 0)
    told = [str(process.get("state"))]
    if restarts:
        told.append(amount(restarts, "restart"))
    if process.get("reason"):
        told.append(str(process["reason"]))
    return Part(f"process {process.get('name')}", "healthy" if running else "degraded", ", ".join(told))


def _journal(addresses: Mapping[str, str], disabled: Mapping[str, str]) -> Iterator[Part]:
    """Tell what the collector's own metrics say, where they are served."""
    backlog = read_backlog(addresses["metrics"]) if "metrics" in addresses else None
    if backlog is None:
        return
    yield from (Part(_named(name), "degraded", "does not work") for name in backlog.ill if name not in disabled)
    share = backlog.journal_bytes / backlog.journal_quota if backlog.journal_quota else 0.0
    told = f"{size(backlog.journal_bytes)} of {size(backlog.journal_quota)}"
    yield Part("journal", "failing" if share >= _FULL else "degraded" if share >= _FILLING else "healthy", told)
    for reader, waiting in sorted(backlog.waiting.items()):
        behind = waiting >= _FAR_BEHIND * backlog.journal_quota
        yield Part(f"exporter {reader}", "degraded" if behind else "healthy", f"{size(waiting)} wait in the journal")
    if backlog.dead_letters:
        told = f"{amount(backlog.dead_letters, 'item')} could not be delivered: ganglion dead-letters list"
        yield Part("dead letters", "degraded", told)


def _database(session: Session, now: datetime) -> Iterator[Part]:
    found = {kind: rows.newest(session, kind, now) for kind in ("logs", "spans")}
    yield Part("database", "healthy", "answers")
    for kind, newest in found.items():
        yield _arrival(kind, newest, now)


def _arrival(kind: str, newest: NewestRow | None, now: datetime) -> Part:
    if newest is None:
        return Part(f"arrival of {kind}", "unknown", "none in the last day")
    age = now - newest.newest
    told = f"the newest is {_seconds(age.total_seconds())} old, stored within {_seconds(newest.lag)} (p95)"
    slow = newest.lag > _LONGEST_LAG
    return Part(f"arrival of {kind}", "degraded" if slow else "unknown" if age > _STALE else "healthy", told)


def _seconds(seconds: float) -> str:
    return duration(max(0.0, seconds) * 1000)


def _services(found: Sequence[ServiceRow]) -> Sequence[ServiceHealth]:
    by_service: defaultdict[str, dict[bool, ServiceRow]] = defaultdict(dict)
    for row in found:
        by_service[row.service][row.now] = row
    judged = [_service(pair.get(True), pair.get(False)) for pair in by_service.values()]
    return sorted(judged, key=lambda one: (_ORDER.index(one.state), -one.requests, one.service))


def _service(lately: ServiceRow | None, usual: ServiceRow | None) -> ServiceHealth:
    state, reason = _judged(lately, usual)
    row = lately or usual
    assert row is not None
    return ServiceHealth(
        service=row.service,
        state=state,
        reason=reason,
        requests=lately.requests if lately else 0,
        error_rate=_rate(lately) or 0.0,
        usual_error_rate=_rate(usual),
        p95_ms=lately.p95_ms if lately else None,
        usual_p95_ms=usual.p95_ms if usual else None,
        last_seen=row.last_seen,
    )


def _judged(lately: ServiceRow | None, usual: ServiceRow | None) -> tuple[State, str]:
    if lately is None:
        return _silent(usual)
    rate = _rate(lately) or 0.0
    if rate >= _MANY_FAIL and lately.requests >= 5:
        return "failing", f"{share_text(rate)} of {amount(lately.requests, 'request')} fail"
    if usual is None:
        return _by_itself(lately, rate)
    z = shares_apart(usual.errors, usual.requests, lately.errors, lately.requests)
    if z >= CERTAIN and rate - (_rate(usual) or 0.0) >= _LEAST_MORE_ERRORS:
        return "degraded", f"{share_text(rate)} of requests fail, usually {share_text(_rate(usual) or 0.0)}"
    if _is_slower(lately, usual):
        return "degraded", f"p95 {duration(lately.p95_ms)}, usually {duration(usual.p95_ms)}"
    return _by_itself(lately, rate, "as usual")


def _by_itself(lately: ServiceRow, rate: float, known: str = "new: nothing in the day before") -> tuple[State, str]:
    """Judge by the rate of errors at which the shipped alerts fire, too."""
    if rate > _ALERTING and lately.errors >= _LEAST_ERRORS:
        return "degraded", f"{share_text(rate)} of {amount(lately.requests, 'request')} fail, {known}"
    return "healthy", known


def _silent(usual: ServiceRow | None) -> tuple[State, str]:
    """Judge by the hour before: a service that rests at night is not ill."""
    if usual is not None and usual.recently / 4 >= _LEAST_REQUESTS:
        return "degraded", f"no requests for 15 minutes, {usual.recently:,} in the hour before"
    return "healthy", "no requests"


def _is_slower(lately: ServiceRow, usual: ServiceRow) -> bool:
    if not lately.p95_ms or not usual.p95_ms:
        return False
    before = Sample(usual.timed, usual.mean, usual.variance)
    z = means_apart(before, Sample(lately.timed, lately.mean, lately.variance))
    return z >= CERTAIN and lately.p95_ms >= _LEAST_SLOWER * usual.p95_ms


def _rate(row: ServiceRow | None) -> float | None:
    return row.errors / row.requests if row and row.requests else None


def _verdict(state: State, parts: Sequence[Part], services: Sequence[ServiceHealth]) -> str:
    if state == "healthy":
        requests = sum(service.requests for service in services)
        return f"healthy: {amount(requests, 'request')} of {amount(len(services), 'service')} in the last 15 minutes"
    ill = [f"{part.name}: {part.detail}" for part in parts if part.state == state]
    ill += [f"{service.service}: {service.reason}" for service in services if service.state == state]
    return f"{state}: {'; '.join(ill[:3])}" + (f" and {len(ill) - 3} more" if len(ill) > 3 else "")
