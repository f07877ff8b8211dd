"""Whose clock a row follows, and how a time is written.

PostgreSQL keeps microseconds; nanoseconds are cut off, not rounded, so that no row leaves its second or its day.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["NANOSECONDS_PER_DAY", "Clock", "iso_time", "timestamp"]

NANOSECONDS_PER_DAY = 86_400 * 1_000_000_000
_USUAL_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Clock:
    """What is a sane time in one request, all in Unix nanoseconds.

    Times from `oldest` to `newest` are taken as they are; `received` stands in for others. The bounds follow the time
    of receipt, not the present, so that a late export or a replay makes the same rows.
    """

    received: int
    oldest: int
    newest: int

    @classmethod
    def around(cls, received: int, max_age: float, max_future: float) -> "Clock":
        """Accept times from `max_age` seconds before to `max_future` seconds after `received`."""
        return cls(received, received - round(max_age * 1e9), received + round(max_future * 1e9))

    def sane(self, time: int) -> bool:
        return self.oldest <= time <= self.newest


@lru_cache(maxsize=4096)
def _second(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def timestamp(time: int) -> str:
    """Return Unix nanoseconds as a timestamptz literal in UTC."""
    digits = str(time // 1000)
    if len(digits) < _USUAL_DIGITS:
        digits = f"{time // 1000:07d}"
    return f"{_second(digits[:-6])}.{digits[-6:]}+00"


def iso_time(time: int) -> str:
    """Return Unix nanoseconds in ISO 8601 with all nine digits, for times inside jsonb."""
    return f"{_second(str(time // 1_000_000_000)).replace(' ', 'T')}.{time % 1_000_000_000:09d}Z"
