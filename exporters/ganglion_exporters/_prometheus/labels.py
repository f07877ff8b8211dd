"""Labels of a series: from the attributes of its point, of its scope, of its resource, and from the configuration.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", sections
"Instrumentation Scope", "Metric Attributes" and "Resource Attributes" (OTLP to Prometheus).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ganglion_exporters._prometheus.any_value import text_of
from ganglion_exporters._prometheus.model import Labels
from ganglion_exporters._prometheus.names import Naming, TranslationStrategy, label_name

__all__ = ["Attributes", "Context", "Target", "TranslationSettings", "joined", "texts"]

Attributes: TypeAlias = Mapping[str, str]

_NAMESPACE, _NAME, _INSTANCE = "service.namespace", "service.name", "service.instance.id"
_ALWAYS = ("instance", "job")
_USUAL_LENGTH = 200
_SCOPE_LABELS = ("otel_scope_name", "otel_scope_version", "otel_scope_schema_url")


@dataclass(frozen=True, slots=True)
class TranslationSettings:
    """What a configuration can change.

    `constant_labels` are on every series (on `target_info` where `label_target_info`) and give way to the data's own.
    `resource_included` and `resource_excluded` are patterns (`k8s.*`) of the resource attributes that become labels;
    with exclusions alone all others do.
    """

    namespace: str = ""
    constant_labels: Mapping[str, str] | None = None
    strategy: TranslationStrategy = "UnderscoreEscapingWithSuffixes"
    resource_included: tuple[str, ...] = ()
    resource_excluded: tuple[str, ...] = ()
    scope_labels: bool = True
    target_info: bool = True
    label_target_info: bool = False

    @property
    def naming(self) -> Naming:
        return Naming.of(self.strategy)

    def copies(self, key: str) -> bool:
        """Tell whether the resource attribute `key` becomes a label of every series of that resource."""
        wanted = self.resource_included or (("*",) if self.resource_excluded else ())
        return any(fnmatchcase(key, one) for one in wanted) and not any(
            fnmatchcase(key, one) for one in self.resource_excluded
        )


class _Entry(NamedTuple):
    key: str
    label: str
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A resource: the labels that all its series have, and those of its `target_info` (empty: it has none)."""

    identity: tuple[_Entry, ...]
    copied: Attributes
    info: Labels

    @classmethod
    def of(cls, resource: Resource, settings: TranslationSettings) -> "Target":
        attributes = texts(resource.attributes)
        name, namespace = attributes.get(_NAME, ""), attributes.get(_NAMESPACE, "")
        identity = (
            _Entry(_NAME, "job", f"{namespace}/{name}" if namespace else name),
            _Entry(_INSTANCE, "instance", attributes.get(_INSTANCE, "")),
        )
        return cls(
            identity,
            {key: value for key, value in attributes.items() if settings.copies(key)},
            _info(attributes, identity, settings) if attributes else (),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A scope of a resource: what its points have in common."""

    target: Target
    scope: tuple[_Entry, ...]
    settings: TranslationSettings

    @classmethod
    def of(
        cls, target: Target, scope: InstrumentationScope, schema_url: str, settings: TranslationSettings
    ) -> "Context":
        if not settings.scope_labels:
            return cls(target, (), settings)
        own = (
            _Entry(label, label, value)
            for label, value in zip(_SCOPE_LABELS, (scope.name, scope.version, schema_url), strict=True)
        )
        attributes = _entries(
            {f"otel_scope_{key}": value for key, value in texts(scope.attributes).items()}, settings.naming
        )
        kept = (entry for entry in attributes if entry.label not in _SCOPE_LABELS)
        return cls(target, (*own, *kept), settings)

    def labels(self, attributes: Attributes, reserved: str = "") -> Labels:
        """Return the labels of a point; an attribute that would be `reserved` (`le`) becomes `exported_…`."""
        naming = self.settings.naming
        entries = [
            entry._replace(label=f"exported_{reserved}") if entry.label == reserved else entry
            for entry in _entries({**self.target.copied, **attributes}, naming)
        ]
        return joined([*entries, *self.scope, *self.target.identity], self.settings.constant_labels, naming)


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return attributes as text, the last of equal keys, none that is empty: to Prometheus that is no label."""
    return {item.key: text for item in attributes if (text := text_of(item.value))}


def joined(entries: Iterable[_Entry], constant: Attributes | None, naming: Naming) -> Labels:
    """Return labels sorted by name; values of one name are joined by `;` in the order of their original keys."""
    parts: dict[str, list[str]] = {}
    for _, label, value in sorted(entries):
        if value or label in _ALWAYS:
            parts.setdefault(label, []).append(value)
    for key, value in (constant or {}).items():
        if value:
            parts.setdefault(label_name(key, escaped=naming.escaped), [value])
    return tuple([_pair(name, ";".join(filter(None, parts[name]))) for name in sorted(parts)])


def _pair(name: str, value: str) -> tuple[str, str]:
    return _known_pair(name, value) if len(name) + len(value) <= _USUAL_LENGTH else (name, value)


@lru_cache(maxsize=65_536)
def _known_pair(name: str, value: str) -> tuple[str, str]:
    # One object for all series that have this label: most of a series' memory is labels that others have too.
    return name, value


def _entries(attributes: Attributes, naming: Naming) -> list[_Entry]:
    escaped = naming.escaped
    return [_Entry(key, label_name(key, escaped=escaped), value) for key, value in attributes.items()]


def _info(attributes: Attributes, identity: tuple[_Entry, ...], settings: TranslationSettings) -> Labels:
    others = {key: value for key, value in attributes.items() if key not in {_NAME, _NAMESPACE, _INSTANCE}}
    constant = settings.constant_labels if settings.label_target_info else None
    return joined([*_entries(others, settings.naming), *identity], constant, settings.naming)
