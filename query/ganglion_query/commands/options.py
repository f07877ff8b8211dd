"""Options that several commands have, each with one name and one meaning."""

from typing import Annotated

import typer

from ganglion_query.model import LEVELS

__all__ = [
    "AsJSON",
    "Cursor",
    "Everything",
    "Full",
    "Level",
    "Limit",
    "Logger",
    "Request",
    "Search",
    "Service",
    "Session",
    "Since",
    "SinceTrace",
    "Tenant",
    "Trace",
    "Until",
    "User",
    "Where",
    "filled",
]


def filled(text: str | None) -> str | None:
    """Refuse what holds nothing, such as an unset variable of a shell: it would find nothing, or everything."""
    if text is not None and not text.strip():
        raise typer.BadParameter("it is empty")
    return text


AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")]
_SINCE = "From when: 24h, 30m, 15:00, 3pm, 'yesterday 15:00', monday, 2026-11-20T15:00Z."
Since = Annotated[str, typer.Option(metavar="TIME", help=_SINCE)]
SinceTrace = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help=_SINCE, show_default="24h, or when --trace began")
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Up to when, in the same forms.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]
Cursor = Annotated[
    str | None, typer.Option(metavar="CURSOR", help="Go on where a list ended that said so, with its other options.")
]
Everything = Annotated[bool, typer.Option("--all", help="All there are, page by page; with --json one object a line.")]
Service = Annotated[str | None, typer.Option(callback=filled, help="Only those of this service (service.name).")]
User = Annotated[str | None, typer.Option(callback=filled, help="Only those of this user (user.id).")]
Tenant = Annotated[str | None, typer.Option(callback=filled, help="Only those of this tenant (tenant.id).")]
Session = Annotated[str | None, typer.Option(callback=filled, help="Only those of this session (session.id).")]
Request = Annotated[str | None, typer.Option(callback=filled, help="Only those of this request (request.id).")]
Trace = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this trace.")]
Logger = Annotated[str | None, typer.Option(callback=filled, help="Only those of this logger (the scope's name).")]
Level = Annotated[str | None, typer.Option(help=f"At least this level: {', '.join(LEVELS)}.")]
Search = Annotated[
    str | None, typer.Option(callback=filled, help='Words of message, error, stack trace: all, or, -not, "phrase".')
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="An attribute: context.chunk_size=512, duration_ms>=500, model~gpt (contains); several must all hold.",
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Every attribute, long texts whole, every line of stack traces.")]
