"""A trace as a tree of spans on one time axis, logs in place.

span name    service   time   self   share of what was waited for   ▕ bar ▏
├─ …
│  15:04:05.123 INFO  logger  message  key=value
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.trace import SpanNode, TraceAnswer, answered
from ganglion_query.costs import dollars
from ganglion_query.model import LogRow, SpanRow, Trace
from ganglion_query.render.layout import count, hint, next_command, usual_width
from ganglion_query.render.logs import log_lines, stack_lines
from ganglion_query.text import brief, clean, duration, fit, moment, pairs
from ganglion_query.tree import Branch, Forest, Root, grow

__all__ = ["heading_lines", "print_trace"]

_DEEPEST = 20
_SHOWN = 6
_FIGURES = 28
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
    """Where a trace is drawn: what is known of each span, and the widths of the columns, in cells."""

    answer: TraceAnswer
    nodes: Mapping[tuple[str, datetime], SpanNode]
    name: int
    service: int
    bar: int
    full: bool


def print_trace(console: Console, trace: Trace, answer: TraceAnswer | None = None, *, full: bool = False) -> None:
    """Print the rows of `trace` with what `answer` knows of each span.

    `full` shows every attribute, long texts whole and every line of a stack trace.
    """
    answer = answer or answered(trace)
    forest = grow(trace)
    page = _page(console, answer, full=full)
    for line in [*heading_lines(answer), *_orphans(forest), *_titles(forest, page), *_forest_lines(forest, page)]:
        console.print(line, soft_wrap=True)
    if answer.truncated:
        shown = f"{len(answer.spans)} spans and {len(answer.logs)} logs"
        console.print(f"\nOnly the first {shown} are shown: there are more than --limit, or than 16 MiB hold.")
    if answer.failed_spans:
        hint(console, "", f"Why?  {next_command('explain', answer.trace_id)}")


def _page(console: Console, answer: TraceAnswer, *, full: bool) -> _Page:
    width = usual_width(console)
    longest = max((len(clean(name)) for name in answer.services), default=0)
    service = min(18, longest) + 1 if len(answer.services) > 1 else 0
    bar = max(0, min(40, width - _FIGURES - service - 40))
    bar = bar if bar >= 10 else 0
    name = max(16, width - _FIGURES - service - bar - 1)
    nodes = {(node.span_id, node.start_time): node for node in answer.spans}
    return _Page(answer, nodes, name, service, bar, full)


def heading_lines(answer: TraceAnswer) -> Iterator[Text]:
    """Yield what a request was as a whole: id, counts, time, cost, failures; when, where, whose; LangSmith's link."""
    counts = [count(len(answer.spans), "span"), count(len(answer.logs), "log"), duration(answer.duration_ms)]
    counts += [dollars(answer.cost)] if answer.cost else []
    counts += [count(answer.tokens.total, "token")] if answer.tokens else []
    line = Text.assemble(("trace ", "bold"), (answer.trace_id, "bold cyan"), "  ", "  ".join(counts))
    if answer.failed_spans:
        line.append(f"  {count(answer.failed_spans, 'failed span')}", "bold red")
    yield line
    start = answer.start_time
    whose = [
        f"{name}={clean(told)}"
        for name, told in (("user", answer.user_id), ("tenant", answer.tenant_id), ("session", answer.session_id))
        if told
    ]
    services = ", ".join(map(clean, answer.services))
    yield Text("  ".join(filter(None, [f"{moment(start)} {start.astimezone():%Z}", services, *whose])), "dim")
    if answer.langsmith_url is not None:
        yield Text.assemble("LangSmith  ", (clean(answer.langsmith_url), "cyan"))
    elif answer.langsmith_note:
        yield Text(f"LangSmith  no link: {clean(answer.langsmith_note)}", "dim")


def _orphans(forest: Forest) -> Iterator[Text]:
    orphans = sum(why is Root.ORPHAN for _, why in forest.roots)
    if orphans:
        told = f"{count(orphans, 'span')} whose parent is not here: not sent, not yet here, or not sampled"
        yield Text(told, "yellow")


