"""How much was logged over time, and how much of it is bad news."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ganglion_query.answers.period import Period
from ganglion_query.answers.steps import begins, step_of
from ganglion_query.model import LogFilter
from ganglion_query.reader import Reader
from ganglion_query.reader.logs import VolumeRow, volume

__all__ = ["LogVolume", "VolumePoint", "log_volume"]


@dataclass(frozen=True, slots=True)
class VolumePoint:
    """Logs of one step of time: all, those from WARNING on, those from ERROR on."""

    time: datetime
    logs: int
    warnings: int
    errors: int


@dataclass(frozen=True, slots=True)
class LogVolume:
    """`points` are one for each `step_seconds` of the period, without gaps; the rest counts all of it."""

    period: Period
    step_seconds: int
    logs: int
    warnings: int
    errors: int
    points: Sequence[VolumePoint]


def log_volume(reader: Reader, wanted: LogFilter, period: Period) -> LogVolume:
    """Return how many logs of a period meet a filter, whose times count for nothing.

    Raises:
        ValueError: a condition cannot be.
    """
    step = step_of(period)
    with reader.session() as session:
        rows = volume(session, replace(wanted, since=period.since, until=period.until), step)
    found = {row.time: row for row in rows}
    points = [_point(time, found.get(time)) for time in begins(period, step)]
    return LogVolume(
        period=period,
        step_seconds=round(step.total_seconds()),
        logs=sum(point.logs for point in points),
        warnings=sum(point.warnings for point in points),
        errors=sum(point.errors for point in points),
        points=points,
    )


def _point(time: datetime, row: VolumeRow | None) -> VolumePoint:
    return VolumePoint(time, 0, 0, 0) if row is None else VolumePoint(time, row.logs, row.warnings, row.errors)
