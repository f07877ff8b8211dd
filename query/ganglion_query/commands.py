"""The commands that ask: trace, errors, logs; and all those that operate the collector beside them."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from ganglion import __version__
from ganglion_collector.cli import app as operations
from ganglion_collector.loading import ConfigOption, SetOption
from ganglion_collector.terminal import Exit, console, fail, print_json, tells_errors

from ganglion_query.model import LEVELS, LogFilter, Trace, parse_trace_id
from ganglion_query.times import parse_time

if TYPE_CHECKING:
    from ganglion_query.reader import Reader

__all__ = ["app"]

app = typer.Typer(
    name="ganglion",
    help="OpenTelemetry in, PostgreSQL out, every request readable by its trace id.",
    epilog="\b\nStart everything:  ganglion up\nRead a request:    ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "What went wrong:   ganglion errors --since 2h\nStop everything:   ganglion down",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"ganglion {__version__}")
        raise typer.Exit


@app.callback()
def ganglion(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")]
Since = Annotated[
    str, typer.Option(metavar="TIME", help="From when: 24h, 30m, 2d, 15:00, yesterday, 2026-11-20, 2026-11-20T15:00Z.")
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Up to when, in the same forms.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]


@app.command(
    epilog="\b\nganglion trace 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "ganglion trace 4bf92f35-77b3-4da6-a3ce-929d0e0e4736 --full"
)
@tells_errors
def trace(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits, with or without hyphens.")],
    full: Annotated[
        bool, typer.Option("--full", help="Every attribute, long texts whole, every line of stack traces.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many spans, and so many logs.")] = 10_000,
    as_json: AsJSON = False,
) -> None:
    """Show one request: its spans as a tree, its logs in place."""
    try:
        known = parse_trace_id(trace_id)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from None
    reader = _reader()
    found = reader.trace(known, limit)
    if not found.spans and not found.logs:
        fail(_not_found(reader, known), Exit.NOTHING_FOUND)
    found, no_link = _linked(reader, found)
    if as_json:
        print_json(found)
        return
    from ganglion_query.render import print_trace  # noqa: PLC0415

    print_trace(console(), found, full=full, no_link=no_link)


@app.command(epilog="\b\nganglion errors --user user-123 --since 24h\nganglion errors --since 15:00 --until 15:30")
@tells_errors
def errors(
    user: Annotated[str | None, typer.Option(help="Only those of this user (user.id).")] = None,
    since: Since = "24h",
    until: Until = "now",
    limit: Limit = 50,
    as_json: AsJSON = False,
) -> None:
    """List errors, newest first.

    They are logs from ERROR on, and failed spans that no such log explains.
    """
    begin, end = _period(since, until)
    rows = _reader().errors(user=user, since=begin, until=end, limit=limit)
    if as_json:
        print_json(rows)
    elif rows:
        from ganglion_query.lists import print_errors  # noqa: PLC0415

        print_errors(console(), rows, limit)
    if not rows:
        _nothing("errors", begin, end, as_json=as_json)


@app.command(
    epilog="\b\nganglion logs --service checkout --level warning --since 1h\n"
    "ganglion logs --search '\"connection refused\" -retry'"
)
@tells_errors
def logs(  # noqa: PLR0913, PLR0917 (one for each option)
    user: Annotated[str | None, typer.Option(help="Only those of this user (user.id).")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant (tenant.id).")] = None,
    service: Annotated[str | None, typer.Option(help="Only those of this service (service.name).")] = None,
    level: Annotated[str | None, typer.Option(help=f"At least this level: {', '.join(LEVELS)}.")] = None,
    since: Since = "24h",
    until: Until = "now",
    search: Annotated[
        str | None, typer.Option(help='Words of message, error, stack trace: all, or, -not, "phrase".')
    ] = None,
    limit: Limit = 50,
    as_json: AsJSON = False,
) -> None:
    """List logs, newest first."""
    begin, end = _period(since, until)
    wanted = LogFilter(user, tenant, service, _level(level), begin, end, search)
    rows = _reader().logs(wanted, limit)
    if as_json:
        print_json(rows)
    elif rows:
        from ganglion_query.lists import print_logs  # noqa: PLC0415

        print_logs(console(), rows, limit)
    if not rows:
        _nothing("logs", begin, end, as_json=as_json)


@app.command(epilog="\b\nganglion up\nGANGLION_DATABASE_URL=postgresql://… ganglion up --config my.yaml")
@tells_errors
def up(
    config: ConfigOption = None,
    sets: SetOption = None,
    no_monitoring: Annotated[
        bool, typer.Option("--no-monitoring", help="Start neither Prometheus nor Alertmanager.")
    ] = False,
) -> None:
    """Start everything, in the background.

    PostgreSQL too, unless GANGLION_DATABASE_URL names one; Prometheus and Alertmanager where they are installed. Ends
    when a self-test has come through, or says why not.
    """
    try:
        from ganglion_query.up import bring_up  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"the collector needs the Python package {error.name}; pip install 'ganglion[all]'")
    bring_up(config or [], sets or [], monitoring=not no_monitoring)


def _reader() -> "Reader":
    from ganglion_collector.embedded import database_url  # noqa: PLC0415 (quick start of other commands)

    try:
        from ganglion_query.langsmith import LangSmith  # noqa: PLC0415
        from ganglion_query.reader import Reader  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"reading needs the Python package {error.name}; pip install 'ganglion[query]'")
    return Reader(database_url(os.environ), langsmith=LangSmith.of(os.environ))


def _linked(reader: "Reader", found: Trace) -> tuple[Trace, str]:
    """Return the trace with where LangSmith shows it, or why that cannot be said."""
    from ganglion_query.langsmith import LinkError  # noqa: PLC0415 (quick start of other commands)

    try:
        return replace(found, langsmith_url=reader.langsmith_url(found)), ""
    except LinkError as error:
        return found, str(error)


def _period(since: str, until: str) -> tuple[datetime, datetime | None]:
    now = datetime.now(UTC).astimezone()
    begin = _time(since, now, "--since")
    end = None if until.strip().lower() == "now" else _time(until, now, "--until")
    if end is not None and end <= begin:
        raise typer.BadParameter(f"ends at {end:%Y-%m-%d %H:%M}, before --since begins", param_hint="--until")
    return begin, end


def _time(text: str, now: datetime, option: str) -> datetime:
    try:
        return parse_time(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _level(text: str | None) -> str | None:
    if text is None:
        return None
    level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.upper(), text.upper())
    if level not in LEVELS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(LEVELS)}", param_hint="--level")
    return level


def _not_found(reader: "Reader", trace_id: str) -> str:
    newest = reader.newest_trace()
    if newest is None:
        known = "no span of the last day is there at all: check OTEL_EXPORTER_OTLP_ENDPOINT of the service"
    else:
        known = f"the newest trace there is {newest[0]}, of {newest[1].astimezone():%Y-%m-%d %H:%M:%S}"
    return f"no span or log of trace {trace_id}; {known}; `ganglion status` shows whether the collector works"


def _nothing(what: str, begin: datetime, end: datetime | None, *, as_json: bool) -> None:
    if as_json:
        raise typer.Exit(int(Exit.NOTHING_FOUND))
    last = "now" if end is None else f"{end.astimezone():%Y-%m-%d %H:%M:%S}"
    fail(f"no such {what} from {begin.astimezone():%Y-%m-%d %H:%M:%S} to {last}", Exit.NOTHING_FOUND)


app.add_typer(operations)