def _titles(forest: Forest, page: _Page) -> Iterator[Text]:
    yield Text()
    if forest.roots:
        yield Text(f"{'':<{page.name + page.service}} {'time':>9} {'self':>9} {'waited':>7}".rstrip(), "dim")


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
    yield _span_line(span, guide, page)
    under = below + ("│  " if branch.children else "   ")
    if why is not Root.REAL:
        yield Text.assemble((under, "dim"), (f"({why.value}: {clean(span.parent_span_id or '')})", "yellow"))
    telling = span.attributes if page.full else _telling(span.attributes, page.answer)
    cost = [] if span.cost is None else [dollars(span.cost)]
    shown = "  ".join(filter(None, [*cost, pairs(telling, 1000 if page.full else _SHOWN)]))
    if shown:
        yield Text.assemble((under, "dim"), (shown, "dim"))
    if span.status == "ERROR" and span.status_message:
        yield Text.assemble((under, "dim"), (brief(span.status_message, full=page.full), "red"))
    for event in span.events:
        yield from _event_lines(event, under, page)


def _span_line(span: SpanRow, guide: str, page: _Page) -> Text:
    node = page.nodes[span.span_id, span.start_time]
    style = "bold red" if span.status == "ERROR" else "bold"
    return Text.assemble(
        (guide, "dim"),
        (fit(clean(span.name or "?"), max(8, page.name - len(guide))), style),
        (" " + fit(clean(span.service_name or ""), page.service - 1) if page.service else "", "magenta"),
        f" {duration(span.duration_ms):>9} ",
        (f"{duration(node.self_time_ms):>9} ", "dim"),
        (f"{_waited(node, page.answer):>7} ", "yellow"),
        _bar(node, page),
    )


def _waited(node: SpanNode, answer: TraceAnswer) -> str:
    """Return which share of the request's time this span itself kept it from its end."""
    if node.critical_ms <= 0 or answer.duration_ms <= 0:
        return ""
    share = node.critical_ms / answer.duration_ms * 100
    return f"◆ {share:.0f} %" if share >= 0.5 else "◆ <1 %"


def _bar(node: SpanNode, page: _Page) -> Text:
    length = page.answer.duration_ms
    if not page.bar or length <= 0:
        return Text()
    begin = max(0, min(page.bar - 1, int(node.offset_ms / length * page.bar)))
    cells = max(1, min(page.bar - begin, round((node.duration_ms or 0) / length * page.bar)))
    style = "red" if node.status == "ERROR" else "blue"
    return Text.assemble(" " * begin, ("█" * cells, style))


def _telling(attributes: Mapping[str, Any], answer: TraceAnswer) -> dict[str, Any]:
    """Return what says what a span did, without what the heading says of the whole request."""
    known = {"user.id": answer.user_id, "tenant.id": answer.tenant_id, "session.id": answer.session_id}
    telling = (key for start in _TELLING for key in attributes if key.startswith(start))
    return {key: attributes[key] for key in telling if key not in known or attributes[key] != known[key]}


def _event_lines(event: Mapping[str, Any], guide: str, page: _Page) -> Iterator[Text]:
    attributes: Mapping[str, Any] = event.get("attributes") or {}
    if event.get("name") == "exception":
        told = [str(attributes[key]) for key in ("exception.type", "exception.message") if attributes.get(key)]
        yield Text.assemble((guide, "dim"), ("exception  ", "red"), (brief(": ".join(told), full=page.full), "red"))
        yield from stack_lines(str(attributes.get("exception.stacktrace") or ""), guide, full=page.full)
        return
    shown = pairs(attributes, 1000 if page.full else _SHOWN)
    name = clean(str(event.get("name")))
    yield Text.assemble((guide, "dim"), ("event  ", "cyan"), name, (f"  {shown}" if shown else "", "dim"))
