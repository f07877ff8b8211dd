"""Commands about requests: one of them, why it was slow or failed, and which there were."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from ganglion_collector.terminal import Exit, fail, print_json, tells_errors

from ganglion_query.commands import asking
from ganglion_query.commands.options import (
    AsJSON,
    Cursor,
    Full,
    Limit,
    Service,
    Session,
    Since,
    Tenant,
    Until,
    User,
    Where,
    filled,
)
from ganglion_query.model import NotFoundError, Trace, parse_trace_id

if TYPE_CHECKING:
    from ganglion_query.answers.search import TraceFilter
    from ganglion_query.answers.trace import TraceAnswer
    from ganglion_query.reader import Reader

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


class Status(StrEnum):
    """How a request ended."""

    OK = "ok"
    ERROR = "error"


Layer = Annotated[str | None, typer.Option(callback=filled, help="Only those with a span of this layer (rag.layer).")]
Operation = Annotated[
    str | None,
    typer.Option(callback=filled, help="Only those with a span of this name; durations are then its own."),
]


@app.command(
    epilog="\b\nganglion trace 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "ganglion trace 4bf92f35-77b3-4da6-a3ce-929d0e0e4736 --full\n"
    "ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736 --waterfall\n"
    "ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736 --critical-path"
)
@tells_errors
def trace(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits, with or without hyphens.")],
    waterfall: Annotated[bool, typer.Option("--waterfall", help="One line for each span, with wide bars.")] = False,
    critical_path: Annotated[
        bool, typer.Option("--critical-path", help="Only what the request waited for, in the order it did.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Every attribute, long texts whole, every line of stack traces; with --json all that is stored.",
        ),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many spans, and so many logs.")] = 10_000,
    as_json: AsJSON = False,
) -> None:
    """Show one request: its spans as a tree, its logs in place.

    Beside each duration stands the time the span itself took; ◆ marks what the request waited for (its critical path).
    """
    if waterfall and critical_path:
        raise typer.BadParameter("it is the tree, --waterfall or --critical-path", param_hint="--waterfall")
    with asking.blaming("ID"):
        known = parse_trace_id(trace_id)
    reader = asking.reader()
    from ganglion_query.answers.trace import answered, fetch_trace  # noqa: PLC0415 (quick start of other commands)

    try:
        with asking.waiting("Reading the trace"):
            found = fetch_trace(reader, known, limit)
            answer = _linked(reader, found, answered(found))
    except NotFoundError:
        _not_found(reader, f"trace {known}")
    if as_json:
        print_json(found if full else answer)
        return
    from ganglion_query.render import path, tree  # noqa: PLC0415
    from ganglion_query.render import waterfall as bars  # noqa: PLC0415

    screen = asking.screen()
    if critical_path:
        path.print_path(screen, answer)
    elif waterfall:
        bars.print_waterfall(screen, answer)
    else:
        tree.print_trace(screen, found, answer, full=full)


@app.command(epilog="\b\nganglion explain 4bf92f3577b34da6a3ce929d0e0e4736\nganglion explain req-7f3a --json")
@tells_errors
def explain(
    id_: Annotated[
        str, typer.Argument(metavar="ID", callback=filled, help="A trace id, or a request id (request.id).")
    ],
    full: Full = False,
    as_json: AsJSON = False,
) -> None:
    """Say why a request was slow, or why it failed.

    Its spans are held against the last day of the same operations; the first error is told in causal order, with what
    is missing and the logs that matter.
    """
    reader = asking.reader()
    from ganglion_query.answers.explanation import explain as explained  # noqa: PLC0415

    try:
        with asking.waiting("Comparing with the day before"), asking.blaming("ID"):
            answer = explained(reader, id_)
    except NotFoundError:
        _not_found(reader, f"trace or request {id_}")
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.explanation import print_explanation  # noqa: PLC0415

    print_explanation(asking.screen(), answer, full=full)


@app.command(epilog="\b\nganglion slow --over 5s\nganglion slow --over 200ms --operation retrieval.search --since 1h")
@tells_errors
def slow(  # noqa: PLR0913, PLR0917 (one for each option)
    over: Annotated[str, typer.Option(metavar="DURATION", help="Longer than this: 5s, 200ms, 1m30s.")] = "1s",
    service: Service = None,
    operation: Operation = None,
    layer: Layer = None,
    user: User = None,
    tenant: Tenant = None,
    where: Where = None,
    since: Since = "24h",
    until: Until = "now",
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJSON = False,
) -> None:
    """List the requests that took longest, the slowest first."""
    from ganglion_query.answers.search import TraceFilter  # noqa: PLC0415

    wanted = TraceFilter(
        asking.period(since, until),
        service=service,
        operation=operation,
        layer=layer,
        user=user,
        tenant=tenant,
        min_duration_ms=_milliseconds(over, "--over"),
        conditions=asking.conditions(where),
        order="slowest",
    )
    _list(wanted, limit, cursor, as_json=as_json)


@app.command(
    epilog="\b\nganglion search --user user-123 --status error\n"
    "ganglion search --service rag-service --where chunk_size=512 --over 1s --since monday"
)
@tells_errors
def search(  # noqa: PLR0913, PLR0917 (one for each option)
    service: Service = None,
    operation: Operation = None,
    layer: Layer = None,
    user: User = None,
    tenant: Tenant = None,
    session: Session = None,
    status: Annotated[Status | None, typer.Option(help="Only those that ended so.")] = None,
    over: Annotated[str | None, typer.Option(metavar="DURATION", help="Longer than this: 5s, 200ms, 1m30s.")] = None,
    under: Annotated[str | None, typer.Option(metavar="DURATION", help="Shorter than this.")] = None,
    where: Where = None,
    since: Since = "24h",
    until: Until = "now",
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJSON = False,
) -> None:
    """List requests, newest first."""
    from ganglion_query.answers.search import TraceFilter  # noqa: PLC0415

    wanted = TraceFilter(
        asking.period(since, until),
        service=service,
        operation=operation,
        layer=layer,
        user=user,
        tenant=tenant,
        session=session,
        status=None if status is None else status.value,
        min_duration_ms=None if over is None else _milliseconds(over, "--over"),
        max_duration_ms=None if under is None else _milliseconds(under, "--under"),
        conditions=asking.conditions(where),
    )
    _list(wanted, limit, cursor, as_json=as_json)


def _list(wanted: "TraceFilter", limit: int, cursor: str | None, *, as_json: bool) -> None:
    reader = asking.reader()
    from ganglion_query.answers.search import search_traces  # noqa: PLC0415

    with asking.waiting("Searching"), asking.listing():
        page = search_traces(reader, wanted, limit, cursor)
    if not page.items:
        asking.nothing("requests", page, wanted.period, as_json=as_json)
    if as_json:
        print_json(page)
        return
    from ganglion_query.render.requests import print_requests  # noqa: PLC0415

    print_requests(asking.screen(), page, slowest=wanted.order == "slowest")


def _milliseconds(text: str, option: str) -> float:
    return asking.length(text, option) / timedelta(milliseconds=1)


def _linked(reader: "Reader", found: Trace, answer: "TraceAnswer") -> "TraceAnswer":
    """Return the answer with where LangSmith shows the trace, or why that cannot be said."""
    from ganglion_query.langsmith import LinkError  # noqa: PLC0415 (quick start of other commands)

    try:
        return replace(answer, langsmith_url=reader.langsmith_url(found))
    except LinkError as error:
        return replace(answer, langsmith_note=str(error))


def _not_found(reader: "Reader", what: str) -> NoReturn:
    newest = reader.newest_trace()
    if newest is None:
        known = "no span of the last day is there at all: check OTEL_EXPORTER_OTLP_ENDPOINT of the service"
    else:
        known = f"the newest trace there is {newest[0]}, of {newest[1].astimezone():%Y-%m-%d %H:%M:%S}"
    fail(f"no span or log of {what}; {known}; `ganglion status` shows whether the collector works", Exit.NOTHING_FOUND)
