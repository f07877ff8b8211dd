"""From when until when a question is about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganglion_query.reader import Reader

__all__ = ["Period", "period_of_trace"]


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to and without `until`; both aware, `since` before `until`."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def period_of_trace(reader: "Reader", trace_id: str) -> Period | None:
    """Return the time in which spans and logs of a trace began, None if there is none.

    Raises:
        ValueError: `trace_id` is not one.
        ReaderError: the database cannot be asked.
    """
    times = reader.trace_times(trace_id)
    return None if times is None else Period(times[0], times[1] + timedelta(seconds=1))
