"""What every command does alike: exit codes, errors on one line, JSON."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import IntEnum
from functools import wraps
from typing import Any, NoReturn, ParamSpec

import typer

from ganglion_collector.errors import CollectorError

__all__ = ["Exit", "console", "fail", "print_json", "tells_errors"]

P = ParamSpec("P")


class Exit(IntEnum):
    """Exit codes, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOTHING_FOUND = 3


def fail(message: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Print each line of `message` on standard error and end the command."""
    for line in message.splitlines():
        typer.echo(f"ganglion: {line}", err=True)
    raise typer.Exit(int(code))


def tells_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command tell its errors in words; a traceback could show secrets, and helps nobody who runs it."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CollectorError as error:
            fail(str(error))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of a pipe, such as head, had enough.
            sys.stdout = None
            raise typer.Exit(int(Exit.OK)) from None

    return told


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Print `data` (dataclasses, times and what JSON has) as JSON and nothing else; without `indent` on one line."""
    typer.echo(json.dumps(_plain(data), indent=indent, allow_nan=False))


def _plain(data: Any) -> Any:
    match data:
        case float() if not math.isfinite(data):
            return str(data)
        case datetime():
            return data.isoformat()
        case Mapping():
            return {str(key): _plain(item) for key, item in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case str() | int() | float() | None:
            return data
        case Sequence():
            return [_plain(item) for item in data]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return _plain(asdict(data)) if is_dataclass(data) and not isinstance(data, type) else str(data)


def console(*, error: bool = False) -> Any:
    """Return a rich console that takes no text for markup; imported late, for quick commands."""
    from rich.console import Console  # noqa: PLC0415

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            # As of any other print; rich would end the program as one that failed.
            raise BrokenPipeError

    return Screen(markup=False, highlight=False, emoji=False, stderr=error)
