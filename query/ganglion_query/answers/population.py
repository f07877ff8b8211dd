"""All requests of a period by what they have in common, and what some of them have more often than the others."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from ganglion_query.answers.period import Period
from ganglion_query.reader import Session
from ganglion_query.reader.requests import RequestRow, requests
from ganglion_query.reader.resources import ResourceRow, resources
from ganglion_query.significance import CERTAIN, shares_apart

__all__ = ["EVERYBODY", "Population", "Share", "Whose", "population"]

_MOST = 50_000
_LEAST_DIFFERENCE = 0.1
_SHOWN = 5
_NAMES = ("service", "version", "operation", "tenant", "user", "model", "environment", "host")


@dataclass(frozen=True, slots=True)
class Whose:
    """Which requests: those that a service took part in, of a user, of a tenant, where they are given."""

    service: str | None = None
    user: str | None = None
    tenant: str | None = None


EVERYBODY = Whose()


@dataclass(frozen=True, slots=True)
class Share:
    """A value that is more frequent among these errors than among all requests; shares from 0 to 1."""

    attribute: str
    value: str
    among_errors: float
    among_all: float


@dataclass(frozen=True)
class Population:
    """Requests with their values by attribute; `truncated`: there are more, these are the newest."""

    facts: Mapping[str, AbstractSet[tuple[str, str]]]
    truncated: bool

    @property
    def count(self) -> int:
        return len(self.facts)

    @cached_property
    def _everywhere(self) -> Counter[tuple[str, str]]:
        return Counter(chain.from_iterable(self.facts.values()))

    def values(self, attribute: str) -> set[str]:
        return {value for name, value in self._everywhere if name == attribute}

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
        return [Share(*fact, count / len(known), self._everywhere[fact] / self.count) for fact, count in inside.items()]


def population(session: Session, period: Period, whose: Whose = EVERYBODY) -> Population:
    """Return the requests of a period, at most 50,000."""
    rows = requests(session, period.since, period.until, _MOST)
    known = resources(session, (id_ for row in rows for id_ in row.resource_ids))
    chosen = [row for row in rows if _is_of(row, known, whose)]
    of_senders: dict[tuple[int, ...], frozenset[tuple[str, str]]] = {}
    facts: dict[str, AbstractSet[tuple[str, str]]] = {}
    for row in chosen:
        ids = tuple(row.resource_ids)
        if ids not in of_senders:
            of_senders[ids] = frozenset(_said_by_senders(ids, known))
        facts[row.trace_id] = of_senders[ids].union(_said(row))
    return Population(facts, len(rows) == _MOST)


def _is_of(row: RequestRow, known: Mapping[int, ResourceRow], whose: Whose) -> bool:
    if whose.user not in {None, row.user_id} or whose.tenant not in {None, row.tenant_id}:
        return False
    if whose.service is None:
        return True
    return any(id_ in known and known[id_].service_name == whose.service for id_ in row.resource_ids)


def _said(row: RequestRow) -> Iterator[tuple[str, str]]:
    said = {"operation": row.operation, "tenant": row.tenant_id, "user": row.user_id}
    yield from ((name, value) for name, value in said.items() if value)
    yield from (("model", model) for model in row.models)


def _said_by_senders(ids: Iterable[int], known: Mapping[int, ResourceRow]) -> Iterator[tuple[str, str]]:
    for resource in (known[id_] for id_ in set(ids) if id_ in known):
        name = resource.service_name or ""
        told = {
            "service": resource.service_name,
            "version": f"{resource.version} of {name}" if resource.version and name else resource.version,
            "environment": resource.environment,
            "host": resource.host,
        }
        yield from ((attribute, value) for attribute, value in told.items() if value)
