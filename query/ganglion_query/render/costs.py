"""What it cost, the most expensive first."""

import math

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.costs import CostGroup, Costs
from ganglion_query.render.layout import bar, columns, count, hint, next_command, percent, short, usual_width, when

__all__ = ["print_costs"]


def print_costs(console: Console, answer: Costs) -> None:
    """Print the sum, then each group with its share of it."""
    digits = _digits(max(one.usd for one in answer.groups))
    whole = _amount(answer, digits)
    period = f"{when(answer.period.since)} to {when(answer.period.until)}"
    console.print(Text.assemble((whole, "bold"), f"  {count(answer.tokens, 'token')}  {period}"))
    console.print()
    width = max(0, min(30, usual_width(console) - 70))
    names = [answer.by, "cost", "share", "calls", "requests", "tokens", ""]
    columns(console, names, (_row(one, answer, digits, width) for one in answer.groups), right="12345")
    unpriced = sum(one.unpriced for one in answer.groups)
    hints = [f"({count(answer.others, answer.by)} more, see --limit)"] if answer.others else []
    hints += [f"({count(unpriced, 'call')} of models without a price; GANGLION_PRICES names yours)"] if unpriced else []
    hints += ["(only the newest calls are added up; ask for a shorter time)"] if answer.truncated else []
    first = answer.groups[0].name
    if answer.by == "trace" and first is not None:
        hints.append(f"What it did:  {next_command('trace', first)}")
    if hints:
        hint(console, "", *hints)


def _digits(most: float) -> int:
    """Return how many digits after the point show three of the largest amount."""
    return 2 if most >= 1 or most <= 0 else min(12, 2 - math.floor(math.log10(most)))


def _amount(one: CostGroup | Costs, digits: int) -> str:
    shown = f"${one.usd:,.{digits}f}"
    if one.usd > 0 and float(shown[1:].replace(",", "")) == 0:
        shown = f"<${10**-digits:.{digits}f}"
    return f"{'≈ ' if one.is_computed else ''}{shown}"


def _row(one: CostGroup, answer: Costs, digits: int, width: int) -> list[str | Text]:
    share = one.usd / answer.usd if answer.usd > 0 else 0.0
    return [
        Text("(not said)", "dim") if one.name is None else Text(short(one.name, 40), "bold"),
        _amount(one, digits),
        percent(share),
        f"{one.calls:,}",
        f"{one.requests:,}",
        f"{one.tokens:,}",
        bar(share, width),
    ]
