"""Checks what connectors join: pipelines of signals that they know, in no circle.

The rules are those of the Collector's component graph, and one more: there a connector stands once for each pair of
signals, here it is one process, which must not wait for itself to read what it made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from ganglion_collector.component import ConnectorFactory
from ganglion_collector.config.model import Pipeline
from ganglion_collector.config.problems import problem
from ganglion_collector.errors import ConfigError
from ganglion_collector.otlp import Signal

__all__ = ["Pairs", "circles", "loose_ends", "makes", "pairs_of"]

Pairs: TypeAlias = frozenset[tuple[Signal, Signal]]
"""What a connector takes, and what it makes of it."""

_Node: TypeAlias = tuple[str, str]


def pairs_of(factory: object) -> Pairs:
    """Return the pairs of a connector's factory; any other has none."""
    return factory.pairs if isinstance(factory, ConnectorFactory) else frozenset()


def makes(pairs: Pairs) -> str:
    """Say what a connector makes: `metrics of logs and traces`."""
    every = sorted({made for _, made in pairs})
    return "; ".join(f"{made} of {_all(_takes(pairs, made))}" for made in every) or "nothing"


def loose_ends(pipelines: Sequence[Pipeline], connectors: Mapping[str, Pairs]) -> Iterator[ConfigError]:
    """Yield an error for each end of a connector that has no counterpart of a signal that goes with it."""
    for connector, pairs in connectors.items():
        ended = [one for one in pipelines if connector in one.exporters]
        begun = [one for one in pipelines if connector in one.receivers]
        for pipeline in ended:
            found = _wrong_end(pipeline.signal, pairs, {one.signal for one in begun})
            if found is not None:
                yield problem(f"service::pipelines::{pipeline.id}::exporters", connector, *found)
        for pipeline in begun:
            found = _wrong_beginning(pipeline.signal, pairs, {one.signal for one in ended})
            if found is not None:
                yield problem(f"service::pipelines::{pipeline.id}::receivers", connector, *found)


def _wrong_end(signal: Signal, pairs: Pairs, begun: set[Signal]) -> tuple[str, str] | None:
    possible = {made for taken, made in pairs if taken == signal}
    if not possible:
        hint = f"name it among the exporters of a pipeline for {_any(taken for taken, _ in pairs)}"
        return f"this connector does not take {signal}: it makes {makes(pairs)}", hint
    if begun.isdisjoint(possible):
        reason = f"this connector makes {_all(possible)} of {signal}, and no pipeline takes them from it"
        return reason, f"name it among the receivers of a pipeline for {_any(possible)}"
    return None


def _wrong_beginning(signal: Signal, pairs: Pairs, ended: set[Signal]) -> tuple[str, str] | None:
    possible = _takes(pairs, signal)
    if not possible:
        hint = f"name it among the receivers of a pipeline for {_any(made for _, made in pairs)}"
        return f"this connector does not make {signal}: it makes {makes(pairs)}", hint
    if ended.isdisjoint(possible):
        reason = f"this connector makes {signal} of {_all(possible)}, and no pipeline gives it any"
        return reason, f"name it among the exporters of a pipeline for {_any(possible)}"
    return None


def circles(pipelines: Sequence[Pipeline], connectors: Mapping[str, Pairs]) -> Iterator[ConfigError]:
    """Yield an error for a way on which a pipeline, or a connector, would get what it made itself."""
    takers = {id_: {taken for taken, _ in pairs} for id_, pairs in connectors.items()}
    makers = {id_: {made for _, made in pairs} for id_, pairs in connectors.items()}
    before: dict[_Node, list[_Node]] = {}
    for pipeline in pipelines:
        here = ("pipeline", pipeline.id)
        before[here] = [("connector", one) for one in pipeline.receivers if pipeline.signal in makers.get(one, ())]
        for one in pipeline.exporters:
            if pipeline.signal in takers.get(one, ()):
                before.setdefault(("connector", one), []).append(here)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        yield _circle(error.args[1][:-1], pipelines)


def _circle(nodes: list[_Node], pipelines: Sequence[Pipeline]) -> ConfigError:
    starts = [("pipeline", one.id) for one in pipelines]
    first = next(nodes.index(start) for start in starts if start in nodes)
    begin, connector, *others = (name for _, name in [*nodes[first:], *nodes[:first]])
    way = " → ".join([begin, connector, *others, begin])
    reason = f"this connector leads in a circle: {way}"
    hint = "take a connector on this way out of one of the pipelines"
    return problem(f"service::pipelines::{begin}::exporters", connector, reason, hint)


def _takes(pairs: Pairs, made: Signal) -> set[Signal]:
    return {one for one, other in pairs if other == made}


def _all(signals: Iterable[Signal]) -> str:
    return _listed(signals, " and ")


def _any(signals: Iterable[Signal]) -> str:
    return _listed(signals, " or ")


def _listed(signals: Iterable[Signal], between: str) -> str:
    *others, last = sorted(map(str, set(signals))) or ["nothing"]
    return between.join([", ".join(others), last]) if others else last
