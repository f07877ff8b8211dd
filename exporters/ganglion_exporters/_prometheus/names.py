"""Names of metrics, units and labels in Prometheus.

Source of the rules: the OpenTelemetry specification's "Prometheus and OpenMetrics Compatibility", sections "Metric
Metadata" and "Metric Attributes" (OTLP to Prometheus), and "Translation Strategy" of its Prometheus exporter. Where
these leave room, prometheus/otlptranslator, which the Collector uses, is followed: units that the table lacks, `1` as a
ratio, the singular after `per`, `key_` before a label's leading digit.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ganglion_exporters._prometheus.model import Kind

__all__ = ["Naming", "TranslationStrategy", "label_name", "metric_name", "unit_words"]

TranslationStrategy: TypeAlias = Literal[
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
]

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "kBy": "kilobytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_ANNOTATION = re.compile(r"\{[^}]*\}?")
_OUTSIDE_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_OUTSIDE_LABEL = re.compile(r"[^a-zA-Z0-9]+")
_RESERVED = re.compile(r"^__+")
_TYPE_SUFFIXES: dict[Kind, str] = {"counter": "total", "info": "info"}


@dataclass(frozen=True, slots=True)
class Naming:
    """How names are written: in the letters of old Prometheus (`escaped`) or as they are, with suffixes or without."""

    escaped: bool = True
    suffixes: bool = True

    @classmethod
    def of(cls, strategy: TranslationStrategy) -> "Naming":
        return cls(escaped=strategy.startswith("Underscore"), suffixes=strategy.endswith("WithSuffixes"))


def unit_words(unit: str) -> tuple[str, str]:
    """Return a UCUM unit as words, and those of what it is counted by: `By/s` is `("bytes", "per_second")`.

    What stands in braces is no unit; one that is not in the specification's table stays as it is.
    """
    main, _, per = (_ANNOTATION.sub("", part).strip() for part in unit.partition("/"))
    return _UNITS.get(main, main), f"per_{_PER.get(per, per)}" if per else ""


def metric_name(name: str, words: tuple[str, str], kind: Kind, naming: Naming, namespace: str = "") -> tuple[str, str]:
    """Return the name of a metric's samples, and its unit where that name ends with it.

    Raises:
        ValueError: nothing but underscores is left of `name`.
    """
    stem = f"{namespace}_{name}" if namespace else name
    if not (_OUTSIDE_METRIC.sub("", name) if naming.escaped else name):
        raise ValueError("a metric needs a name that has a letter or a digit")
    stem, main, per = _escaped(stem, words) if naming.escaped else (stem, *words)
    suffix = _TYPE_SUFFIXES.get(kind, "") if naming.suffixes else ""
    stem = _without(stem, suffix)
    if naming.suffixes:
        stem = _with(_with(_without(stem, per), main), per)
    unit = "_".join(filter(None, (main, per)))
    full = _with(stem, suffix)
    return (f"_{full}" if naming.escaped and full[:1].isdigit() else full), unit if stem.endswith(f"_{unit}") else ""


def label_name(key: str, *, escaped: bool) -> str:
    """Return an attribute's key as the name of a label; never one that Prometheus keeps for itself (`__…`)."""
    if not escaped:
        return _RESERVED.sub("_", key) or "_"
    name = _OUTSIDE_LABEL.sub("_", key) or "_"
    return f"key_{name}" if name[0].isdigit() else name


def _escaped(stem: str, words: tuple[str, str]) -> tuple[str, str, str]:
    main, per = (_OUTSIDE_METRIC.sub("_", word).strip("_") for word in words)
    return _OUTSIDE_METRIC.sub("_", stem), main, "" if per == "per" else per


def _without(name: str, suffix: str) -> str:
    ends = suffix and name.endswith((f"_{suffix}", f".{suffix}")) and len(name) > len(suffix) + 1
    return name[: -len(suffix) - 1] if ends else name


def _with(name: str, suffix: str) -> str:
    if not suffix or name == suffix or name.endswith((f"_{suffix}", f".{suffix}")):
        return name
    return f"{name}{suffix}" if name.endswith("_") else f"{name}_{suffix}"
