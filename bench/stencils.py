"""Rows of a trace with holes for its ids, times and words: converted once by the exporter, filled a thousand times.

told requests ──▶ the exporter's conversion ──▶ COPY text ──▶ Stencil.fill(...) ──▶ COPY text of another trace
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ganglion_collector.otlp import Request, Signal
from ganglion_exporters.postgresql.rows import TABLES, Clock, Resource

from bench.story import BASE, MARKS, SPAN_MARK, TRACE_MARK

__all__ = ["Copied", "Filling", "Stencil", "cut"]

_STORED_AFTER = 250_000
"""Microseconds from a row's time to its being stored."""
_TIME = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{6}(?:\+00|\d{3}Z)"
_DURATION = r"(?<![\d.])\d+\.\d{3}777(?!\d)"
_HOLE = re.compile(f"({_TIME}|{_DURATION}|{TRACE_MARK.hex()}|{SPAN_MARK.hex()}|[{''.join(MARKS.values())}])")
_NAMES = {mark: name for name, mark in MARKS.items()} | {TRACE_MARK.hex(): "trace", SPAN_MARK.hex(): "span"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filling:
    """One trace: its start in microseconds since 1970, what its times and durations are stretched by, its texts."""

    start: int
    stretch: float
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Moment:
    offset: int
    late: int
    nanoseconds: str | None

    def at(self, filling: Filling) -> str:
        seconds, micros = divmod(filling.start + int(self.offset * filling.stretch) + self.late, 1_000_000)
        if self.nanoseconds is None:
            return f"{_second(seconds)}.{micros:06d}+00"
        return f"{_second(seconds).replace(' ', 'T')}.{micros:06d}{self.nanoseconds}Z"


@lru_cache(maxsize=100_000)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Stencil:
    """COPY text of one table; every other part is a hole."""

    rows: int
    parts: list[str]
    holes: list[str | float | _Moment]

    def fill(self, filling: Filling) -> str:
        """Return the rows of another trace."""
        filled = self.parts.copy()
        texts, stretch = filling.texts, filling.stretch
        filled[1::2] = [
            texts[hole]
            if isinstance(hole, str)
            else f"{hole * stretch:.6f}"
            if isinstance(hole, float)
            else hole.at(filling)
            for hole in self.holes
        ]
        return "".join(filled)


@dataclass(frozen=True, slots=True)
class Copied:
    """The rows of one story: a stencil for each table that it has rows in, and the resources they need."""

    logs: Stencil
    spans: Stencil
    resources: Mapping[int, Resource]


def cut(requests: Iterable[tuple[Signal, Request]]) -> Copied:
    """Convert the requests of one story as the exporter would, and cut the holes."""
    clock = Clock.around(BASE, 86_400.0, 86_400.0)
    lines: dict[Signal, list[str]] = {Signal.LOGS: [], Signal.TRACES: []}
    resources: dict[int, Resource] = {}
    for signal, request in requests:
        for rows in TABLES[signal].convert(request.SerializeToString(), clock):
            resources |= rows.resources
            lines[signal] += rows.data.decode().splitlines(keepends=True)
    return Copied(_stencil(lines[Signal.LOGS]), _stencil(lines[Signal.TRACES]), resources)


def _stencil(lines: list[str]) -> Stencil:
    parts: list[str] = [""]
    holes: list[str | float | _Moment] = []
    for line in lines:
        pieces = _HOLE.split(line.removesuffix("\n") + "\t")
        parts[-1] += pieces[0]
        parts += pieces[1:]
        holes += [_hole(text) for text in pieces[1::2]]
        parts += ["", "\n"]
        holes.append(_stored(line))
    return Stencil(len(lines), parts, holes)


def _stored(line: str) -> _Moment:
    """Return when the row was written: after its time, or of a span its end, which stands second."""
    times = [field for field in line.split("\t", 2)[:2] if re.fullmatch(_TIME, field)]
    return _Moment(_offset(times[-1]), _STORED_AFTER, None)


def _hole(text: str) -> str | float | _Moment:
    if text in _NAMES:
        return _NAMES[text]
    if text[4] == "-":
        return _Moment(_offset(text), 0, text[26:29] if text.endswith("Z") else None)
    return float(text)


def _offset(text: str) -> int:
    moment = datetime.fromisoformat(text[:26]).replace(tzinfo=UTC) - _EPOCH
    return moment // timedelta(microseconds=1) - BASE // 1000
