"""Which spans took longer than usual, and how much of that is their own. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ganglion_query.causes.past import LEAST, Baseline, Operation, operation_of
from ganglion_query.causes.request import Request
from ganglion_query.critical_path import self_time
from ganglion_query.time_axis import Bar, top_down

__all__ = ["Excess", "SpanComparison", "compare_spans", "excesses", "is_slow", "is_unusual", "unusual_spans"]

_MS = 1e6
_TIMES = 1.5
_LEAST_MS = 1.0
_MAIN_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class SpanComparison:
    """One span against its baseline.

    `excess_ms` is how much of its self time is more than the usual; `times_usual` its duration over the baseline's
    median.
    """

    span_id: str
    name: str
    service_name: str | None
    duration_ms: float
    self_time_ms: float
    critical_ms: float
    baseline: Baseline | None
    times_usual: float | None
    excess_ms: float
    unusual: bool


@dataclass(frozen=True, slots=True)
class Excess:
    """What the spans of one operation took more than usual by themselves, the worst first.

    `ms` in all, `waited_ms` of it where the request waited for them.
    """

    operation: Operation
    ms: float
    waited_ms: float
    bars: Sequence[Bar]
    baseline: Baseline | None


def compare_spans(request: Request) -> list[SpanComparison]:
    """Compare every span, in tree order."""
    excess = _own_excess(request)
    return [_compared(bar, request, own) for bar, own in zip(request.axis.bars, excess, strict=True)]


def unusual_spans(compared: Sequence[SpanComparison]) -> set[str]:
    return {one.span_id for one in compared if one.unusual}


def excesses(request: Request, compared: Sequence[SpanComparison], repeated: Collection[Operation]) -> list[Excess]:
    """Return the operations that took longer by themselves, the most telling first.

    Of those that are `repeated` only ones of which is known how long they usually take: the others' time is told there.
    """
    found: dict[Operation, list[tuple[float, Bar]]] = {}
    for bar, one in zip(request.axis.bars, compared, strict=True):
        if one.excess_ms > 0 and (one.baseline is not None or operation_of(bar.span) not in repeated):
            found.setdefault(operation_of(bar.span), []).append((one.excess_ms, bar))
    apart = _apart(request)
    grouped = [_grouped(operation, own, apart, request) for operation, own in found.items()]
    return sorted(grouped, key=lambda one: (one.waited_ms, one.ms), reverse=True)


def _grouped(operation: Operation, own: list[tuple[float, Bar]], apart: set[int], request: Request) -> Excess:
    own.sort(key=_most, reverse=True)
    bars = [bar for _, bar in own]
    waited = sum(min(ms, request.critical.get(id(bar), 0) / _MS) for ms, bar in own if id(bar) not in apart)
    sent_on = sum(ms for ms, bar in own if id(bar) in apart)
    return Excess(operation, sum(ms for ms, _ in own), waited + sent_on, bars, request.past.of(bars[0].span))


def _apart(request: Request) -> set[int]:
    """Return what runs at the end of a queue: no span waits for it, but who sent the message does."""
    apart: set[int] = set()
    for bar in top_down(request.axis):
        if id(bar) in apart or (bar.detached and bar.span.kind == "CONSUMER"):
            apart.add(id(bar))
            apart.update(id(child) for child in bar.children)
    return apart


def _most(one: tuple[float, Bar]) -> float:
    return one[0]


def is_slow(request: Request, compared: Sequence[SpanComparison]) -> bool:
    """Tell whether the request took longer than usual.

    Where nothing is known of the request itself: whether a good part of it is some span's excess.
    """
    usual = request.past.usual
    if request.outlasts and usual.requests >= LEAST:
        return is_longer(request.length / _MS, usual.p50_ms, usual.p95_ms)
    if request.past.of(request.root.span) is not None:
        return is_unusual(request.root, request.past.of(request.root.span))
    return any(one.unusual and one.excess_ms >= _MAIN_SHARE * request.length / _MS for one in compared)


def is_unusual(bar: Bar, baseline: Baseline | None) -> bool:
    return baseline is not None and is_longer(bar.length / _MS, baseline.p50_ms, baseline.p95_ms)


def is_longer(ms: float, p50_ms: float, p95_ms: float) -> bool:
    return ms > p95_ms and ms >= _TIMES * p50_ms and ms - p50_ms >= _LEAST_MS


def _own_excess(request: Request) -> list[float]:
    """Return the milliseconds of each span that neither its usual duration nor the excess of those below explain.

    Spans of which nothing is known share what is left of the excess of the one above them.
    """
    claims: dict[int, float] = {}
    for bar in top_down(request.axis):
        baseline = request.past.of(bar.span)
        above = claims.get(id(bar), 0.0)
        claims[id(bar)] = above if baseline is None else max(0.0, bar.length / _MS - baseline.p50_ms)
        if claims[id(bar)] and bar.children:
            claims.update(_shared(bar, claims[id(bar)], request))
    return [_own(bar, claims) for bar in request.axis.bars]


def _shared(bar: Bar, excess: float, request: Request) -> dict[int, float]:
    waited = [child for child in bar.children if not child.detached]
    usual = [(child, request.past.of(child.span)) for child in waited]
    left = excess - sum(max(0.0, child.length / _MS - one.p50_ms) for child, one in usual if one is not None)
    unknown = [child for child, one in usual if one is None]
    whole = sum(child.length for child in unknown) / _MS
    part = min(1.0, max(0.0, left) / whole) if whole else 0.0
    return {id(child): child.length / _MS * part for child in unknown}


def _own(bar: Bar, claims: Mapping[int, float]) -> float:
    below = sum(claims.get(id(child), 0.0) for child in bar.children if not child.detached)
    return max(0.0, min(self_time(bar) / _MS, claims[id(bar)] - below))


def _compared(bar: Bar, request: Request, own: float) -> SpanComparison:
    baseline = request.past.of(bar.span)
    length = bar.length / _MS
    unknown = baseline is None and own >= max(_LEAST_MS, _MAIN_SHARE * request.length / _MS)
    return SpanComparison(
        span_id=bar.span.span_id,
        name=bar.span.name or "",
        service_name=bar.span.service_name,
        duration_ms=length,
        self_time_ms=self_time(bar) / _MS,
        critical_ms=request.critical.get(id(bar), 0) / _MS,
        baseline=baseline,
        times_usual=length / baseline.p50_ms if baseline and baseline.p50_ms > 0 else None,
        excess_ms=own,
        unusual=unknown or is_unusual(bar, baseline),
    )
