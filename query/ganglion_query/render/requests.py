"""A list of requests."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.search import TracePage, TraceSummary
from ganglion_query.costs import dollars
from ganglion_query.render.layout import count, hint, next_command
from ganglion_query.text import brief, clean, duration, moment

__all__ = ["print_requests"]


def print_requests(console: Console, page: TracePage, *, slowest: bool) -> None:
    """Print each request on two lines, a third for what failed; and what to ask about the first."""
    for item in page.items:
        for line in _lines(item):
            console.print(line, soft_wrap=True)
    first = page.items[0].trace_id
    lines = [f"Why was the first so slow?  {next_command('explain', first)}" if slowest else ""]
    if not slowest:
        lines = [f"Read the first:  {next_command('trace', first)}"]
    if page.next is not None:
        lines.append(f"More:  --limit, or --cursor {page.next}")
    hint(console, "", *lines)


def _lines(item: TraceSummary) -> Iterator[Text]:
    failed = item.status == "ERROR" or item.error_count > 0
    line = Text.assemble(
        (f"{duration(item.matched_ms):>9}", "bold yellow"),
        f"  {moment(item.start_time)}  ",
        (clean(item.root_name or "?"), "bold red" if failed else "bold"),
    )
    for text, style in ((item.root_service, "magenta"), (item.user_id and f"user={item.user_id}", "dim")):
        line.append(f"  {clean(text)}" if text else "", style)
    yield line
    whole, asked = duration(item.duration_ms), duration(item.matched_ms)
    told = [f"{whole} in all"] if whole != asked else []
    told += [count(item.span_count, "span"), count(item.log_count, "log")]
    told += [dollars(item.cost)] if item.cost else []
    told += [count(item.total_tokens, "token")] if item.total_tokens else []
    under = Text.assemble(" " * 11, (f"trace={item.trace_id}  {'  '.join(told)}", "dim"))
    if item.error_count:
        under.append(f"  {count(item.error_count, 'error')}", "red")
    yield under
    if item.first_error:
        yield Text(f"{'':11}{brief(item.first_error)}", "red")
