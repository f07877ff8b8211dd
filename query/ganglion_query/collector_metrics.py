"""What the collector's own metrics tell of its journal, what waits in it, and what could not be delivered."""

import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.error import URLError

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Backlog", "read_backlog"]

_PATIENCE = 2.0
_MOST_BYTES = 8_000_000


@dataclass(slots=True)
class Backlog:
    """Bytes of the journal and its quota; by exporter and signal the bytes that wait; parts that do not work."""

    journal_bytes: float = 0
    journal_quota: float = 0
    waiting: dict[str, float] = field(default_factory=dict[str, float])
    dead_letters: int = 0
    ill: list[str] = field(default_factory=list[str])


def read_backlog(address: str) -> Backlog | None:
    """Ask the collector on this machine at `host:port`; None if it does not answer."""
    # Straight to it: a proxy of the environment is for other machines.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/metrics", timeout=_PATIENCE) as answer:
            text = answer.read(_MOST_BYTES).decode("utf-8", "replace")
        return _backlog(text)
    except (URLError, OSError, ValueError):
        return None


def _backlog(text: str) -> Backlog:
    backlog = Backlog()
    for name, labels, value in _samples(text):
        match name:
            case "ganglion_journal_size_bytes":
                backlog.journal_bytes = value
            case "ganglion_journal_quota_bytes":
                backlog.journal_quota = value
            case "otelcol_exporter_queue_size":
                backlog.waiting[f"{labels.get('data_type')}/{labels.get('exporter')}"] = value
            case "ganglion_dead_letters":
                backlog.dead_letters = int(value)
            case "ganglion_component_healthy" if not value:
                backlog.ill.append(labels.get("component", ""))
            case _:
                pass
    return backlog


def _samples(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
