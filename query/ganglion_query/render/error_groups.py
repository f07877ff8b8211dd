"""Why there are errors now: by cause, the most frequent first."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.error_groups import ErrorGroup, ErrorGroups
from ganglion_query.render.layout import count, hint, next_command, percent, when
from ganglion_query.text import brief, clean, value

__all__ = ["print_error_groups"]

_TRENDS = {"new": "bold red", "rising": "red", "steady": "yellow", "falling": "green"}
_MOST_COMMON = 3


def print_error_groups(console: Console, answer: ErrorGroups) -> None:
    """Print the verdict, then each cause: what, how often, since when, where it begins, what they have in common."""
    console.print(Text(brief(answer.verdict), "bold"))
    for group in answer.groups:
        console.print()
        for line in _lines(group):
            console.print(line, soft_wrap=True)
    if answer.others:
        console.print(f"\n{count(answer.others, 'rarer cause')} more; ask for a shorter time, or one service.")
    if answer.truncated:
        console.print("\nOnly the newest errors were read; ask for a shorter time.")
    example = next((trace for group in answer.groups for trace in group.trace_ids), None)
    hints = [] if example is None else [f"One of them:       {next_command('explain', example)}"]
    if answer.groups[0].trend in {"new", "rising"}:
        at = when(answer.groups[0].rising_since or answer.groups[0].first_seen)
        hints.append(f"What changed then: {next_command('changes', '--at', at)}")
    hint(console, "", *hints)


def _lines(group: ErrorGroup) -> Iterator[Text]:
    yield Text.assemble(
        (f"{group.count:>6,}", "bold red"),
        "  ",
        (brief(group.error), "red"),
        ("  " + group.trend, _TRENDS[group.trend]),
    )
    indent = " " * 8
    begins = f"begins in {clean(group.origin)}; " if group.origin else ""
    seen = f"{when(group.first_seen)} to {when(group.last_seen)}"
    yield Text(f"{indent}{begins}{seen}")
    whom = [count(group.requests, "request"), count(group.users, "user"), f"{group.before:,} in as long before"]
    where = [f"{clean(name)} {number:,}" for name, number in group.services.items()]
    yield Text(f"{indent}{', '.join(whom)}; {', '.join(where)}", "dim")
    for share in group.common[:_MOST_COMMON]:
        told = f"{clean(share.attribute)}={value(share.value)}"
        rest = f" in {percent(share.among_errors)} of them, in {percent(share.among_all)} of all requests"
        yield Text.assemble(indent, (told, "yellow"), rest)
    if group.trace_ids:
        yield Text(f"{indent}trace={group.trace_ids[0]}", "dim")
