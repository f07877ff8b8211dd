"""Times as people type them: `24h`, `1h30m`, `15:00`, `yesterday`, `2026-11-20 15:00`, `now`."""

import re
from datetime import UTC, datetime, time, timedelta

__all__ = ["parse_time"]

_AGO = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time that `text` means at `now` (aware); what names no zone is in the zone of `now`.

    A span of time (`24h`, `2d`, `1h30m`) means that long ago; a time of day the last one that has passed.

    Raises:
        ValueError: it is none of these; the message lists them.
    """
    word = text.strip().lower()
    if word == "now":
        return now
    if word in {"today", "yesterday"}:
        return _midnight(now) - timedelta(days=word == "yesterday")
    if _AGO.fullmatch(word):
        return _ago(word, now)
    if match := _CLOCK.fullmatch(word):
        return _time_of_day(match, text, now)
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise _unknown(text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def _ago(word: str, now: datetime) -> datetime:
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(word))
    try:
        return max(now - timedelta(seconds=seconds), _EARLIEST)
    except OverflowError:
        return _EARLIEST


def _time_of_day(match: re.Match[str], text: str, now: datetime) -> datetime:
    hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        moment = _midnight(now).replace(hour=hour, minute=minute, second=second)
    except ValueError:
        raise _unknown(text) from None
    return moment if moment <= now else moment - timedelta(days=1)


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.date(), time(), now.tzinfo)


def _unknown(text: str) -> ValueError:
    forms = "24h, 30m, 2d, 15:00, today, yesterday, now, 2026-11-20 or 2026-11-20T15:00:00Z"
    return ValueError(f"{text!r} is not a time; write one such as {forms}")
