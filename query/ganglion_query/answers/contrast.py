"""What differs between groups of requests: said only where the 95 % intervals do not overlap."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ganglion_query.answers.estimates import Estimate, ValueGroup
from ganglion_query.sentences import amount, dollars_text, duration, score_text, share_text

__all__ = ["contrast"]

_MOST_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class _Figure:
    """`more` is what a group with the greater value is."""

    name: str
    more: str
    of: Callable[[ValueGroup], Estimate | None]
    shown: Callable[[float], str]


def contrast(attribute: str, groups: Sequence[ValueGroup], whose: str = "") -> str:
    """Return a sentence for each figure in which two groups surely differ; `whose` names the requests, if not all."""
    compared = sum(group.requests for group in groups)
    told = f"{amount(compared, 'request')}{whose}"
    if not groups:
        return f"no request{whose} has {attribute}"
    if len(groups) == 1:
        return f"all {told} have {attribute} {groups[0].value}: there is nothing to compare it with"
    sentences = [text for figure in _figures(groups) if (text := _sentence(attribute, groups, figure))]
    if not sentences:
        return f"no difference by {attribute} that these {told} could show"
    note = f" ({told})"
    return "; ".join(sentences[:_MOST_SENTENCES]) + note


def _figures(groups: Sequence[ValueGroup]) -> Iterator[_Figure]:
    yield _Figure("p95", "is slower than", lambda group: group.p95_ms, duration)
    yield _Figure("p50", "is slower than", lambda group: group.p50_ms, duration)
    yield _Figure("errors", "fails more often than", lambda group: group.error_rate, share_text)
    yield _Figure("cost of a request", "costs more than", lambda group: group.cost_usd, dollars_text)
    for name in sorted({name for group in groups for name in group.scores}):
        yield _Figure(name, "is better than", lambda group, name=name: group.scores.get(name), score_text)


def _sentence(attribute: str, groups: Sequence[ValueGroup], figure: _Figure) -> str | None:
    """Compare the two groups whose intervals lie farthest apart."""
    known = [(group.value, found) for group in groups if (found := figure.of(group)) is not None]
    bounded = [(value, found) for value, found in known if found.low is not None and found.high is not None]
    if len(bounded) < 2:
        return None
    greater, much = max(bounded, key=lambda pair: _low(pair[1]))
    lesser, little = min(bounded, key=lambda pair: _high(pair[1]))
    if _low(much) <= _high(little):
        return None
    figures = f"{_shown(much, figure)} against {_shown(little, figure)}"
    return f"{attribute} {greater} {figure.more} {lesser}: {figure.name} {figures}"


def _low(estimate: Estimate) -> float:
    return float("-inf") if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float:
    return float("inf") if estimate.high is None else estimate.high


def _shown(estimate: Estimate, figure: _Figure) -> str:
    return f"{figure.shown(estimate.value)} ({figure.shown(_low(estimate))}–{figure.shown(_high(estimate))})"
