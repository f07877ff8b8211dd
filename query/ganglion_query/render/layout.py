"""What every answer on a terminal is made of: columns, bars, shares, sparklines, and what to ask next."""

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganglion_query.text import clean, fit

__all__ = [
    "Cell",
    "bar",
    "columns",
    "count",
    "heading",
    "hint",
    "next_command",
    "percent",
    "short",
    "sparkline",
    "usual_width",
    "when",
]

_BLOCKS = "▁▂▃▄▅▆▇█"
_LONGEST_CELL = 60
_LEAST_CELL = 8
_PIPE = 120

Cell = str | Text


def usual_width(console: Console) -> int:
    """Return how wide what fills a line is drawn: a terminal's width; in a pipe, where nothing is cut, at most 120."""
    return console.width if console.is_terminal else min(console.width, _PIPE)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 as per cent, with a digit after the point where it is small."""
    if share < 1e-6:
        return "0 %"
    if share < 0.001:
        return "<0.1 %"
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"


def when(time: datetime) -> str:
    """Return a time in the zone of this machine, to the second."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def short(text: str | None, longest: int = _LONGEST_CELL) -> str:
    """Return a sender's text for a cell of a table."""
    shown = clean((text or "")[: longest * 4])
    return shown if len(shown) <= longest else fit(shown, longest).rstrip()


def heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def columns(
    console: Console, names: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: str = "", wrap: int | None = None
) -> None:
    """Print rows below the names of their columns, if there is any; those whose index is in `right` are numbers.

    On a terminal too narrow for all, the column `wrap` goes on in further lines, else the first one is cut.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_header=any(names))
    texts = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    for index, name in enumerate(names):
        table.add_column(
            name,
            justify="right" if str(index) in right else "left",
            no_wrap=index != wrap,
            overflow="fold" if index == wrap else "ellipsis",
            min_width=_least_width(index, wrap, [name, *(row[index].plain for row in texts)]),
        )
    for row in texts:
        table.add_row(*row)
    for line in console.render_lines(table, pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def _least_width(index: int, wrap: int | None, cells: Sequence[str]) -> int | None:
    if index == wrap:
        return None
    longest = max(map(cell_len, cells))
    return min(longest, _LEAST_CELL) if index == 0 and wrap is None else longest


def bar(share: float, width: int, style: str = "blue") -> Text:
    """Return a bar for a share from 0 to 1."""
    least = 1 if share > 0 and width else 0
    return Text("█" * max(least, min(width, round(share * width))), style)


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """Return one block for each value between `low` and `high`, a space where there is none."""
    span = high - low or 1.0
    return "".join(
        " " if value is None else _BLOCKS[max(0, min(7, int((value - low) / span * 7.999)))] for value in values
    )


def next_command(*words: str) -> str:
    """Return a command to be copied; a sender's words in it are quoted."""
    return shlex.join(clean(word) for word in ("ganglion", *words))


def hint(console: Console, *lines: str) -> None:
    """Say what to do or ask next."""
    for line in lines:
        console.print(Text(line, "dim"), soft_wrap=True)
