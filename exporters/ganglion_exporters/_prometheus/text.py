"""Prometheus' text format, version 0.0.4 (and 1.0.0, which adds quoted names)."""

from collections.abc import Iterable, Iterator, Sequence

from ganglion_collector.metric_values import ExponentialHistogram, Histogram, Summary

from ganglion_exporters._prometheus.classic import classic
from ganglion_exporters._prometheus.escaping import Escaping, Names
from ganglion_exporters._prometheus.lines import Head, Lines, chunks, number, shown
from ganglion_exporters._prometheus.model import Family, Kind, Series

__all__ = ["render_text"]

_TYPES: dict[Kind, str] = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}


def render_text(
    families: Iterable[tuple[Family, Sequence[Series]]], escaping: Escaping, *, timestamps: bool
) -> Iterator[bytes]:
    """Write all families that have series; this format has no exemplars, units or start times."""
    lines = Lines(Names(escaping), _milliseconds if timestamps else None)
    return chunks(text for family, series in families if series for text in _family(lines, family, series))


def _milliseconds(time: int) -> str:
    return str(time // 1_000_000)


def _family(lines: Lines, family: Family, series: Sequence[Series]) -> Iterator[str]:
    name = lines.names.metric(family)
    about = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    comment = f"# HELP {shown(name)} {about}\n" if about else ""
    yield f"{comment}# TYPE {shown(name)} {_TYPES.get(family.kind, family.kind)}\n"
    if family.kind not in {"histogram", "summary"}:
        yield from lines.numbers(name, series)
        return
    totals = Head.of(f"{name}_sum"), Head.of(f"{name}_count")
    for one in series:
        yield _distribution(lines, name, family.unit, one, totals)


def _distribution(lines: Lines, name: str, unit: str, series: Series, totals: tuple[Head, Head]) -> str:
    labels, end, value = lines.labels.of(series.labels), lines.end(series), series.value
    match value:
        case Histogram() | ExponentialHistogram():
            text = lines.buckets(name, classic(value, unit), labels, end, {})
        case Summary():
            text = lines.summary(name, series, labels, value.quantiles)
        case _:
            return ""
    sum_head, count_head = totals
    total = "" if value.sum is None else f"{sum_head.line(labels)}{number(value.sum)}{end}\n"
    return f"{text}{total}{count_head.line(labels)}{value.count}{end}\n"
