"""A trace on a terminal: spans as a tree on one time axis, logs in place.

span name    service   duration   ▕ bar ▏
├─ …
│  15:04:05.123 INFO  logger  message  key=value
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from ganglion_query.costs import dollars
from ganglion_query.model import LogRow, SpanRow, Trace
from ganglion_query.text import brief, brief_lines, clean, duration, fit, moment, pairs
from ganglion_query.tree import Branch, Forest, Root, grow

__all__ = ["LEVEL_STYLES", "log_lines", "print_trace"]

LEVEL_STYLES = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

_DEEPEST = 20
_STACK_LINES = 12
_SHOWN = 6
# Attributes that say what a span did, by the semantic conventions; the others are told with --full.
_TELLING = (
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "url.full",
    "db.",
    "rpc.",
    "messaging.",
    "gen_ai.",
    "error.type",
    "user.id",
    "tenant.id",
    "session.id",
)


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a trace is drawn: the time axis (`start`, `length` in ms) and the widths of the columns, in cells."""

    start: datetime
    length: float
    name: int
    bar: int
    full: bool


def print_trace(console: Console, trace: Trace, *, full: bool = False, no_link: str = "") -> None:
    """Print `trace`; `full` shows every attribute, long texts whole and every line of a stack trace.

    `no_link` says why there is no link to LangSmith, where one was to be expected.
    """
    forest = grow(trace)
    page = _page(console, trace, full=full)
    for line in [*_heading(trace, forest), *_link(trace, no_link), Text(), *_forest_lines(forest, page)]:
        console.print(line, soft_wrap=True)
    if trace.truncated:
        console.print(f"\nOnly the first {len(trace.spans)} spans and {len(trace.logs)} logs are shown; see --limit.")


def _page(console: Console, trace: Trace, *, full: bool) -> _Page:
    start, end = _extent(trace)
    width = console.width if console.is_terminal else 120
    bar = max(0, min(40, width - 80))
    name = max(16, width - bar - 13 - 19)
    return _Page(start, (end - start).total_seconds() * 1000, name, bar, full)


def _extent(trace: Trace) -> tuple[datetime, datetime]:
    times = [span.start_time for span in trace.spans] or [log.timestamp for log in trace.logs]
    ends = [span.end_time for span in trace.spans if span.end_time is not None]
    return min(times), max(times + ends)


def _heading(trace: Trace, forest: Forest) -> Iterator[Text]:
    start, end = _extent(trace)
    failed = sum(span.status == "ERROR" for span in trace.spans)
    counts = [_count(len(trace.spans), "span"), _count(len(trace.logs), "log")]
    counts += [duration((end - start).total_seconds() * 1000)]
    counts += [] if trace.cost is None else [dollars(trace.cost)]
    line = Text.assemble(("trace ", "bold"), (trace.trace_id, "bold cyan"), "  ", "  ".join(counts))
    if failed:
        line.append(f"  {_count(failed, 'failed span')}", "bold red")
    yield line
    names = [span.service_name for span in trace.spans] + [log.service_name for log in trace.logs]
    services = sorted({clean(name) for name in names if name})
    yield Text(f"{moment(start)} {start.astimezone():%Z}  {', '.join(services)}", "dim")
    orphans = sum(why is Root.ORPHAN for _, why in forest.roots)
    if orphans:
        yield Text(
            f"{_count(orphans, 'span')} whose parent is not here: not sent, not yet here, or not sampled", "yellow"
        )


def _link(trace: Trace, no_link: str) -> Iterator[Text]:
    if trace.langsmith_url is not None:
        yield Text.assemble("LangSmith  ", (trace.langsmith_url, "cyan"))
    elif no_link:
        yield Text(f"LangSmith  no link: {clean(no_link)}", "dim")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _forest_lines(forest: Forest, page: _Page) -> Iterator[Text]:
    for root, why in forest.roots:
        yield from _tree_lines(root, why, page)
    if forest.loose:
        if forest.roots:
            yield Text("logs outside these spans", "bold")
        for log in forest.loose:
            yield from log_lines(log, "", full=page.full)


