"""Logs and errors: pages of them, errors of one cause together, and logs as they come."""

from dataclasses import asdict, replace
from typing import Any

from fastapi import Request
from starlette.responses import Response

from ganglion_query.answers import error_groups as groups
from ganglion_query.answers import log_search
from ganglion_query.answers import log_volume as volume
from ganglion_query.answers.error_groups import ErrorGroups
from ganglion_query.answers.log_search import ErrorFilter, ErrorPage, LogPage
from ganglion_query.answers.log_volume import LogVolume
from ganglion_query.answers.tail import Tail
from ganglion_query.api.access import Caller
from ganglion_query.api.parameters import Asking, Cursor, LastDay, LastHourOrTrace, Limit, Logs, WhoseErrors, listing
from ganglion_query.api.routing import answers, new_router
from ganglion_query.api.stream import TailStream

__all__ = ["router"]

router = new_router()

_TOLD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `log` (a LogRow), `gap` (there was more at once than is told), `problem` (a Problem).",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@answers(router, "/logs")
def search_logs(
    reader: Asking, wanted: Logs, period: LastHourOrTrace, limit: Limit = 100, cursor: Cursor = None
) -> LogPage:
    """List logs, newest first."""
    with listing():
        return log_search.search_logs(reader, replace(wanted, since=period.since, until=period.until), limit, cursor)


@answers(router, "/logs/volume")
def log_volume(reader: Asking, wanted: Logs, period: LastHourOrTrace) -> LogVolume:
    """Count logs over time."""
    with listing():
        return volume.log_volume(reader, wanted, period)


@router.get("/logs/tail", operation_id="tail_logs", response_class=Response, responses=_TOLD)
def tail_logs(reader: Asking, wanted: Logs, request: Request) -> TailStream:
    """Follow the logs: each one as an event within a second after it is stored."""
    caller: Caller = request.state.caller
    tail = Tail(reader, wanted)
    with listing():
        tail.poll()
    return TailStream(tail, request.app.state.tails, caller.digest, request.state.is_allowed)


@answers(router, "/errors")
def list_errors(
    reader: Asking, whose: WhoseErrors, period: LastDay, limit: Limit = 50, cursor: Cursor = None
) -> ErrorPage:
    """List errors, newest first: logs from ERROR on, and failed spans that nothing below explains."""
    wanted = ErrorFilter(**asdict(whose), since=period.since, until=period.until)
    with listing():
        return log_search.list_errors(reader, wanted, limit, cursor)


@answers(router, "/errors/groups")
def error_groups(reader: Asking, whose: WhoseErrors, period: LastDay) -> ErrorGroups:
    """Say why there are errors now: errors of one cause together."""
    return groups.error_groups(reader, period, whose)
