"""Logs and errors as lists on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ganglion_query.model import ErrorRow, LogRow
from ganglion_query.render import LEVEL_STYLES
from ganglion_query.text import brief, clean, moment, pairs

__all__ = ["print_errors", "print_logs"]

_SHOWN = 6


def print_errors(console: Console, rows: Sequence[ErrorRow], limit: int) -> None:
    """Print each error on two lines: when, where, whose, in which trace; then what."""
    for row in rows:
        line = Text.assemble(moment(row.timestamp), "  ", (f"{row.level or 'FAILED':<8}", "red"))
        for told, style in ((row.service_name, "magenta"), (row.source, "cyan")):
            if told:
                line.append(f"  {clean(told)}", style)
        if row.user_id:
            line.append(f"  user={clean(row.user_id)}", "dim")
        if row.trace_id:
            line.append(f"  trace={row.trace_id}", "dim")
        console.print(line, soft_wrap=True)
        what = ": ".join(brief(text) for text in (row.message, row.error) if text)
        if what:
            console.print(Text(f"    {what}", "red"), soft_wrap=True)
    _more(console, len(rows), limit)


def print_logs(console: Console, rows: Sequence[LogRow], limit: int) -> None:
    """Print each log on one line, its error on a second one."""
    for row in rows:
        line = Text.assemble(
            moment(row.timestamp),
            "  ",
            (f"{clean(row.level or ''):<8}", LEVEL_STYLES.get(row.level or "", "")),
            (f"  {clean(row.service_name)}" if row.service_name else "", "magenta"),
            (f"  {clean(row.logger)}" if row.logger else "", "cyan"),
            f"  {brief(row.message or '')}",
        )
        details = pairs({**row.context, **row.metrics}, _SHOWN)
        line.append(f"  {details}" if details else "", "dim")
        line.append(f"  trace={row.trace_id}" if row.trace_id else "", "dim")
        console.print(line, soft_wrap=True)
        if row.error:
            console.print(Text(f"    {brief(row.error)}", "red"), soft_wrap=True)
    _more(console, len(rows), limit)


def _more(console: Console, count: int, limit: int) -> None:
    if count == limit:
        console.print(Text(f"The newest {limit}; --limit shows more.", "dim"))
