"""Deliver dead letters again, each by the exporter that could not, exactly once."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from ganglion_collector.component import Batch, Exporter, ExporterConfig, KeepsFiles, Position, Source, Stateful
from ganglion_collector.config import CollectorConfig
from ganglion_collector.dead_letters import DeadLetter, DeadLetters
from ganglion_collector.errors import ExportError
from ganglion_collector.pipeline import Route, routes

__all__ = ["Outcome", "replay", "replay_batch"]

_NAMESPACE = UUID("7f0c1f5e-6d2a-4f0e-9b8c-6a1d3c2e5b47")
_NO_LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter; `problem` is empty if it was delivered."""

    id: str
    problem: str = ""


def replay_batch(letter: DeadLetter) -> Batch:
    """Return the letter as a batch from a journal of its own, so that an exporter's position makes it exactly once."""
    source = Source(uuid5(_NAMESPACE, f"{letter.journal}/{letter.id}"), letter.reader)
    return Batch(letter.signal, (letter.record(),), source, Position(), Position(1, 0))


async def replay(
    config: CollectorConfig, letters: DeadLetters, ids: Sequence[str], tell: Callable[[Outcome], None]
) -> None:
    """Deliver the letters `ids` one after the other; a delivered one is deleted, another stays where it is.

    `tell` hears of each. Killed between delivery and deletion, the next replay of an exporter that keeps its position
    only deletes.
    """
    exporters: dict[str, tuple[Exporter, float]] = {}
    try:
        for id_ in ids:
            letter = letters.get(id_)
            if letter is None:
                tell(Outcome(id_, "there is no such letter"))
                continue
            problem = await _deliver(config, letter, exporters)
            if not problem:
                letters.delete(id_)
            tell(Outcome(id_, problem))
    finally:
        for exporter, _ in exporters.values():
            await exporter.shutdown()


async def _deliver(config: CollectorConfig, letter: DeadLetter, exporters: dict[str, tuple[Exporter, float]]) -> str:
    """Return why it was not delivered."""
    if letter.reader not in exporters:
        found = [route for route in routes(config) if letter.reader in map(route.reader, route.pipelines)]
        if not found:
            return f"the configuration has no {letter.reader}; name one that has it by --config"
        if found[0].kind == "connector":
            return _only_running(found[0])
        component = config.exporters[found[0].exporter]
        exporter = component.factory.create(component.config)
        if found[0].shared or isinstance(exporter, KeepsFiles | Stateful):
            return _only_running(found[0])
        await exporter.start()
        common = component.config if isinstance(component.config, ExporterConfig) else ExporterConfig()
        exporters[letter.reader] = exporter, common.timeout or _NO_LIMIT
    exporter, timeout = exporters[letter.reader]
    try:
        async with asyncio.timeout(timeout):
            partial = await exporter.export(replay_batch(letter))
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except ExportError as error:
        return str(error) or type(error).__name__
    return f"rejected: {partial.message}" if partial is not None and partial.rejected else ""


def _only_running(route: Route) -> str:
    reason = f"{route.exporter} is one with the state of the running collector, and no other process can add to it"
    return f"{reason}; send its content (`ganglion dead-letters show ID --json`, payload) to a receiver of its pipeline"
