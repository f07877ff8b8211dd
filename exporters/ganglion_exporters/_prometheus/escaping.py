"""Names in the letters that a reader takes: the escaping schemes of Prometheus' content negotiation, and label text.

Source of the rules: Prometheus, "Content negotiation" and "UTF-8 in Prometheus"; "Escaping schemes" of both.
"""

import re
from typing import Literal, TypeAlias

from ganglion_exporters._prometheus.model import Family, Labels

__all__ = ["ESCAPINGS", "Escaping", "LabelText", "Names", "escaped", "is_plain", "quoted"]

Escaping: TypeAlias = Literal["underscores", "allow-utf-8", "dots", "values"]
ESCAPINGS: dict[str, Escaping] = {
    "underscores": "underscores",
    "allow-utf-8": "allow-utf-8",
    "dots": "dots",
    "values": "values",
}

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MOST_KEPT = 20_000


def escaped(name: str, escaping: Escaping, *, colons: bool = True) -> str:
    """Return `name` as `escaping` writes it; a label's name has no `colons`."""
    valid = (_METRIC if colons else _LABEL).fullmatch(name)
    match escaping:
        case "allow-utf-8":
            return name
        case "dots":
            return "".join(_dotted(letter, at, colons=colons) for at, letter in enumerate(name))
        case "values":
            return name if valid else _by_values(name, colons=colons)
        case "underscores":
            if valid:
                return name
            return "".join(letter if _fits(letter, at, colons=colons) else "_" for at, letter in enumerate(name))


def _fits(letter: str, at: int, *, colons: bool) -> bool:
    if letter == "_" or (letter == ":" and colons):
        return True
    return letter.isascii() and (letter.isalpha() or (letter.isdigit() and at > 0))


def _dotted(letter: str, at: int, *, colons: bool) -> str:
    if letter == ".":
        return "_dot_"
    return letter if letter != "_" and _fits(letter, at, colons=colons) else "__"


def _by_values(name: str, *, colons: bool) -> str:
    """Return a name of its own for each name."""
    return "U__" + "".join(_valued(letter, colons=colons) for letter in name)


def _valued(letter: str, *, colons: bool) -> str:
    if letter == "_":
        return "__"
    return letter if _fits(letter, 1, colons=colons) else f"_{ord(letter):x}_"


def quoted(text: str) -> str:
    """Return `text` as it stands between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Names:
    """The names of one scrape: two metrics that an escaping makes one stay two, the second by `values`."""

    def __init__(self, escaping: Escaping) -> None:
        self._escaping: Escaping = escaping
        self._taken: set[str] = set()
        self._labels: dict[str, str] = {}

    def metric(self, family: Family) -> str:
        found = [escaped(name, self._escaping) for name in family.sample_names]
        if not self._taken.isdisjoint(found):
            found = [_by_values(family.name, colons=True)]
        self._taken.update(found)
        return found[0]

    def claim(self, name: str) -> bool:
        """Take an escaped name that no metric has yet; tell whether that could be done."""
        is_free = name not in self._taken
        self._taken.add(name)
        return is_free

    def label(self, name: str) -> str:
        found = self._labels.get(name)
        if found is None:
            if len(self._labels) > _MOST_KEPT:
                self._labels.clear()
            found = self._labels[name] = escaped(name, self._escaping, colons=False)
        return found

    def labels(self, labels: Labels) -> Labels:
        """Return `labels` with escaped names; values of names that became one are joined by `;`, as on translation."""
        if all(self.label(name) == name for name, _ in labels):
            return labels
        joined: dict[str, str] = {}
        for name, value in labels:
            label = self.label(name)
            joined[label] = f"{joined[label]};{value}" if label in joined else value
        return tuple(sorted(joined.items()))


class LabelText(dict[tuple[str, str], str]):
    """The text of each label seen lately, since most labels stand on many series."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names
        self._changed: set[str] = set()

    def __missing__(self, label: tuple[str, str]) -> str:
        if len(self) > _MOST_KEPT:
            self.clear()
        name, value = label
        if self._names.label(name) != name:
            self._changed.add(name)
        shown = name if _LABEL.fullmatch(name) else f'"{quoted(name)}"'
        text = self[label] = f'{shown}="{quoted(value)}"'
        return text

    def of(self, labels: Labels) -> str:
        """Return what stands between the braces."""
        text = ",".join([self[label] for label in labels])
        if self._changed and not self._changed.isdisjoint([name for name, _ in labels]):
            return ",".join([self[label] for label in self._names.labels(labels)])
        return text


def is_plain(name: str) -> bool:
    """Tell whether a metric's name needs no quotes."""
    return _METRIC.fullmatch(name) is not None
