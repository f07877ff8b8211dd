"""Logs and errors: pages of them, errors of one cause together, and logs as they come."""

from dataclasses import replace

from ganglion_query.answers import error_groups as groups
from ganglion_query.answers import log_search
from ganglion_query.answers.error_groups import ErrorGroups
from ganglion_query.answers.log_search import ErrorFilter, ErrorPage, LogPage
from ganglion_query.api.parameters import Asking, Cursor, LastDay, LastHour, Limit, Logs, Text, listing
from ganglion_query.api.routing import answers, new_router

__all__ = ["router"]

router = new_router()


@answers(router, "/logs")
def search_logs(reader: Asking, wanted: Logs, period: LastHour, limit: Limit = 100, cursor: Cursor = None) -> LogPage:
    """List logs, newest first."""
    with listing():
        return log_search.search_logs(reader, replace(wanted, since=period.since, until=period.until), limit, cursor)


@answers(router, "/errors")
def list_errors(
    reader: Asking,
    period: LastDay,
    user: Text = None,
    service: Text = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ErrorPage:
    """List errors, newest first: logs from ERROR on, and failed spans that no such log explains."""
    wanted = ErrorFilter(user=user, service=service, since=period.since, until=period.until)
    with listing():
        return log_search.list_errors(reader, wanted, limit, cursor)


@answers(router, "/errors/groups")
def error_groups(reader: Asking, period: LastDay, service: Text = None, user: Text = None) -> ErrorGroups:
    """Say why there are errors now: errors of one cause together."""
    return groups.error_groups(reader, period, service=service, user=user)
