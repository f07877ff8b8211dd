"""Spans that should be here and are not. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ganglion_query.causes.past import LEAST
from ganglion_query.causes.request import Request
from ganglion_query.tree import Root

__all__ = ["MissingSpan", "Why", "find_missing"]

Why: TypeAlias = Literal["caller", "parent", "log", "usual"]
"""How it is known that a span should be here."""

_USUALLY = 0.8


@dataclass(frozen=True, slots=True)
class MissingSpan:
    """A span that is not here: named as a parent or by a log (`span_id`), or there in most traces of this kind.

    `caller`: the parent of the first span, above all that is here, which often is in no service that sends spans.

    `share` of the usual requests have it. Of one that a log names, `service_name` is the log's; of a parent it is that
    of the span below.
    """

    why: Why
    span_id: str | None
    name: str | None
    service_name: str | None
    share: float | None


def find_missing(request: Request) -> list[MissingSpan]:
    """Return each once; of a trace that is cut off at the limit, none: there it may well be."""
    if request.trace.truncated:
        return []
    named = {one.span_id: one for one in reversed([*_parents(request), *_logged(request)])}
    return [*reversed(named.values()), *_unusual(request)]


def _parents(request: Request) -> Iterator[MissingSpan]:
    for bar in request.axis.bars:
        if bar.why is Root.ORPHAN:
            is_first = bar is request.root and len(request.axis.tops) == 1
            why: Why = "caller" if is_first else "parent"
            yield MissingSpan(why, bar.span.parent_span_id, None, bar.span.service_name, None)


def _logged(request: Request) -> Iterable[MissingSpan]:
    return (MissingSpan("log", log.span_id, None, log.service_name, None) for log in request.loose if log.span_id)


def _unusual(request: Request) -> list[MissingSpan]:
    usual = request.past.usual
    if usual.requests < LEAST:
        return []
    here = request.operations
    lacking = [(one.share, operation) for operation, one in usual.operations.items() if operation not in here]
    return [
        MissingSpan("usual", None, name, service or None, share)
        for share, (service, name) in sorted(lacking, reverse=True)
        if share >= _USUALLY
    ]
