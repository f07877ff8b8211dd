"""Commands about what was logged and what went wrong: a list, by cause, or as it comes."""

from typing import Annotated

import typer
from ganglion_collector.terminal import print_json, tells_errors

from ganglion_query.answers.period import Period
from ganglion_query.commands import asking
from ganglion_query.commands.listing import Listing
from ganglion_query.commands.options import (
    AsJSON,
    Cursor,
    Everything,
    Level,
    Limit,
    Logger,
    Request,
    Search,
    Service,
    Session,
    Since,
    SinceTrace,
    Tenant,
    Trace,
    Until,
    User,
    Where,
)
from ganglion_query.model import LogFilter

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog="\b\nganglion errors --user user-123 --since 24h\nganglion errors --why --since 15:00\n"
    "ganglion errors --since 15:00 --until 15:30"
)
@tells_errors
def errors(  # noqa: PLR0913, PLR0917 (one for each option)
    why: Annotated[
        bool, typer.Option("--why", help="By cause: since when, where they begin, what they have in common.")
    ] = False,
    user: User = None,
    tenant: Tenant = None,
    service: Service = None,
    since: Since = "24h",
    until: Until = "now",
    limit: Limit = 50,
    cursor: Cursor = None,
    everything: Everything = False,
    as_json: AsJSON = False,
) -> None:
    """List errors, newest first, or with --why by cause.

    They are logs from ERROR on, and failed spans that nothing below explains.
    """
    period = asking.period(since, until)
    if why:
        if cursor or everything:
            raise typer.BadParameter("goes neither with --cursor nor with --all", param_hint="--why")
        _why(period, service, user, tenant, as_json=as_json)
        return
    reader = asking.reader()
    from ganglion_query.answers.log_search import ErrorFilter, list_errors  # noqa: PLC0415 (quick start of others)
    from ganglion_query.render.logs import error_lines  # noqa: PLC0415

    wanted = ErrorFilter(user=user, tenant=tenant, service=service, since=period.since, until=period.until)
    _show(
        Listing("errors", period, lambda size, at: list_errors(reader, wanted, size, at), error_lines),
        limit,
        cursor,
        everything=everything,
        as_json=as_json,
    )


def _why(period: Period, service: str | None, user: str | None, tenant: str | None, *, as_json: bool) -> None:
    reader = asking.reader()
    from ganglion_query.answers.error_groups import error_groups  # noqa: PLC0415
    from ganglion_query.answers.population import Whose  # noqa: PLC0415

    with asking.waiting("Grouping errors by cause"):
        answer = error_groups(reader, period, Whose(service, user, tenant))
    if not answer.groups:
        asking.nothing("errors", answer, period, as_json=as_json)
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.error_groups import print_error_groups  # noqa: PLC0415

    print_error_groups(asking.screen(), answer)


@app.command(
    epilog="\b\nganglion logs --service checkout --level warning --since 1h\n"
    "ganglion logs --search '\"connection refused\" -retry'\n"
    "ganglion logs --where context.chunk_size=512 --where duration_ms>=500\n"
    "ganglion logs --trace 4bf92f3577b34da6a3ce929d0e0e4736 --all --json"
)
@tells_errors
def logs(  # noqa: PLR0913, PLR0917 (one for each option)
    user: User = None,
    tenant: Tenant = None,
    service: Service = None,
    level: Level = None,
    since: SinceTrace = None,
    until: Until = "now",
    search: Search = None,
    where: Where = None,
    session: Session = None,
    request: Request = None,
    trace: Trace = None,
    logger: Logger = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    everything: Everything = False,
    as_json: AsJSON = False,
) -> None:
    """List logs, newest first."""
    trace_id = asking.trace_id(trace)
    period = asking.period_of(trace_id, since, until)
    wanted = LogFilter(
        user=user,
        tenant=tenant,
        service=service,
        level=asking.level(level),
        since=period.since,
        until=period.until,
        search=search,
        session=session,
        request=request,
        trace=trace_id,
        logger=logger,
        conditions=asking.conditions(where),
    )
    reader = asking.reader()
    from ganglion_query.answers.log_search import search_logs  # noqa: PLC0415
    from ganglion_query.render.logs import list_lines  # noqa: PLC0415

    _show(
        Listing("logs", period, lambda size, at: search_logs(reader, wanted, size, at), list_lines),
        limit,
        cursor,
        everything=everything,
        as_json=as_json,
    )


@app.command(
    epilog="\b\nganglion tail\nganglion tail --level warning --service rag-service\n"
    "ganglion tail --where user.id=ada --json | jq .message"
)
@tells_errors
def tail(  # noqa: PLR0913, PLR0917 (one for each option)
    user: User = None,
    tenant: Tenant = None,
    service: Service = None,
    level: Level = None,
    search: Search = None,
    where: Where = None,
    session: Session = None,
    request: Request = None,
    trace: Trace = None,
    logger: Logger = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each log as JSON on a line of its own.")] = False,
) -> None:
    """Follow logs as they are stored, until Ctrl-C."""
    wanted = LogFilter(
        user=user,
        tenant=tenant,
        service=service,
        level=asking.level(level),
        search=search,
        session=session,
        request=request,
        trace=asking.trace_id(trace),
        logger=logger,
        conditions=asking.conditions(where),
    )
    reader = asking.reader()
    from ganglion_query.commands.following import follow  # noqa: PLC0415

    follow(reader, wanted, as_json=as_json)


def _show(listing: Listing, limit: int, cursor: str | None, *, everything: bool, as_json: bool) -> None:
    if everything:
        listing.show_all(cursor, as_json=as_json)
    else:
        listing.show(limit, cursor, as_json=as_json)
