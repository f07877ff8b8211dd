"""A trace as a waterfall: one line for each span, with bars as wide as the terminal lets them be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.trace import CriticalStep, SpanNode, TraceAnswer
from ganglion_query.render.layout import hint, next_command, usual_width
from ganglion_query.render.tree import heading_lines
from ganglion_query.text import clean, duration, fit

__all__ = ["axis_line", "print_waterfall"]

_DEEPEST = 12
_WIDEST = 120


@dataclass(frozen=True, slots=True)
class _Axis:
    """A time axis of `length` ms over `width` cells."""

    length: float
    width: int

    def cells(self, offset: float, length: float) -> tuple[int, int]:
        """Return from which cell up to which one a stretch of time reaches; at least one."""
        if self.length <= 0:
            return 0, 1
        begin = max(0, min(self.width - 1, int(offset / self.length * self.width)))
        end = round((offset + length) / self.length * self.width)
        return begin, max(begin + 1, min(self.width, end))


def print_waterfall(console: Console, answer: TraceAnswer) -> None:
    """Print each span on one line: name, time, bar; full where the request waited for it, light where it did not."""
    width = usual_width(console)
    name = max(16, min(44, width * 2 // 5))
    axis = _Axis(answer.duration_ms, max(10, min(_WIDEST, width - name - 11)))
    steps: dict[str, list[CriticalStep]] = {}
    for step in answer.critical_path:
        steps.setdefault(step.span_id, []).append(step)
    lines = [*heading_lines(answer), Text(), axis_line(answer.duration_ms, name + 11, axis.width)]
    lines += _span_lines(answer.spans, steps, axis, name)
    for line in lines:
        console.print(line, soft_wrap=True)
    if answer.truncated:
        console.print(
            f"\nOnly the first {len(answer.spans)} spans are shown: there are more than --limit, or than 16 MiB hold."
        )
    hint(
        console,
        "",
        f"█ what the request waited for  ░ what ran beside it; logs: {next_command('trace', answer.trace_id)}",
    )


def axis_line(length: float, indent: int, width: int) -> Text:
    """Return the ends of a time axis, and its middle where there is room."""
    last, middle = duration(length), duration(length / 2)
    line = "0".ljust(width - len(last)) + last
    if width >= 40:
        half = width // 2
        line = line[:half] + middle + line[half + len(middle) :]
    return Text(" " * indent + line, "dim")


def _span_lines(
    spans: Sequence[SpanNode], steps: Mapping[str, Sequence[CriticalStep]], axis: _Axis, width: int
) -> Iterator[Text]:
    for node in spans:
        style = "bold red" if node.status == "ERROR" else ""
        indent = "  " * min(node.depth, _DEEPEST)
        yield Text.assemble(
            fit(indent, len(indent)),
            (fit(clean(node.name or "?"), max(4, width - len(indent))), style),
            (f"{duration(node.duration_ms):>10} ", "dim"),
            _bar(node, steps.get(node.span_id, ()), axis),
        )


def _bar(node: SpanNode, steps: Sequence[CriticalStep], axis: _Axis) -> Text:
    begin, end = axis.cells(node.offset_ms, node.duration_ms or 0)
    cells = [" "] * begin + ["░"] * (end - begin)
    for step in steps:
        first, last = axis.cells(step.offset_ms, step.duration_ms)
        cells[first:last] = "█" * len(cells[first:last])
    return Text("".join(cells), "red" if node.status == "ERROR" else "blue")
