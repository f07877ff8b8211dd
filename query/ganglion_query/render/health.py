"""Whether all is well: the verdict, each part, each service."""

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.health import OFF, Health, Part, ServiceHealth
from ganglion_query.render.layout import columns, heading, hint, next_command, percent, short
from ganglion_query.text import brief, duration

__all__ = ["print_health"]

_STATES = {"healthy": "green", "degraded": "yellow", "failing": "bold red", "unknown": "dim"}
_MARKS = {"healthy": "✓", "degraded": "!", "failing": "✗", "unknown": "?"}


def print_health(console: Console, answer: Health) -> None:
    """Print the answer; every state has a mark beside its colour."""
    verdict = answer.verdict.removeprefix(f"{answer.state}: ")
    console.print(Text.assemble(_state(answer.state), "  ", (brief(verdict), "bold")))
    console.print()
    columns(console, ["part", "state", ""], map(_part, answer.parts), wrap=2)
    if answer.services:
        heading(console, "Services, the last 15 minutes against the day before")
        names = ["service", "state", "requests", "errors", "usually", "p95", "usually"]
        columns(console, names, map(_service, answer.services), right="23456")
        for one in answer.services:
            if one.state != "healthy" and one.reason not in answer.verdict:
                console.print(Text(f"{short(one.service, 30)}: {brief(one.reason)}", _STATES[one.state]))
    lines: list[str] = []
    if any(one.state in {"degraded", "failing"} for one in answer.services):
        lines = [
            f"Why?  {next_command('errors', '--why', '--since', '15m')}   {next_command('slow', '--since', '15m')}"
        ]
    if any(one.state == "failing" for one in answer.parts):
        lines.append("The collector:  ganglion status   (docs/operations.md)")
    if lines:
        hint(console, "", *lines)


def _state(state: str) -> tuple[str, str]:
    return f"{_MARKS[state]} {state}", _STATES[state]


def _part(one: Part) -> list[str | Text]:
    if one.detail.startswith(OFF):
        why = one.detail.removeprefix(OFF).removeprefix(": ")
        return [short(one.name, 40), Text(f"- {OFF}", "dim"), Text(brief(why), "dim")]
    return [short(one.name, 40), Text(*_state(one.state)), Text(brief(one.detail), "dim")]


def _service(one: ServiceHealth) -> list[str | Text]:
    usual = "" if one.usual_error_rate is None else percent(one.usual_error_rate)
    return [
        Text(short(one.service, 30), "bold"),
        Text(*_state(one.state)),
        f"{one.requests:,}",
        percent(one.error_rate),
        Text(usual, "dim"),
        "" if one.p95_ms is None else duration(one.p95_ms),
        Text("" if one.usual_p95_ms is None else duration(one.usual_p95_ms), "dim"),
    ]
