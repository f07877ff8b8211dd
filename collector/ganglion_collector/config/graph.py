"""Checks how components are put together into pipelines."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ganglion_collector.component import ExporterFactory
from ganglion_collector.config.catalog import KINDS, AnyFactory, Kind, signals_of
from ganglion_collector.config.connections import circles, loose_ends, pairs_of
from ganglion_collector.config.document import is_map
from ganglion_collector.config.model import Component, Pipeline
from ganglion_collector.config.problems import join, nearest, problem
from ganglion_collector.config.service import PipelineConfig, ServiceConfig
from ganglion_collector.errors import ConfigError
from ganglion_collector.otlp import Signal

__all__ = ["Graph", "component_type", "id_problem"]

_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_LONGEST_NAME = 1024
_ENDS: Mapping[Kind, str] = {"receivers": "a receiver", "exporters": "an exporter"}
"""Where a connector's id may stand too."""

Components = Mapping[Kind, Mapping[str, Component[AnyFactory]]]


def component_type(component_id: str) -> str:
    """Return the type in `type[/name]`."""
    return component_id.partition("/")[0]


def id_problem(component_id: str) -> str | None:
    """Say what is wrong with a component's or pipeline's id, None if nothing is."""
    kind, slash, name = component_id.partition("/")
    if not _TYPE.fullmatch(kind):
        return "the type must begin with a letter and hold only letters, digits and _"
    if slash and not name:
        return "there is no name after /"
    if len(name) > _LONGEST_NAME:
        return f"the name is longer than {_LONGEST_NAME} characters"
    if any(unicodedata.category(character)[0] in "ZCS" for character in name):
        return "the name holds a space, a symbol or a control character"
    return None


