"""Times as people type them: `24h`, `2 hours ago`, `15:00`, `3pm`, `yesterday 15:00`, `monday`, `2026-11-20 15:00`."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

__all__ = ["LOCAL", "parse_length", "parse_time"]

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
}
_SHORT_UNITS = {"ms": 0.001, "us": 1e-6, "µs": 1e-6}
_PART = re.compile(r"(\d+(?:\.\d+)?) ?([a-zµ]+) ?", re.ASCII)
_PARTS = re.compile(r"(?:\d+(?:\.\d+)? ?[a-zµ]+ ?)+", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))? ?(am|pm)?", re.ASCII)
_HOUR = re.compile(r"(\d{1,2})() ?()(am|pm)", re.ASCII)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK_WORDS = {"noon": time(12), "midnight": time()}
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class _Local(tzinfo):
    """The zone of this machine, with its summer times: what `datetime.astimezone()` gives has only today's offset."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else timedelta()

    def tzname(self, dt: datetime | None) -> str | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()


LOCAL: tzinfo = _Local()
"""The zone of this machine."""


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time that `text` means at `now` (aware); what names no zone is in the zone of `now`.

    A span of time (`24h`, `2d`, `1h30m ago`) means that long ago; a time of day and a day of the week the last one that
    has passed.

    Raises:
        ValueError: it is none of these; the message lists them.
    """
    word = " ".join(text.lower().split())
    if word == "now":
        return now
    seconds = _seconds(word.removesuffix(" ago"), _UNITS)
    if seconds is not None:
        return _ago(seconds, now)
    found = _spoken(word, now)
    if found is not None:
        return found
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise _unknown(text) from None
    return _within_reach(moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo), text)


def _within_reach(moment: datetime, text: str) -> datetime:
    try:
        if _EARLIEST <= moment < _LATEST:
            return moment
    except (OverflowError, OSError, ValueError):  # of a zone whose offset at that time is not known
        pass
    raise ValueError(f"{text!r} is no time from 1970 to 2199")


def parse_length(text: str) -> timedelta:
    """Return the length of time that `text` means: `5s`, `200ms`, `1m30s`, `30 minutes`.

    Raises:
        ValueError: it is none, or none that is longer than nothing.
    """
    seconds = _seconds(" ".join(text.lower().split()), {**_UNITS, **_SHORT_UNITS})
    try:
        length = timedelta(seconds=seconds or 0)
    except OverflowError:
        length = timedelta()
    if length <= timedelta():
        raise ValueError(f"{text!r} is not a length of time; write one such as 200ms, 5s, 1m30s or 2h")
    return length


def _seconds(word: str, units: dict[str, float]) -> float | None:
    if not _PARTS.fullmatch(word):
        return None
    parts = _PART.findall(word)
    if any(unit not in units for _, unit in parts):
        return None
    return sum(float(number) * units[unit] for number, unit in parts)


def _ago(seconds: float, now: datetime) -> datetime:
    try:
        return max(now.astimezone(UTC) - timedelta(seconds=seconds), _EARLIEST)
    except OverflowError:
        return _EARLIEST


def _spoken(word: str, now: datetime) -> datetime | None:
    """Return what a day, a time of day or a day with one means, None if it is something else."""
    first, _, rest = word.partition(" ")
    days = _days_ago(first, now)
    if days is None:
        clock = _clock(word)
        if clock is None:
            return None
        moment = _at(now, 0, clock)
        return moment if moment <= now else _at(now, 1, clock)
    clock = _clock(rest.removeprefix("at ")) if rest else time()
    if clock is None:
        return None
    moment = _at(now, days, clock)
    return moment if moment <= now or first in {"today", "yesterday"} else _at(now, days + 7, clock)


def _days_ago(word: str, now: datetime) -> int | None:
    if word in {"today", "yesterday"}:
        return int(word == "yesterday")
    known = [index for index, name in enumerate(_WEEKDAYS) if word in {name, name[:3]}]
    return (now.weekday() - known[0]) % 7 if known else None


def _clock(word: str) -> time | None:
    if word in _CLOCK_WORDS:
        return _CLOCK_WORDS[word]
    match = _CLOCK.fullmatch(word) or _HOUR.fullmatch(word)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    half = match[4]
    if half and not 1 <= hour <= 12:
        return None
    try:
        return time(hour % 12 + 12 * (half == "pm") if half else hour, minute, second)
    except ValueError:
        return None


def _at(now: datetime, days_ago: int, clock: time) -> datetime:
    return datetime.combine(now.date() - timedelta(days=days_ago), clock, now.tzinfo)


def _unknown(text: str) -> ValueError:
    forms = "24h, 30m, 2d, 15:00, 3pm, today, 'yesterday 15:00', monday, now, 2026-11-20 or 2026-11-20T15:00:00Z"
    return ValueError(f"{text!r} is not a time; write one such as {forms}")
