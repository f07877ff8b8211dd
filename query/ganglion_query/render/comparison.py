"""Whether a setting matters: each measure by value, with its interval, so that what is chance can be seen."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.comparison import Comparison, Estimate, ValueGroup
from ganglion_query.costs import dollars
from ganglion_query.model import Spent
from ganglion_query.render.layout import bar, columns, count, heading, hint, next_command, percent, short, usual_width
from ganglion_query.text import brief, clean, duration

__all__ = ["print_comparison"]

Shown = Callable[[float], str]


def print_comparison(console: Console, answer: Comparison) -> None:
    """Print the verdict, the values, then each measure with a line for each value."""
    console.print(Text(brief(answer.verdict), "bold"))
    heading(console, f"Requests by {clean(answer.attribute)}")
    columns(console, [clean(answer.attribute), "requests", "first", "last"], map(_seen, answer.groups), right="1")
    _measure(console, "Latency, median", answer.groups, [one.p50_ms for one in answer.groups], duration)
    _measure(console, "Latency, p95", answer.groups, [one.p95_ms for one in answer.groups], duration)
    _measure(console, "Errors", answer.groups, [one.error_rate for one in answer.groups], percent)
    _measure(console, "Cost of a request", answer.groups, [one.cost_usd for one in answer.groups], _usd)
    for name in dict.fromkeys(name for one in answer.groups for name in one.scores):
        _measure(console, clean(name), answer.groups, [one.scores.get(name) for one in answer.groups], _score)
    _rest(console, answer)


def _seen(one: ValueGroup) -> list[str | Text]:
    return [Text(short(one.value, 40), "bold"), f"{one.requests:,}", _minute(one.first_seen), _minute(one.last_seen)]


def _minute(text: str) -> str:
    from datetime import datetime  # noqa: PLC0415

    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def _measure(
    console: Console, title: str, groups: Sequence[ValueGroup], found: Sequence[Estimate | None], shown: Shown
) -> None:
    known = [one for one in found if one is not None]
    if not known or all(one.value == 0 and not one.high for one in known):
        return
    heading(console, title)
    most = max(one.value for one in known) or 1.0
    width = max(10, min(40, usual_width(console) - 60))
    rows = [_row(group, one, shown, most, width) for group, one in zip(groups, found, strict=True)]
    columns(console, ["", "", "95 % interval", "of", ""], rows, right="123")


def _row(group: ValueGroup, one: Estimate | None, shown: Shown, most: float, width: int) -> list[str | Text]:
    named = Text(short(group.value, 20), "bold")
    if one is None:
        return [named, "-", "", "", ""]
    interval = "" if one.low is None or one.high is None else f"{shown(one.low)} to {shown(one.high)}"
    return [named, shown(one.value), Text(interval, "dim"), f"{one.count:,}", bar(one.value / most, width)]


def _usd(amount: float) -> str:
    return dollars(Spent(amount, is_computed=False))


def _score(score: float) -> str:
    return f"{score:.3f}"


def _rest(console: Console, answer: Comparison) -> None:
    told = [f"{count(answer.without, 'request')} without it"] if answer.without else []
    told += [f"{count(answer.elsewhere, 'request')} of other operations, see --operation"] if answer.elsewhere else []
    told += [f"{count(answer.others, 'value')} more, see --limit"] if answer.others else []
    told += ["not every request was read: ask for a shorter time"] if answer.truncated else []
    slowest = [one for one in answer.groups if one.trace_id]
    hints = [f"({one})" for one in told]
    hints += [
        f"The slowest with {short(one.value, 30)}:  {next_command('explain', one.trace_id or '')}"
        for one in slowest[:4]
    ]
    hint(console, "", *hints)
