"""OpenMetrics 1.0, text: units, exemplars, start times."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ganglion_collector.metric_values import ExponentialHistogram, Histogram, Summary

from ganglion_exporters._prometheus.classic import by_bucket, classic
from ganglion_exporters._prometheus.escaping import Escaping, Names, quoted
from ganglion_exporters._prometheus.lines import Head, Lines, chunks, number, shown
from ganglion_exporters._prometheus.model import Exemplar, Family, Kind, Series

__all__ = ["render_open_metrics"]

_LONGEST_EXEMPLAR = 128
_SUFFIXES: dict[Kind, str] = {"counter": "_total", "info": "_info"}


def render_open_metrics(
    families: Iterable[tuple[Family, Sequence[Series]]], escaping: Escaping, *, timestamps: bool
) -> Iterator[bytes]:
    """Write all families that have series, and `# EOF`."""
    lines = Lines(Names(escaping), _seconds if timestamps else None)
    texts = (text for family, series in families if series for text in _family(lines, family, series))
    return chunks(chain(texts, ["# EOF\n"]))


def _seconds(time: int) -> str:
    whole, rest = divmod(time, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


class _Named(NamedTuple):
    """A family as OpenMetrics has it: its name is that of its samples without the suffix of its type."""

    name: str
    kind: Kind
    sample: str


def _named(names: Names, family: Family, series: Sequence[Series]) -> _Named:
    sample = names.metric(family)
    suffix = _SUFFIXES.get(family.kind, "")
    if suffix and (not sample.endswith(suffix) or sample == suffix):
        # Only a name that ends so can be one; its samples keep their name in all formats.
        return _Named(sample, "unknown", sample)
    if family.kind == "info" and any(one.value != 1 for one in series):
        return _Named(sample, "gauge", sample)
    if family.kind == "stateset" and not all(_is_state(family.name, one) for one in series):
        return _Named(sample, "gauge", sample)
    name = sample.removesuffix(suffix)
    if suffix and not names.claim(name):
        return _Named(sample, "unknown", sample)
    return _Named(name, family.kind, sample)


def _is_state(name: str, series: Series) -> bool:
    """A state's label has the name of its metric (OpenMetrics, "StateSet")."""
    return series.value in {0, 1} and any(label == name for label, _ in series.labels)


def _family(lines: Lines, family: Family, series: Sequence[Series]) -> Iterator[str]:
    named = _named(lines.names, family, series)
    yield _comments(named, family)
    match named.kind:
        case "counter":
            sample, created = Head.of(named.sample), Head.of(f"{named.name}_created")
            for one in series:
                labels = lines.labels.of(one.labels)
                rest = _exemplar(lines, one.exemplars[-1]) if one.exemplars else ""
                yield lines.number(sample, one, labels, rest) + _created(lines, created, one, labels)
        case "histogram" | "summary":
            heads = _Heads.of(named.name)
            for one in series:
                yield _distribution(lines, named.name, family.unit, one, heads)
        case _:
            yield from lines.numbers(named.sample, series)


def _comments(named: _Named, family: Family) -> str:
    name = shown(named.name)
    unit = family.unit if named.kind not in {"info", "stateset"} else ""
    has_unit = bool(unit) and named.name.endswith(f"_{unit}")
    return (
        f"# TYPE {name} {named.kind}\n"
        + (f"# UNIT {name} {unit}\n" if has_unit else "")
        + (f"# HELP {name} {quoted(family.help)}\n" if family.help else "")
    )


@dataclass(frozen=True, slots=True)
class _Heads:
    count: Head
    sum: Head
    created: Head

    @classmethod
    def of(cls, name: str) -> "_Heads":
        return cls(Head.of(f"{name}_count"), Head.of(f"{name}_sum"), Head.of(f"{name}_created"))


def _distribution(lines: Lines, name: str, unit: str, series: Series, heads: _Heads) -> str:
    labels, end, value = lines.labels.of(series.labels), lines.end(series), series.value
    match value:
        case Histogram() | ExponentialHistogram():
            shape = classic(value, unit)
            marks = by_bucket(shape.bounds, series.exemplars) if series.exemplars else {}
            rests = {place: _exemplar(lines, exemplar) for place, exemplar in marks.items()}
            text = lines.buckets(name, shape, labels, end, rests)
            # "Histogram": a sum goes only with a count, and neither where a bound is negative.
            has_sum = _is_total(value.sum) and not (shape.bounds and shape.bounds[0] < 0)
            has_count = has_sum
        case Summary():
            # "Summary": the value of a quantile is not negative.
            text = lines.summary(name, series, labels, (pair for pair in value.quantiles if not pair[1] < 0))
            has_sum, has_count = _is_total(value.sum), True
        case _:
            return ""
    if has_count:
        text += f"{heads.count.line(labels)}{value.count}{end}\n"
    if has_sum and value.sum is not None:
        text += f"{heads.sum.line(labels)}{number(value.sum)}{end}\n"
    return text + _created(lines, heads.created, series, labels)


def _is_total(value: float | None) -> bool:
    """A sum only grows: it is neither negative nor NaN."""
    return value is not None and value >= 0


def _created(lines: Lines, head: Head, series: Series, labels: str) -> str:
    return f"{head.line(labels)}{_seconds(series.start)}{lines.end(series)}\n" if series.start else ""


def _exemplar(lines: Lines, exemplar: Exemplar) -> str:
    labels = lines.names.labels(exemplar.labels)
    if sum(len(name) + len(value) for name, value in labels) > _LONGEST_EXEMPLAR:
        return ""
    text = lines.labels.of(exemplar.labels)
    moment = f" {_seconds(exemplar.time)}" if exemplar.time else ""
    return f" # {{{text}}} {number(exemplar.value)}{moment}"
