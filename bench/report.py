"""Figures, what they must reach, and the table and JSON they are shown in."""

import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

__all__ = ["Budget", "CannotMeasureError", "Figure", "Scale", "median", "percentile", "show", "write_json"]


class CannotMeasureError(Exception):
    """A measure is impossible on this machine; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A line of DESIGN.md's budget: the value that must be reached, first and in the end."""

    first: float
    goal: float
    better: Literal["more", "less"] = "more"

    def reached(self, value: float) -> str:
        if self._met(value, self.goal):
            return "goal"
        return "first mark" if self._met(value, self.first) else "no"

    def _met(self, value: float, mark: float) -> bool:
        return value >= mark if self.better == "more" else value <= mark


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    With a `reference` the budget is about ours / reference, without one about `ours`. `note` says what a reader must
    know to believe the figure: spread, sizes, measuring error.
    """

    what: str
    ours: float
    unit: str
    reference: float | None = None
    budget: Budget | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.reference if self.reference else None

    @property
    def judged(self) -> float:
        return self.ours if self.ratio is None else self.ratio


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how large a run is, the folder on the disk that it may use, and the file that its figures go to."""

    quick: bool
    directory: Path
    results: Path

    def pick(self, quick: int, full: int) -> int:
        return quick if self.quick else full


def median(values: Iterable[float]) -> float:
    return percentile(list(values), 50)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile; raise ValueError of nothing."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(name: str, figure: Figure) -> list[str]:
    budget = figure.budget
    return [
        name,
        figure.what,
        f"{_number(figure.ours)} {figure.unit}",
        _number(figure.reference),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if budget is None else _number(budget.first),
        "" if budget is None else _number(budget.goal),
        "" if budget is None else budget.reached(figure.judged),
    ]


def show(figures: Sequence[tuple[str, Figure]], console: Console) -> None:
    """Print one table of (measure, figure), the notes under it."""
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("measure", "what", "ours", "reference", "ratio", "first mark", "goal", "reached"):
        right = heading in {"ours", "reference", "ratio", "first mark", "goal"}
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for name, figure in figures:
        table.add_row(*_row(name, figure))
    console.print(table)
    for name, figure in figures:
        if figure.note:
            console.print(f"{name}, {figure.what}: {figure.note}", style="dim", highlight=False, markup=False)


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("grpcio", "protobuf", "psycopg", "uvicorn", "rotel")},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_json(figures: Sequence[tuple[str, Figure]], failed: dict[str, str], path: Path) -> None:
    """Write figures, the measures that failed with their reason, and the machine."""
    document = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "figures": [
            {
                "measure": name,
                **asdict(figure),
                "ratio": figure.ratio,
                "reached": figure.budget.reached(figure.judged) if figure.budget else None,
            }
            for name, figure in figures
        ],
        "failed": failed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
