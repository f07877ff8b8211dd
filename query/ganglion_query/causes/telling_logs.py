"""The few logs of a request that matter: serious ones, and rare ones in spans that went differently. Pure."""

import re
from collections.abc import Collection, Sequence

from ganglion_query.causes.past import LEAST, Usual
from ganglion_query.model import LogRow

__all__ = ["is_rare", "telling_logs", "template_of"]

_MOST = 50
_RARE = 0.1
_LONGEST = 200
_RANKS = {"CRITICAL": 0, "ERROR": 1, "WARNING": 2}
_VARIABLE = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f-]{27}|(?=[a-f]*\d)[0-9a-f]{8,})\b|\d+(?:\.\d+)?", re.IGNORECASE)


def template_of(message: str) -> str:
    """Return a message without what differs from request to request: numbers and ids."""
    return _VARIABLE.sub("#", message[:_LONGEST])


def telling_logs(logs: Sequence[LogRow], usual: Usual, unusual: Collection[str]) -> list[LogRow]:
    """Return the logs that matter, by time; `unusual` are the ids of spans that went differently."""
    ranked = [(rank, log) for log in logs if (rank := _rank(log, usual, unusual)) is not None]
    ranked.sort(key=lambda one: (one[0], one[1].timestamp))
    return sorted((log for _, log in ranked[:_MOST]), key=lambda log: log.timestamp)


def is_rare(log: LogRow, usual: Usual) -> bool:
    """Tell whether hardly any usual request has a log like this."""
    return usual.requests >= LEAST and usual.messages.get(template_of(log.message or ""), 0.0) < _RARE


def _rank(log: LogRow, usual: Usual, unusual: Collection[str]) -> int | None:
    if log.level in _RANKS:
        return _RANKS[log.level]
    return 3 if log.span_id in unusual and is_rare(log, usual) else None
