"""What was logged, and what went wrong: logs and errors, newest first, page by page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ganglion_query import cursors
from ganglion_query.model import ErrorRow, LogFilter, LogRow
from ganglion_query.reader import Reader, logs
from ganglion_query.reader.logs import ErrorFilter, PlacedError, PlacedLog

__all__ = ["ErrorFilter", "ErrorPage", "LogPage", "list_errors", "search_logs"]

_LOG_PLACE = re.compile(r"\(\d{1,9},\d{1,4}\)", re.ASCII)
_ERROR_PLACE = re.compile(r"(log|span) \(\d{1,9},\d{1,4}\)", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of a list; `next` is the cursor of the following one, None at the end."""

    items: Sequence[LogRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """A page of a list; `next` is the cursor of the following one, None at the end."""

    items: Sequence[ErrorRow]
    next: str | None


def search_logs(reader: Reader, wanted: LogFilter, limit: int = 100, cursor: str | None = None) -> LogPage:
    """Return logs, newest first.

    Raises:
        ValueError: the cursor is not one of this list, or a condition cannot be.
    """
    with reader.session() as session:
        found = logs.logs(session, wanted, limit + 1, _place(cursor, _LOG_PLACE))
    shown = found.rows[:limit]
    items = [LogRow(**_fields(LogRow, row)) for row in shown]
    return LogPage(items, _next(shown) if found.is_cut or len(found.rows) > limit else None)


def list_errors(reader: Reader, wanted: ErrorFilter, limit: int = 50, cursor: str | None = None) -> ErrorPage:
    """Return errors, newest first: logs from ERROR on, and failed spans that nothing below explains.

    Raises:
        ValueError: the cursor is not one of this list.
    """
    with reader.session() as session:
        found = logs.errors(session, wanted, limit + 1, _place(cursor, _ERROR_PLACE))
    shown = found[:limit]
    items = [ErrorRow(**_fields(ErrorRow, row)) for row in shown]
    return ErrorPage(items, _next(shown) if len(found) > limit else None)


def _fields(row: type, of: Any) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in fields(row)}


def _next(shown: Sequence[PlacedLog | PlacedError]) -> str:
    last = shown[-1]
    return cursors.encode(last.timestamp.isoformat(), last.place)


def _place(cursor: str | None, form: re.Pattern[str]) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    time, place = cursors.decode(cursor, str, str)
    if not form.fullmatch(place):
        raise ValueError(cursors.FOREIGN)
    return cursors.moment(time), place
