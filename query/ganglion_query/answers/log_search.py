"""What was logged, and what went wrong: logs and errors, newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganglion_query.model import ErrorRow, LogRow

__all__ = ["ErrorPage", "LogPage"]


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
