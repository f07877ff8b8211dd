"""Steps of time for what is shown over a period: of a usual length, beginning at round times."""

import math
from datetime import UTC, datetime, timedelta

from ganglion_query.answers.period import Period

__all__ = ["begin_of", "begins", "step_of"]

_STEPS = (1, 5, 10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600)
_MOST_STEPS = 90
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(period: Period, most: int = _MOST_STEPS) -> timedelta:
    """Return the shortest usual step of which the period has at most `most`."""
    wanted = period.length.total_seconds() / most
    return timedelta(seconds=next((step for step in _STEPS if step >= wanted), _STEPS[-1]))


def begin_of(time: datetime, step: timedelta) -> datetime:
    """Return when the step began that `time` lies in."""
    return time - (time - _EPOCH) % step


def begins(period: Period, step: timedelta) -> list[datetime]:
    """Return when the steps of a period begin, without gaps; the first may lie in it in part, as may the last."""
    first = begin_of(period.since, step)
    return [first + number * step for number in range(math.ceil((period.until - first) / step))]
