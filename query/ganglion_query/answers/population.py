"""All requests of a period by what they have in common, and what some of them have more often than the others."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ganglion_query.answers.period import Period
from ganglion_query.reader import Session
from ganglion_query.reader.requests import RequestRow, requests
from ganglion_query.reader.resources import ResourceRow, resources
from ganglion_query.significance import CERTAIN, shares_apart

__all__ = ["Population", "Share", "population"]

_MOST = 50_000
_LEAST_DIFFERENCE = 0.1
_SHOWN = 5
_NAMES = ("service", "version", "operation", "tenant", "user", "model", "environment", "host")


@dataclass(frozen=True, slots=True)
class Share:
    """A value that is more frequent among these errors than among all requests; shares from 0 to 1."""

    attribute: str
    value: str
    among_errors: float
    among_all: float


@dataclass(frozen=True, slots=True)
class Population:
    """Requests with their values by attribute; `truncated`: there are more, these are the newest."""

    facts: Mapping[str, AbstractSet[tuple[str, str]]]
    truncated: bool

    @property
    def count(self) -> int:
        return len(self.facts)

    def values(self, attribute: str) -> set[str]:
        return {value for facts in self.facts.values() for name, value in facts if name == attribute}

    def over_represented(self, trace_ids: AbstractSet[str]) -> Sequence[Share]:
        """Return what most sets these requests apart from the others, the surest first."""
        some = len(trace_ids & self.facts.keys())
        found: list[tuple[float, Share]] = []
        for share in self.shares(trace_ids):
            inside, everywhere = round(share.among_errors * some), round(share.among_all * self.count)
            z = shares_apart(everywhere - inside, self.count - some, inside, some)
            if z >= CERTAIN and share.among_errors - share.among_all >= _LEAST_DIFFERENCE:
                found.append((z, share))
        found.sort(key=lambda pair: (-round(pair[0], 6), _NAMES.index(pair[1].attribute), pair[1].value))
        return [share for _, share in found[:_SHOWN]]

    def shares(self, trace_ids: AbstractSet[str], attribute: str | None = None) -> Sequence[Share]:
        """Return how many of these requests have each value, of one attribute if it is given."""
        known = trace_ids & self.facts.keys()
        inside = Counter(fact for trace_id in known for fact in self.facts[trace_id] if attribute in {None, fact[0]})
        everywhere = Counter(fact for facts in self.facts.values() for fact in facts if fact in inside)
        return [Share(*fact, count / len(known), everywhere[fact] / self.count) for fact, count in inside.items()]


def population(session: Session, period: Period, service: str | None = None, user: str | None = None) -> Population:
    """Return the requests of a period, at most 50,000; those that a service took part in, or of a user, if given."""
    rows = requests(session, period.since, period.until, _MOST)
    known = resources(session, (id_ for row in rows for id_ in row.resource_ids))
    chosen = [row for row in rows if user in {None, row.user_id} and _has_service(row, known, service)]
    return Population({row.trace_id: frozenset(_facts(row, known)) for row in chosen}, len(rows) == _MOST)


def _has_service(row: RequestRow, known: Mapping[int, ResourceRow], service: str | None) -> bool:
    if service is None:
        return True
    return any(id_ in known and known[id_].service_name == service for id_ in row.resource_ids)


def _facts(row: RequestRow, known: Mapping[int, ResourceRow]) -> Iterator[tuple[str, str]]:
    said = {"operation": row.operation, "tenant": row.tenant_id, "user": row.user_id}
    yield from ((name, value) for name, value in said.items() if value)
    yield from (("model", model) for model in row.models)
    for resource in (known[id_] for id_ in set(row.resource_ids) if id_ in known):
        name = resource.service_name or ""
        told = {
            "service": resource.service_name,
            "version": f"{resource.version} of {name}" if resource.version and name else resource.version,
            "environment": resource.environment,
            "host": resource.host,
        }
        yield from ((attribute, value) for attribute, value in told.items() if value)
