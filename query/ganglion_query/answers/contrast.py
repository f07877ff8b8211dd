"""What differs between groups of requests: said only where the 95 % intervals do not overlap."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from ganglion_query.answers.estimates import Estimate, ValueGroup
from ganglion_query.sentences import amount, dollars_text, duration, score_text, share_text

__all__ = ["contrast"]

_MOST_SENTENCES = 4


Pair = tuple[str, str, str]
"""The value of one group, what it is, and that of the other: `1024`, `is slower than`, `512`."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """`more` is what a group with the greater value is."""

    name: str
    more: str
    of: Callable[[ValueGroup], Estimate | None]
    shown: Callable[[float], str]


def contrast(attribute: str, groups: Sequence[ValueGroup], whose: str = "") -> str:
    """Return in what two groups surely differ, figure by figure; `whose` names the requests, if they are not all."""
    told = f"{amount(sum(group.requests for group in groups), 'request')}{whose}"
    if not groups:
        return f"no request{whose} has {attribute}"
    if len(groups) == 1:
        return f"{attribute} is {groups[0].value} in all of {told}: there is nothing to compare it with"
    found: dict[Pair, list[str]] = {}
    for figure in _figures(groups):
        pair, text = _compared(groups, figure) or (None, "")
        if pair is not None:
            found.setdefault(pair, []).append(text)
    if not found:
        return f"no difference by {attribute} that these {told} could show"
    sentences = [f"{attribute} {' '.join(pair)}: {', '.join(texts)}" for pair, texts in found.items()]
    return "; ".join(sentences[:_MOST_SENTENCES]) + (f"; {told}" if whose else "")


def _figures(groups: Sequence[ValueGroup]) -> Iterator[_Figure]:
    yield _Figure("p95", "is slower than", attrgetter("p95_ms"), duration)
    yield _Figure("p50", "is slower than", attrgetter("p50_ms"), duration)
    yield _Figure("errors", "fails more often than", attrgetter("error_rate"), share_text)
    yield _Figure("cost of a request", "costs more than", attrgetter("cost_usd"), dollars_text)
    for name in sorted({name for group in groups for name in group.scores}):
        yield _Figure(name, "is better than", partial(_score, name), score_text)


def _score(name: str, group: ValueGroup) -> Estimate | None:
    return group.scores.get(name)


def _compared(groups: Sequence[ValueGroup], figure: _Figure) -> tuple[Pair, str] | None:
    """Compare the two groups whose intervals lie farthest apart; None if they overlap."""
    known = [(group.value, found) for group in groups if (found := figure.of(group)) is not None]
    if len(known) < 2:
        return None
    greater, much = max(known, key=lambda pair: _low(pair[1]))
    lesser, little = min(known, key=lambda pair: _high(pair[1]))
    if greater == lesser or _low(much) <= _high(little):
        return None
    return (greater, figure.more, lesser), f"{figure.name} {_shown(much, figure)} against {_shown(little, figure)}"


def _low(estimate: Estimate) -> float:
    return -math.inf if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float:
    return math.inf if estimate.high is None else estimate.high


def _shown(estimate: Estimate, figure: _Figure) -> str:
    low, high = figure.shown(_low(estimate)), figure.shown(_high(estimate))
    return f"{figure.shown(estimate.value)} ({low}\N{EN DASH}{high})"