def _tree_lines(root: Branch, why: Root, page: _Page) -> Iterator[Text]:
    """Walk without recursion: a sender may make a chain of ten thousand spans."""
    yield from _span_lines(root, "", "", page, why)
    stack = [(iter(_with_last(root)), "", 1)]
    while stack:
        items, guide, depth = stack[-1]
        following = next(items, None)
        if following is None:
            stack.pop()
            continue
        item, last = following
        below = guide + ("   " if last else "│  ")
        if isinstance(item, LogRow):
            yield from log_lines(item, guide + ("   " if last else "│  "), full=page.full)
            continue
        if depth > _DEEPEST:
            guide, below = f"{depth:>5} ", " " * 6
            yield from _span_lines(item, guide, below, page, Root.REAL)
        else:
            yield from _span_lines(item, guide + ("└─ " if last else "├─ "), below, page, Root.REAL)
        stack.append((iter(_with_last(item)), below, depth + 1))


def _with_last(branch: Branch) -> list[tuple[Branch | LogRow, bool]]:
    """Return what lies under a span, each with whether no span follows it."""
    items = branch.items
    spans = [index for index, item in enumerate(items) if isinstance(item, Branch)]
    last = spans[-1] if spans else -1
    return [(item, index >= last) for index, item in enumerate(items)]


def _span_lines(branch: Branch, guide: str, below: str, page: _Page, why: Root) -> Iterator[Text]:
    span = branch.span
    style = "bold red" if span.status == "ERROR" else "bold"
    name = Text.assemble((guide, "dim"), (fit(clean(span.name or "?"), max(8, page.name - len(guide))), style))
    service = Text(" " + fit(clean(span.service_name or ""), 18), "magenta")
    yield Text.assemble(name, service, f" {duration(span.duration_ms):>11} ", _bar(span, page))
    under = below + ("│  " if branch.children else "   ")
    if why is not Root.REAL:
        yield Text.assemble((under, "dim"), (f"({why.value}: {clean(span.parent_span_id or '')})", "yellow"))
    telling = span.attributes if page.full else _telling(span.attributes)
    cost = [] if span.cost is None else [dollars(span.cost)]
    shown = "  ".join(filter(None, [*cost, pairs(telling, 1000 if page.full else _SHOWN)]))
    if shown:
        yield Text.assemble((under, "dim"), (shown, "dim"))
    if span.status == "ERROR" and span.status_message:
        yield Text.assemble((under, "dim"), (brief(span.status_message, full=page.full), "red"))
    for event in span.events:
        yield from _event_lines(event, under, page)


def _bar(span: SpanRow, page: _Page) -> Text:
    if page.bar < 10 or page.length <= 0:
        return Text()
    offset = (span.start_time - page.start).total_seconds() * 1000
    begin = min(page.bar - 1, int(offset / page.length * page.bar))
    cells = max(1, min(page.bar - begin, round((span.duration_ms or 0) / page.length * page.bar)))
    style = "red" if span.status == "ERROR" else "blue"
    return Text.assemble(" " * begin, ("█" * cells, style), " " * (page.bar - begin - cells))


def _telling(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attributes[key] for start in _TELLING for key in attributes if key.startswith(start)}


def _event_lines(event: Mapping[str, Any], guide: str, page: _Page) -> Iterator[Text]:
    attributes: Mapping[str, Any] = event.get("attributes") or {}
    if event.get("name") == "exception":
        told = [str(attributes[key]) for key in ("exception.type", "exception.message") if attributes.get(key)]
        yield Text.assemble((guide, "dim"), ("exception  ", "red"), (brief(": ".join(told), full=page.full), "red"))
        yield from _stack_lines(str(attributes.get("exception.stacktrace") or ""), guide, full=page.full)
        return
    shown = pairs(attributes, 1000 if page.full else _SHOWN)
    yield Text.assemble((guide, "dim"), ("event  ", "cyan"), clean(str(event.get("name"))), ("  " + shown, "dim"))


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
    yield from _stack_lines(log.stack_trace or "", under, full=full)


def _stack_lines(stack: str, guide: str, *, full: bool) -> Iterator[Text]:
    lines: Sequence[str] = stack.splitlines()
    hidden = 0 if full else max(0, len(lines) - _STACK_LINES)
    if hidden:
        yield Text.assemble((guide, "dim"), (f"… {_count(hidden, 'line')} above, shown by --full", "dim"))
    for line in lines[hidden:]:
        yield Text.assemble((guide, "dim"), (brief(line, full=full), "dim red"))
