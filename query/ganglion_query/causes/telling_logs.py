"""The few logs of a request that matter: serious ones, and rare ones in spans that went differently. Pure."""

from collections.abc import Collection, Sequence

from ganglion_query.causes.past import LEAST, Usual
from ganglion_query.fingerprints import template
from ganglion_query.model import LogRow

__all__ = ["candidates", "is_rare", "telling_logs"]

_MOST = 50
_RARE = 0.1
_RANKS = {"CRITICAL": 0, "ERROR": 1, "WARNING": 2}


def candidates(logs: Sequence[LogRow], unusual: Collection[str]) -> list[LogRow]:
    """Return the logs that matter if they are rare; `unusual` are the ids of spans that went differently."""
    return [log for log in logs if log.level in _RANKS or log.span_id in unusual]


def telling_logs(logs: Sequence[LogRow], usual: Usual, unusual: Collection[str]) -> list[LogRow]:
    """Return the logs that matter, by time."""
    ranked = [(_RANKS.get(log.level or "", len(_RANKS)), log) for log in candidates(logs, unusual)]
    ranked = [(rank, log) for rank, log in ranked if rank < len(_RANKS) or is_rare(log, usual)]
    ranked.sort(key=lambda one: (one[0], one[1].timestamp))
    return sorted((log for _, log in ranked[:_MOST]), key=lambda log: log.timestamp)


def is_rare(log: LogRow, usual: Usual) -> bool:
    """Tell whether hardly any usual request has a log like this."""
    return usual.requests >= LEAST and usual.messages.get(template(log.message or ""), 0.0) < _RARE
