"""Logs as they are stored, until somebody ends it."""

import select
import sys
import time
from collections.abc import Iterator, Sequence

import typer
from ganglion_collector.terminal import print_json

from ganglion_query.answers.tail import INTERVAL, Tail
from ganglion_query.commands import asking
from ganglion_query.model import LogFilter, LogRow
from ganglion_query.reader import Reader, ReaderError

__all__ = ["follow"]


def follow(reader: Reader, wanted: LogFilter, *, as_json: bool) -> None:
    """Print each log once, also after the database was away for a while, until nobody reads what is printed.

    Raises:
        ReaderError: the database cannot be asked.
    """
    tail = Tail(reader, wanted)
    with asking.blaming("--where"):
        tail.poll()
    if sys.stderr.isatty():
        typer.echo("Following logs; Ctrl-C ends it.", err=True)
    for logs in _told(tail):
        _print(logs, as_json=as_json)


def _told(tail: Tail) -> Iterator[Sequence[LogRow]]:
    away = False
    while _is_read():
        # The database does not tell who only reads that a row has come.
        time.sleep(INTERVAL)
        try:
            told = tail.poll()
        except ReaderError as error:
            if not error.busy:
                raise
            if not away:
                typer.echo(f"ganglion: {error}; trying again until it answers", err=True)
            away = True
            continue
        if away:
            typer.echo("ganglion: the database answers again", err=True)
        away = False
        if told.skipped:
            typer.echo("ganglion: more logs came than can be followed; some are not shown", err=True)
        yield told.logs


def _is_read() -> bool:
    """Say whether the other end of a pipe is open: with no log to print, nothing else would tell."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return not poll.poll(0)


def _print(logs: Sequence[LogRow], *, as_json: bool) -> None:
    if as_json:
        for log in logs:
            print_json(log, indent=None)
        return
    from ganglion_query.render.logs import list_lines  # noqa: PLC0415 (rich is not needed for JSON)

    screen = asking.screen()
    for log in logs:
        for line in list_lines(log):
            screen.print(line, soft_wrap=True)
