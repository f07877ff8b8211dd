"""Logs and errors: below their span, or as lists."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from ganglion_query.model import ErrorRow, LogRow
from ganglion_query.render.layout import count
from ganglion_query.text import brief, brief_lines, clean, moment, pairs

__all__ = ["LEVEL_STYLES", "error_lines", "list_lines", "log_lines", "stack_lines"]

LEVEL_STYLES = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

_STACK_LINES = 12
_SHOWN = 6


def error_lines(row: ErrorRow) -> Iterator[Text]:
    """Yield an error as two lines: when, where, in which request, whose, in which trace; then what."""
    line = Text.assemble(moment(row.timestamp), "  ", (f"{row.level or 'FAILED':<8}", "red"))
    for told, style in ((row.service_name, "magenta"), (row.source, "cyan")):
        if told:
            line.append(f"  {clean(told)}", style)
    request = " → ".join(str(told) for told in (row.root_name, row.http_status) if told)
    if request:
        line.append(f"  {clean(request)}")
    if row.user_id:
        line.append(f"  user={clean(row.user_id)}", "dim")
    if row.trace_id:
        line.append(f"  trace={row.trace_id}", "dim")
    yield line
    what = ": ".join(brief(text.strip()) for text in (row.message, row.error) if text)
    if what:
        yield Text(f"    {what}", "red")


def list_lines(row: LogRow) -> Iterator[Text]:
    """Yield a log of a list as one line, its error as a second one."""
    line = Text.assemble(
        moment(row.timestamp),
        "  ",
        (f"{clean(row.level or ''):<8}", LEVEL_STYLES.get(row.level or "", "")),
        (f"  {clean(row.service_name)}" if row.service_name else "", "magenta"),
        (f"  {clean(row.logger)}" if row.logger else "", "cyan"),
        f"  {brief((row.message or '').rstrip())}",
    )
    details = pairs({**row.context, **row.metrics}, _SHOWN)
    line.append(f"  {details}" if details else "", "dim")
    line.append(f"  trace={row.trace_id}" if row.trace_id else "", "dim")
    yield line
    if row.error:
        yield Text(f"    {brief(row.error)}", "red")


def log_lines(log: LogRow, guide: str, *, full: bool = False) -> Iterator[Text]:
    """Yield a log as lines behind `guide`: time, level, logger, message, then its error."""
    style = LEVEL_STYLES.get(log.level or "", "")
    message = brief_lines(log.message or "", full=full)
    details = pairs({**log.context, **log.metrics}, 1000 if full else _SHOWN)
    time = moment(log.timestamp).partition(" ")[2]
    yield Text.assemble(
        (guide, "dim"),
        (f"{time} ", "dim"),
        (f"{clean(log.level or ''):<8} ", style),
        (f"{clean(log.logger)}  " if log.logger else "", "cyan"),
        message[0],
        ("  " + details if details else "", "dim"),
    )
    under = guide + " " * 13
    for line in message[1:]:
        yield Text.assemble((under, "dim"), line)
    if log.error:
        yield Text.assemble((under, "dim"), (brief(log.error, full=full), "red"))
    yield from stack_lines(log.stack_trace or "", under, full=full)


def stack_lines(stack: str, guide: str, *, full: bool) -> Iterator[Text]:
    """Yield a stack trace behind `guide`, only its end unless `full`."""
    lines: Sequence[str] = stack.splitlines()
    hidden = 0 if full else max(0, len(lines) - _STACK_LINES)
    if hidden:
        yield Text.assemble((guide, "dim"), (f"… {count(hidden, 'line')} above, shown by --full", "dim"))
    for line in lines[hidden:]:
        yield Text.assemble((guide, "dim"), (brief(line, full=full), "dim red"))
