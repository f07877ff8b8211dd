"""What both text formats have in common: the lines of samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ganglion_collector.metric_values import Summary

from ganglion_exporters._prometheus.classic import Classic, bound_text, bound_texts
from ganglion_exporters._prometheus.escaping import LabelText, Names, is_plain, quoted
from ganglion_exporters._prometheus.model import Series

__all__ = ["Head", "Lines", "chunks", "number", "shown"]

_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_LINES_AT_ONCE = 4096


def number(value: float) -> str:
    """Return a sample's value as all parsers take it."""
    text = repr(value)
    return _SPECIAL.get(text, text)


def shown(name: str) -> str:
    """Return a metric's name as it stands in a comment."""
    return name if is_plain(name) else f'"{quoted(name)}"'


class Head(NamedTuple):
    """How the lines of one name begin: `open` before labels, `bare` where there are none."""

    open: str
    bare: str

    @classmethod
    def of(cls, name: str) -> "Head":
        if is_plain(name):
            return cls(f"{name}{{", f"{name} ")
        return cls(f'{{"{quoted(name)}",', f'{{"{quoted(name)}"}} ')

    def line(self, labels: str) -> str:
        return f"{self.open}{labels}}} " if labels else self.bare


class Lines:
    """Writes samples. `moment` makes text of Unix nanoseconds; without it samples have no time."""

    def __init__(self, names: Names, moment: Callable[[int], str] | None) -> None:
        self.names = names
        self.labels = LabelText(names)
        self._moment = moment

    def end(self, series: Series) -> str:
        """Return what follows a value, exemplars aside: the time of the point, where it is known and wanted."""
        return f" {self._moment(series.time)}" if self._moment and series.time else ""

    def number(self, head: Head, series: Series, labels: str, rest: str = "") -> str:
        assert isinstance(series.value, int | float)
        return f"{head.line(labels)}{number(series.value)}{self.end(series)}{rest}\n"

    def numbers(self, name: str, series: Iterable[Series]) -> Iterator[str]:
        """Write series of numbers, in the order given."""
        head, text = Head.of(name), self.labels.of
        for one in series:
            yield self.number(head, one, text(one.labels))

    def summary(self, name: str, series: Series, labels: str, quantiles: Iterable[tuple[float, float]]) -> str:
        """Write the quantiles of a summary."""
        head, end = Head.of(name), self.end(series)
        before = f"{labels}," if labels else ""
        assert isinstance(series.value, Summary)
        return "".join(
            f'{head.open}{before}quantile="{bound_text(quantile)}"}} {number(value)}{end}\n'
            for quantile, value in quantiles
        )

    def buckets(self, name: str, value: Classic, labels: str, end: str, rests: Mapping[int, str]) -> str:
        """Write the buckets of a histogram, +Inf last; `rests` holds what follows some of them by their place."""
        prefix = f'{Head.of(name + "_bucket").open}{labels}{"," if labels else ""}le="'
        texts, counts = bound_texts(value.bounds), (*value.counts, value.count)
        if not rests:
            return "".join([f'{prefix}{le}"}} {count}{end}\n' for le, count in zip(texts, counts, strict=True)])
        pairs = enumerate(zip(texts, counts, strict=True))
        return "".join([f'{prefix}{le}"}} {count}{end}{rests.get(at, "")}\n' for at, (le, count) in pairs])


def chunks(texts: Iterable[str]) -> Iterator[bytes]:
    """Join texts to pieces of a size worth sending."""
    waiting: list[str] = []
    for text in texts:
        waiting.append(text)
        if len(waiting) >= _LINES_AT_ONCE:
            yield _bytes(waiting)
            waiting.clear()
    if waiting:
        yield _bytes(waiting)


def _bytes(texts: Sequence[str]) -> bytes:
    return "".join(texts).encode("utf-8", "replace")
