"""Makes a CollectorConfig of a resolved configuration, with every error that is in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ganglion_collector.config.catalog import (
    KINDS,
    AnyFactory,
    BrokenComponentError,
    Kind,
    component_types,
    find_factory,
)
from ganglion_collector.config.conform import Conformer
from ganglion_collector.config.document import is_map
from ganglion_collector.config.expand import Expanded
from ganglion_collector.config.foreign import advice, rename_keys
from ganglion_collector.config.graph import Graph, component_type, id_problem
from ganglion_collector.config.model import CollectorConfig, Component
from ganglion_collector.config.problems import invalid, join, nearest, printable, problem, validate
from ganglion_collector.config.service import ServiceConfig
from ganglion_collector.errors import ConfigError

__all__ = ["assemble"]

_SECTIONS = (*KINDS, "service")


def assemble(
    raw: Mapping[str, Any], warnings: Iterable[str] = (), errors: Iterable[ConfigError] = ()
) -> CollectorConfig:
    """Return the configuration in `raw`, whose references are already expanded.

    `errors` are those of the expansion; what else is wrong at their paths only follows from them and is not said.

    Raises:
        InvalidConfigError: with `errors` and everything wrong in `raw`.
    """
    return _Assembly(raw, list(errors), list(warnings)).result()


@dataclass(slots=True)
class _Assembly:
    raw: Mapping[str, Any]
    expansion: list[ConfigError]
    warnings: list[str]
    errors: list[ConfigError] = field(default_factory=list[ConfigError])
    plain: dict[str, Any] = field(default_factory=dict[str, Any])
    components: dict[Kind, dict[str, Component[AnyFactory]]] = field(init=False)

    def result(self) -> CollectorConfig:
        for key, value in self.raw.items():
            if key not in _SECTIONS:
                self.errors.append(problem(key, value, "is not a section", nearest(key, _SECTIONS)))
        service = self._service()
        defined: dict[Kind, frozenset[str]] = {kind: frozenset(self._section_body(kind)) for kind in KINDS}
        in_use = _in_use(service, defined["connectors"])
        self.components = {kind: self._section(kind, in_use[kind]) for kind in KINDS}
        graph = Graph(service, defined, self.components, self.errors)
        extensions, pipelines = graph.extensions(), graph.pipelines()
        graph.check_authenticators(self.plain, in_use)
        self._warn_unstarted(service)
        self._raise_errors()
        return CollectorConfig(
            raw=self.plain,
            receivers=self._chosen("receivers", in_use),
            processors=self._chosen("processors", in_use),
            exporters=self._chosen("exporters", in_use),
            connectors=self._chosen("connectors", in_use),
            extensions={one: self.components["extensions"][one] for one in extensions},  # type: ignore[misc]
            pipelines=pipelines,
            telemetry=service.telemetry.resolved(),
            warnings=tuple(dict.fromkeys(map(printable, self.warnings))),
        )

    def _raise_errors(self) -> None:
        broken = [error.path for error in self.expansion]
        own = [error for error in self.errors if not any(_below(error.path, path) for path in broken)]
        if self.expansion or own:
            raise invalid([*self.expansion, *own])

    def _service(self) -> ServiceConfig:
        conformer = Conformer(self.errors, self.warnings)
        body = conformer.model(ServiceConfig, self.raw.get("service"), "service")
        self.plain["service"] = body
        service = validate(ServiceConfig, body, "service", self.errors)
        if not isinstance(service, ServiceConfig):
            self._raise_errors()
            raise AssertionError("an invalid service section has an error")
        if service.telemetry.metrics.address is not None:
            self.warnings.append(
                "service::telemetry::metrics::address is the Collector's old spelling, gone since v0.123; write readers"
            )
        return service

    def _section_body(self, kind: str) -> dict[str, Any]:
        section = self.raw.get(kind)
        body = section.value if isinstance(section, Expanded) else section
        return body if is_map(body) else {}

    def _section(self, kind: Kind, in_use: frozenset[str]) -> dict[str, Component[AnyFactory]]:
        section = self.raw.get(kind)
        body = section.value if isinstance(section, Expanded) else section
        if body is not None and not is_map(body):
            self.errors.append(problem(kind, body, "must be a map", "write one component id a line under it"))
        plain: dict[str, Any] = {}
        self.plain[kind] = plain
        found: dict[str, Component[AnyFactory]] = {}
        for component_id, value in self._section_body(kind).items():
            component = self._component(kind, component_id, value, component_id in in_use)
            if component is not None:
                found[component_id] = component[0]
                plain[component_id] = component[1]
        return found

    def _component(
        self, kind: Kind, component_id: str, value: Any, used: bool
    ) -> tuple[Component[AnyFactory], dict[str, Any]] | None:
        path = join(kind, component_id)
        reason = id_problem(component_id)
        if reason is not None:
            self.errors.append(problem(path, None, reason, "write type or type/name"))
            return None
        factory = self._factory(kind, component_type(component_id), path, used)
        if factory is None:
            return None
        body, notes = rename_keys(kind, component_type(component_id), value, path)
        self.warnings.extend(notes)
        plain = Conformer(self.errors, self.warnings).model(factory.config, body, path)
        config = validate(factory.config, plain, path, self.errors)
        return None if config is None else (Component(component_id, factory, config), plain)

    def _factory(self, kind: Kind, name: str, path: str, used: bool) -> AnyFactory | None:
        singular = kind.removesuffix("s")
        try:
            factory = find_factory(kind, name)
        except BrokenComponentError as error:
            self._missing(path, f"the {singular} {name} cannot be loaded", str(error), used)
            return None
        if factory is not None:
            return factory
        instead = advice(kind, name)
        if instead is not None:
            reason = f"the OpenTelemetry Collector has the {singular} {name!r}, Ganglion does not"
            self._missing(path, reason, instead, used)
        else:
            self.errors.append(
                problem(path, None, f"there is no {singular} of type {name!r}", nearest(name, component_types(kind)))
            )
        return None

    def _missing(self, path: str, reason: str, hint: str, used: bool) -> None:
        if used:
            self.errors.append(problem(path, None, reason, hint))
        else:
            self.warnings.append(f"{path} is not used, and {reason}")

    def _chosen(self, kind: Kind, in_use: Mapping[Kind, frozenset[str]]) -> Any:
        return {one: component for one, component in self.components[kind].items() if one in in_use[kind]}

    def _warn_unstarted(self, service: ServiceConfig) -> None:
        for component_id in self.components["extensions"]:
            if component_id not in service.extensions:
                self.warnings.append(f"extensions::{component_id} has no effect: service::extensions does not list it")


def _in_use(service: ServiceConfig, connectors: frozenset[str]) -> dict[Kind, frozenset[str]]:
    pipelines = service.pipelines.values()
    receivers = frozenset(one for pipeline in pipelines for one in pipeline.receivers)
    exporters = frozenset(one for pipeline in pipelines for one in pipeline.exporters)
    return {
        "receivers": receivers,
        "processors": frozenset(one for pipeline in pipelines for one in pipeline.processors),
        "exporters": exporters,
        "connectors": (receivers | exporters) & connectors,
        "extensions": frozenset(service.extensions),
    }


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(above + "::")
