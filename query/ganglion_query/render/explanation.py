"""Why a request was slow or failed: the verdict first, then what it rests on."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.explanation import Explanation, Finding, MissingSpan, SpanComparison
from ganglion_query.render.layout import columns, heading, hint, next_command, percent, short, usual_width
from ganglion_query.render.logs import log_lines
from ganglion_query.render.path import path_rows
from ganglion_query.sentences import factor_text
from ganglion_query.text import brief, brief_lines, clean, duration, moment

__all__ = ["print_explanation"]

_OUTCOMES = {"failed": "bold red", "slow": "bold yellow", "normal": "bold green", "unknown": "bold"}
_SPANS = 12
_BAR = 30


def print_explanation(console: Console, answer: Explanation, *, full: bool = False) -> None:
    """Print the answer; `full` shows every span that was compared and long texts whole."""
    style = _OUTCOMES[answer.outcome]
    console.print(
        Text.assemble((answer.outcome, style), "  ", (answer.trace_id, "cyan"), f"  {duration(answer.duration_ms)}")
    )
    console.print(Text(brief(answer.verdict), style))
    if answer.findings:
        console.print()
        rows = (
            row for number, finding in enumerate(answer.findings, 1) for row in _finding(finding, number, full=full)
        )
        columns(console, ["", ""], rows, right="0", wrap=1)
    _path(console, answer)
    _spans(console, answer, full=full)
    _missing(console, answer)
    if answer.logs:
        heading(console, "The logs that matter")
    for log in answer.logs:
        for line in log_lines(log, "", full=full):
            console.print(line, soft_wrap=True)
    if answer.truncated:
        console.print("\nThe trace is larger than what was read of it.")
    hint(console, "", f"All of it:  {next_command('trace', answer.trace_id)}")


def _finding(finding: Finding, number: int, *, full: bool) -> Iterator[list[str | Text]]:
    yield [Text(f"{number}.", "dim"), Text(brief(finding.title), "red" if finding.kind == "error" else "")]
    time = f"{moment(finding.timestamp).partition(' ')[2]}  " if finding.timestamp else ""
    for line in brief_lines(f"{time}{finding.detail}", full=full) if finding.detail else ():
        yield ["", Text(line, "dim")]


def _path(console: Console, answer: Explanation) -> None:
    if not answer.critical_path:
        return
    heading(console, "What it waited for")
    width = _BAR if usual_width(console) >= 110 else 0
    names = ["span", "service", "from", "time", "share", ""][: 6 if width else 5]
    columns(console, names, path_rows(answer.critical_path, answer.duration_ms, width), right="234")


def _spans(console: Console, answer: Explanation, *, full: bool) -> None:
    shown = list(answer.spans) if full else [one for one in answer.spans if one.unusual][:_SPANS]
    if not shown:
        return
    heading(console, f"Against the same operations since {moment(answer.baseline_since)[:16]}")
    columns(
        console,
        ["span", "service", "time", "usually", "p95", "times", "seen"],
        (_compared(one) for one in shown),
        right="23456",
    )


def _compared(one: SpanComparison) -> list[str | Text]:
    style = "yellow" if one.unusual else ""
    row: list[str | Text] = [
        Text(short(one.name, 40), style),
        short(one.service_name, 18),
        Text(duration(one.duration_ms), style),
    ]
    if one.baseline is None:
        return [*row, "", "", "", "never"]
    times = "" if one.times_usual is None else f"{factor_text(one.times_usual)} x"
    return [*row, duration(one.baseline.p50_ms), duration(one.baseline.p95_ms), times, f"{one.baseline.count:,}"]


def _missing(console: Console, answer: Explanation) -> None:
    if answer.missing:
        heading(console, "Missing")
    for one in answer.missing:
        for line in _missing_lines(one):
            console.print(line)


def _missing_lines(one: MissingSpan) -> Iterator[Text]:
    named = clean(one.name or one.span_id or "?") + (f" of {clean(one.service_name)}" if one.service_name else "")
    match one.why:
        case "parent":
            told = "is named as a parent, and is not here: not sent, not yet here, or not sampled"
        case "log":
            told = "has logs, and is not here itself"
        case _:
            share = "" if one.share is None else f" {percent(one.share)} of"
            told = f"is in{share} the requests of this kind, and not in this one"
    yield Text.assemble("  ", (named, "bold"), f" {told}")
