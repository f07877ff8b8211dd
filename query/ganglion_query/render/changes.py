"""What changed at a time, the largest effect first."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.changes import Change, Changes
from ganglion_query.render.layout import columns, count, hint, next_command, when
from ganglion_query.text import brief, duration

__all__ = ["print_changes"]


def print_changes(console: Console, answer: Changes) -> None:
    """Print what differs: a sentence for each, and the figures before and after."""
    before = f"{count(answer.requests_before, 'request')} in {_length(answer.before.length.total_seconds())} before"
    after = f"{answer.requests_after:,} in {_length(answer.after.length.total_seconds())} after"
    console.print(Text.assemble(("At ", "bold"), (when(answer.at), "bold"), f": {before}, {after}"))
    console.print()
    if not answer.changes:
        console.print("Nothing is different beyond chance.")
        hint(console, "", "A longer --window sees smaller changes.")
        return
    columns(console, ["", "", ""], map(_row, range(1, len(answer.changes) + 1), answer.changes), right="0", wrap=2)
    hint(console, "", *_hints(answer))


def _row(number: int, one: Change) -> list[str | Text]:
    return [Text(f"{number}.", "dim"), Text(one.kind.replace("_", " "), "yellow"), brief(one.summary)]


def _length(seconds: float) -> str:
    return duration(seconds * 1000) if seconds % 60 else f"{seconds / 60:,.0f} min"


def _hints(answer: Changes) -> Iterator[str]:
    if answer.others:
        yield f"({count(answer.others, 'smaller change')} more, see --limit)"
    example = next((one.trace_id for one in answer.changes if one.trace_id), None)
    if example is not None:
        yield f"An example:  {next_command('explain', example)}"
    versions = [one for one in answer.changes if one.kind in {"version", "model"}]
    if versions:
        attribute = "service.version" if versions[0].kind == "version" else "gen_ai.request.model"
        yield f"Does it matter?  {next_command('compare', '--by', attribute, '--since', when(answer.before.since))}"
