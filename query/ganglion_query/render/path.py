"""The critical path of a trace: what the request waited for, in the order it did."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.trace import CriticalStep, TraceAnswer
from ganglion_query.render.layout import bar, columns, count, hint, next_command, percent, short, usual_width
from ganglion_query.render.tree import heading_lines
from ganglion_query.text import duration

__all__ = ["path_rows", "print_path"]

_LEAST = 0.005
_BAR = 30


def print_path(console: Console, answer: TraceAnswer) -> None:
    """Print each stretch of the path; those too short to matter together."""
    for line in heading_lines(answer):
        console.print(line, soft_wrap=True)
    console.print()
    width = _BAR if usual_width(console) >= 110 else 0
    columns(
        console,
        ["waited for", "service", "from", "time", "share", ""][: 6 if width else 5],
        path_rows(answer.critical_path, answer.duration_ms, width),
        right="234",
    )
    hint(console, "", f"The whole request: {next_command('trace', answer.trace_id)}")


def path_rows(path: Sequence[CriticalStep], length: float, width: int) -> Iterator[list[str | Text]]:
    """Yield a row for each step that matters, and one for every run of steps that do not."""
    whole = length or 1.0
    for tiny, run in groupby(path, key=lambda step: step.duration_ms / whole < _LEAST):
        steps = list(run)
        if tiny:
            together = sum(step.duration_ms for step in steps)
            told: list[str | Text] = [Text(f"({count(len(steps), 'short step')})", "dim"), ""]
            yield _row(told, steps[0].offset_ms, together, whole, width)
            continue
        for step in steps:
            named: list[str | Text] = [short(step.name), short(step.service_name, 18)]
            yield _row(named, step.offset_ms, step.duration_ms, whole, width)


def _row(named: list[str | Text], offset: float, length: float, whole: float, width: int) -> list[str | Text]:
    share = length / whole
    row = [*named, duration(offset), duration(length), percent(share)]
    return [*row, bar(share, width, "yellow")] if width else row