@dataclass(slots=True)
class Graph:
    """The pipelines of one configuration; what is wrong goes to `errors`.

    `defined` are the ids in each section, `components` those of them that are valid.
    """

    service: ServiceConfig
    defined: Mapping[Kind, frozenset[str]]
    components: Components
    errors: list[ConfigError] = field(default_factory=list[ConfigError])

    def pipelines(self) -> dict[str, Pipeline]:
        """Return the pipelines after checking each one."""
        if not self.service.pipelines:
            self._add("service::pipelines", None, "there is no pipeline", "add one, such as traces or logs")
        checked = [self._pipeline(key, config) for key, config in self.service.pipelines.items()]
        found = {pipeline.id: pipeline for pipeline in checked if pipeline is not None}
        self._check_readers(found.values())
        if len(found) == len(checked):
            self._check_connectors(list(found.values()))
        return found

    def extensions(self) -> tuple[str, ...]:
        """Return the extensions to start, after checking that they are defined and that single ones are single."""
        ids = self._references("service::extensions", "extensions", self.service.extensions)
        seen: dict[str, str] = {}
        for component_id in ids:
            component = self.components["extensions"].get(component_id)
            if component is None or getattr(component.factory, "create", None) is not None:
                continue
            kind = component.factory.component_type
            if kind in seen:
                self._add("service::extensions", component_id, f"{kind} is there already", f"keep {seen[kind]!r} only")
            seen[kind] = component_id
        return ids

    def check_authenticators(self, raw: Mapping[str, Any], in_use: Mapping[Kind, Iterable[str]]) -> None:
        """Check that whatever `authenticator` names is an extension that can check credentials and is started."""
        for kind in ("receivers", "exporters"):
            for component_id in in_use[kind]:
                path = join(kind, component_id)
                _visit(raw[kind].get(component_id), path, self._authenticator)

    def _authenticator(self, path: str, name: Any) -> None:
        component = self.components["extensions"].get(str(name))
        if component is None and name not in self.defined["extensions"]:
            hint = "define it under extensions and list it in service::extensions"
            self._add(path, name, "there is no such extension", hint)
        elif name not in self.service.extensions:
            self._add(path, name, "this extension is not started", "list it in service::extensions")
        elif component is not None and getattr(component.factory, "create", None) is None:
            self._add(path, name, "this extension does not check credentials", "name bearertokenauth or basicauth")

    def _pipeline(self, pipeline_id: str, config: PipelineConfig) -> Pipeline | None:
        path = f"service::pipelines::{pipeline_id}"
        signal = self._signal(pipeline_id, path)
        receivers = self._references(join(path, "receivers"), "receivers", config.receivers)
        processors = self._references(join(path, "processors"), "processors", config.processors)
        exporters = self._references(join(path, "exporters"), "exporters", config.exporters)
        for kind, ids in (("receivers", receivers), ("exporters", exporters)):
            if not ids:
                self._add(join(path, kind), None, f"there are no {kind}", "name at least one")
        for component_id in {one for one in processors if config.processors.count(one) > 1}:
            self._add(join(path, "processors"), component_id, "this processor stands twice", "keep it once")
        if signal is None:
            return None
        self._check_signals(signal, "receivers", receivers, path)
        self._check_signals(signal, "processors", processors, path)
        self._check_signals(signal, "exporters", exporters, path)
        return Pipeline(pipeline_id, signal, receivers, processors, exporters)

    def _signal(self, pipeline_id: str, path: str) -> Signal | None:
        reason = id_problem(pipeline_id)
        if reason is not None:
            self._add(path, None, reason, "write signal or signal/name")
            return None
        name = component_type(pipeline_id)
        if name not in set(Signal):
            what = "profiles are not supported" if name == "profiles" else f"{name!r} is not a signal"
            self._add(path, None, what, "a pipeline is called traces, metrics or logs, with a /name if wanted")
            return None
        return Signal(name)

    def _references(self, path: str, kind: Kind, ids: list[str]) -> tuple[str, ...]:
        for component_id in dict.fromkeys(ids):
            if component_id not in self.defined[kind] and not self._connects(kind, component_id):
                self._add(path, component_id, f"not defined under {kind}", self._missing(kind, component_id))
        return tuple(dict.fromkeys(ids))

    def _connects(self, kind: Kind, component_id: str) -> bool:
        return kind in _ENDS and component_id in self.defined["connectors"]

    def _missing(self, kind: Kind, component_id: str) -> str:
        for other in KINDS:
            if other != kind and component_id in self.defined[other]:
                return f"it is defined under {other}; define it under {kind} too"
        known = set(self.defined[kind])
        if kind in _ENDS:
            known |= self.defined["connectors"]
        if known:
            return nearest(component_id, known)
        return f"define it under {kind}"

    def _check_signals(self, signal: Signal, kind: Kind, ids: tuple[str, ...], path: str) -> None:
        for component_id in ids:
            component = self.components[kind].get(component_id)
            if component is None or signal in signals_of(component.factory):
                continue
            takes = " and ".join(sorted(signals_of(component.factory))) or "nothing"
            hint = f"use it in a pipeline for {takes}, and another here"
            self._add(join(path, kind), component_id, f"does not do {signal}, only {takes}", hint)

    def _check_connectors(self, pipelines: list[Pipeline]) -> None:
        for kind, other in _ENDS.items():
            for component_id in sorted(self.defined["connectors"] & self.defined[kind]):
                hint = f"rename one of them, to {component_id}/connector for example"
                self._add(join("connectors", component_id), None, f"there is {other} of this id too", hint)
        connectors = {id_: pairs_of(one.factory) for id_, one in self.components["connectors"].items()}
        self.errors.extend(loose_ends(pipelines, connectors))
        self.errors.extend(circles(pipelines, connectors))

    def _check_readers(self, pipelines: Iterable[Pipeline]) -> None:
        shared = self._shared()
        readers: set[str] = set()
        for pipeline in pipelines:
            path = f"service::pipelines::{pipeline.id}"
            for exporter in pipeline.exporters:
                reader = f"{pipeline.id}/{exporter}"
                if reader in readers:
                    self._add(path, exporter, "two pipelines with this exporter have one name", "rename the pipeline")
                if reader in shared and exporter not in shared:
                    reason = f"with this exporter the pipeline is called as {reader!r} is"
                    self._add(path, exporter, reason, "rename the pipeline")
                readers.add(reader)

    def _shared(self) -> set[str]:
        # One worker serves all pipelines that name one of these, and is called as it is; others as their reader is.
        exporters = self.components["exporters"].items()
        shared = {id_ for id_, one in exporters if isinstance(one.factory, ExporterFactory) and one.factory.shared}
        return shared | self.components["connectors"].keys()

    def _add(self, path: str, value: Any, reason: str, hint: str) -> None:
        self.errors.append(problem(path, value, reason, hint))


def _visit(raw: Any, path: str, found: Callable[[str, Any], None]) -> None:
    if not is_map(raw):
        return
    for key, value in raw.items():
        if key == "authenticator" and path.endswith("::auth"):
            found(join(path, key), value)
        _visit(value, join(path, key), found)
