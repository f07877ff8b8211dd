"""What every command that asks does alike: the database, times, conditions, a sign of life, an answer that is empty."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from ganglion_collector.terminal import Exit, console, fail, print_json

from ganglion_query.answers.period import Period, period_of_trace
from ganglion_query.cursors import FOREIGN
from ganglion_query.model import LEVELS, Condition, parse_trace_id
from ganglion_query.times import LOCAL, parse_length, parse_time

if TYPE_CHECKING:
    from rich.console import Console

    from ganglion_query.reader import Reader

__all__ = [
    "blaming",
    "conditions",
    "length",
    "level",
    "listing",
    "moment",
    "nothing",
    "period",
    "period_of",
    "reader",
    "screen",
    "trace_id",
    "waiting",
]

_LONGEST_SILENCE = 0.4
_PIPE_WIDTH = 10_000


def reader() -> "Reader":
    """Return what asks the database of this environment."""
    from ganglion_collector.embedded import database_url  # noqa: PLC0415 (quick start of other commands)

    try:
        from ganglion_query.langsmith import LangSmith  # noqa: PLC0415
        from ganglion_query.reader import Reader  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"reading needs the Python package {error.name}; pip install 'ganglion[query]'")
    return Reader(database_url(os.environ), langsmith=LangSmith.of(os.environ))


def screen() -> "Console":
    """Return the terminal, or a pipe, in which no line is cut."""
    made: Console = console()
    if not made.is_terminal and not os.environ.get("COLUMNS"):
        made.width = _PIPE_WIDTH
    return made


@contextmanager
def waiting(what: str) -> Generator[None]:
    """Say on a terminal what takes so long, if it takes longer than a moment."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Timer  # noqa: PLC0415

    shown = console(error=True).status(what)
    timer = Timer(_LONGEST_SILENCE, shown.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        shown.stop()


@contextmanager
def blaming(option: str) -> Generator[None]:
    """Turn a ValueError of the block into wrong usage of `option`."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def listing() -> Generator[None]:
    """Turn a ValueError of a list into wrong usage of what it can come of: its cursor, or its conditions."""
    try:
        yield
    except ValueError as error:
        option = "--cursor" if str(error) == FOREIGN else "--where"
        raise typer.BadParameter(str(error), param_hint=option) from None


def _now() -> datetime:
    return datetime.now(UTC).astimezone().replace(tzinfo=LOCAL)


def moment(text: str, option: str) -> datetime:
    """Return the time an option names, in UTC."""
    return _moment(text, _now(), option)


def _moment(text: str, now: datetime, option: str) -> datetime:
    with blaming(option):
        return parse_time(text, now).astimezone(UTC)


def period(since: str, until: str) -> Period:
    """Return the time from one option to the other."""
    now = _now()
    begin, end = _moment(since, now, "--since"), _moment(until, now, "--until")
    if end <= begin:
        told = f"ends at {end.astimezone():%Y-%m-%d %H:%M}, before --since begins"
        raise typer.BadParameter(told, param_hint="--until")
    return Period(begin, end)


def period_of(trace: str | None, since: str | None, until: str) -> Period:
    """Return the time that was asked for; of a trace all of its own, if nothing was."""
    asked = period(since or "24h", until)
    if trace is None or since is not None or until != "now":
        return asked
    return period_of_trace(reader(), trace) or asked


def length(text: str, option: str) -> timedelta:
    with blaming(option):
        return parse_length(text)


def level(text: str | None) -> str | None:
    if text is None:
        return None
    found = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.upper(), text.upper())
    if found not in LEVELS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(LEVELS)}", param_hint="--level")
    return found


def trace_id(text: str | None, option: str = "--trace") -> str | None:
    with blaming(option):
        return None if text is None else parse_trace_id(text)


def conditions(texts: Sequence[str] | None) -> tuple[Condition, ...]:
    from ganglion_query.conditions import parse_condition  # noqa: PLC0415

    with blaming("--where"):
        return tuple(parse_condition(text) for text in texts or ())


def nothing(what: str, answer: Any, about: Period | None, hint: str = "", *, as_json: bool) -> None:
    """End the command with the exit code that says so, and in words what was looked for, or in JSON what there is."""
    if as_json:
        print_json(answer)
        raise typer.Exit(int(Exit.NOTHING_FOUND))
    told = f"no such {what}"
    if about is not None:
        told += f" from {about.since.astimezone():%Y-%m-%d %H:%M:%S} to {about.until.astimezone():%Y-%m-%d %H:%M:%S}"
    fail(f"{told}{'; ' if hint else ''}{hint}", Exit.NOTHING_FOUND)
