"""The command that says whether all is well: the collector, the database, what arrives, each service."""

import os
from typing import TYPE_CHECKING

import typer
from ganglion_collector.errors import StartError
from ganglion_collector.home import Home
from ganglion_collector.terminal import Exit, print_json, tells_errors

from ganglion_query.commands import asking
from ganglion_query.commands.options import AsJSON

if TYPE_CHECKING:
    from ganglion_query.answers.health import Health

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog="\b\nganglion health\nganglion health --json | jq -r .verdict")
@tells_errors
def health(as_json: AsJSON = False) -> None:
    """Say whether all is well.

    The collector, the database, what arrives, and each service against its day before. Exit code 1 if something is
    failing; also where no collector or no database is there to ask.
    """
    with asking.waiting("Looking at everything"):
        answer = _answer()
    if as_json:
        print_json(answer)
    else:
        from ganglion_query.render.health import print_health  # noqa: PLC0415 (quick start of other commands)

        print_health(asking.screen(), answer)
    raise typer.Exit(int(Exit.FAILED if answer.state == "failing" else Exit.OK))


def _answer() -> "Health":
    from ganglion_collector.background import read_status  # noqa: PLC0415

    status = read_status(Home.of(os.environ))
    from ganglion_query.answers.health import health as asked  # noqa: PLC0415

    try:
        return asked(asking.reader(), status)
    except StartError as error:
        from ganglion_query.commands.absent import AbsentDatabase  # noqa: PLC0415

        return asked(AbsentDatabase("", reason=str(error)), status)
