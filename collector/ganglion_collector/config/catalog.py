"""The components there are: ours by module name, third parties' by entry point. None is imported unasked."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, TypeGuard, get_args

from ganglion_collector.component import (
    ConnectorFactory,
    ExporterFactory,
    ExtensionFactory,
    ProcessorFactory,
    ReceiverFactory,
    Signal,
)

__all__ = [
    "ALIASES",
    "KINDS",
    "AnyFactory",
    "BrokenComponentError",
    "Kind",
    "Row",
    "component_types",
    "find_factory",
    "list_components",
    "signals_of",
]

Kind = Literal["receivers", "processors", "exporters", "connectors", "extensions"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AnyFactory: TypeAlias = (
    ReceiverFactory[Any] | ProcessorFactory[Any] | ExporterFactory[Any] | ConnectorFactory[Any] | ExtensionFactory[Any]
)

_PACKAGES: Mapping[Kind, str] = {
    "receivers": "ganglion_collector.receivers",
    "processors": "ganglion_collector.processors",
    "exporters": "ganglion_exporters",
    "connectors": "ganglion_collector.connectors",
    "extensions": "ganglion_collector.extensions",
}
_FACTORIES: Mapping[Kind, type[AnyFactory]] = {
    "receivers": ReceiverFactory,
    "processors": ProcessorFactory,
    "exporters": ExporterFactory,
    "connectors": ConnectorFactory,
    "extensions": ExtensionFactory,
}
_MODULE_NAME = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")

ALIASES: Mapping[Kind, Mapping[str, str]] = {
    "receivers": {},
    "processors": {"delta_to_cumulative": "deltatocumulative", "cumulative_to_delta": "cumulativetodelta"},
    "exporters": {
        "otlp": "otlp_grpc",
        "otlphttp": "otlp_http",
        "logging": "debug",
        "prometheus_remote_write": "prometheusremotewrite",
    },
    "connectors": {"spanmetrics": "span_metrics"},
    "extensions": {"bearer_token_auth": "bearertokenauth", "basic_auth": "basicauth"},
}
"""The other spelling of a component that the Collector renamed."""


class BrokenComponentError(Exception):
    """A component exists but cannot be imported; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `ganglion components`; `problem` says why it cannot be used, empty if it can.

    `signals` of a connector are pairs, as the Collector writes them: `traces-to-metrics`.
    """

    kind: str
    type: str
    signals: tuple[str, ...]
    origin: str
    aliases: tuple[str, ...] = ()
    problem: str = ""


def find_factory(kind: Kind, component_type: str) -> AnyFactory | None:
    """Return the factory of a component by its type or its other spelling, None if there is none.

    Raises:
        BrokenComponentError: it is there but cannot be imported.
    """
    name = ALIASES[kind].get(component_type, component_type)
    if _has_module(kind, name):
        factory = _imported(kind, name)
        if factory is not None:
            return factory
    for point in metadata.entry_points(group=f"ganglion.{kind}", name=name):
        return _loaded(kind, point)
    return None


def component_types(kind: Kind) -> list[str]:
    """Return the types that may exist, sorted, without importing them."""
    names = {*_module_names(kind), *(point.name for point in metadata.entry_points(group=f"ganglion.{kind}"))}
    return sorted(names)


def signals_of(factory: AnyFactory) -> frozenset[Signal]:
    """Return the signals of a component, of a connector those that it takes; an extension has none."""
    match factory:
        case ConnectorFactory():
            return frozenset(taken for taken, _ in factory.pairs)
        case ExtensionFactory():
            return frozenset()
        case _:
            return factory.signals


def list_components() -> list[Row]:
    """Return every component that can be named in a configuration, third parties' too."""
    return [row for kind in KINDS for name in component_types(kind) for row in _rows(kind, name)]


def _rows(kind: Kind, name: str) -> Iterator[Row]:
    aliases = tuple(sorted(other for other, canonical in ALIASES[kind].items() if canonical == name))
    origin = "ganglion" if _has_module(kind, name) else _distribution(kind, name)
    try:
        factory = find_factory(kind, name)
    except BrokenComponentError as error:
        yield Row(kind.removesuffix("s"), name, (), origin, aliases, str(error))
        return
    if factory is not None:
        yield Row(kind.removesuffix("s"), name, _signals(factory), origin, aliases)


def _signals(factory: AnyFactory) -> tuple[str, ...]:
    if isinstance(factory, ConnectorFactory):
        return tuple(f"{taken}-to-{made}" for taken, made in sorted(factory.pairs))
    return tuple(sorted(signals_of(factory)))


def _distribution(kind: Kind, name: str) -> str:
    for point in metadata.entry_points(group=f"ganglion.{kind}", name=name):
        return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return ""


def _module_names(kind: Kind) -> list[str]:
    try:
        package = importlib.import_module(_PACKAGES[kind])
    except ModuleNotFoundError:
        return []
    return [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]


def _has_module(kind: Kind, name: str) -> bool:
    if not _MODULE_NAME.fullmatch(name):
        return False
    try:
        return find_spec(f"{_PACKAGES[kind]}.{name}") is not None
    except ModuleNotFoundError:
        return False


def _imported(kind: Kind, name: str) -> AnyFactory | None:
    try:
        module = importlib.import_module(f"{_PACKAGES[kind]}.{name}")
    except ImportError as error:
        raise BrokenComponentError(_why_not(name, error)) from error
    factory: Any = getattr(module, "factory", None)
    return factory if _is_factory(factory, kind) else None


def _loaded(kind: Kind, point: metadata.EntryPoint) -> AnyFactory:
    try:
        factory: object = point.load()
    except Exception as error:
        raise BrokenComponentError(f"{point.value} cannot be imported: {type(error).__name__}: {error}") from error
    if _is_factory(factory, kind):
        return factory
    raise BrokenComponentError(f"{point.value} is not a {_FACTORIES[kind].__name__}")


def _is_factory(value: object, kind: Kind) -> TypeGuard[AnyFactory]:
    return isinstance(value, _FACTORIES[kind])


def _why_not(name: str, error: ImportError) -> str:
    if not isinstance(error, ModuleNotFoundError) or str(error.name).startswith("ganglion_"):
        return f"this is a defect of Ganglion: {error}"
    extras = metadata.metadata("ganglion").get_all("Provides-Extra") or []
    # Core metadata 2.4 writes extras in their normalised spelling.
    extra = name if name.replace("_", "-") in {spelled.replace("_", "-") for spelled in extras} else "collector"
    return f"needs the Python package {error.name}: pip install 'ganglion[{extra}]'"
