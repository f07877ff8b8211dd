"""The command line: the commands that ask, and beside them those that operate the collector."""

from typing import Annotated, Any

import typer
from ganglion import __version__
from ganglion_collector.cli import app as operations
from typer.core import TyperGroup

from ganglion_query.commands import causes, health, logs, operating, requests

__all__ = ["app"]


class _Commands(TyperGroup):
    """Tells wrong usage in one way, whoever found it: the command, typer, or pydantic below it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ").removesuffix(".")
            if isinstance(error.param_hint, str):
                error.param_hint = [error.param_hint]
            raise


app = typer.Typer(
    cls=_Commands,
    name="ganglion",
    help="OpenTelemetry in, PostgreSQL out, every request readable by its trace id.",
    epilog="\b\nStart everything:          ganglion up\n"
    "Read a request:            ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "Why was it slow, or fail:  ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "What went wrong:           ganglion errors --why --since 2h\nIs all well:               ganglion health\n"
    "Stop everything:           ganglion down",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"ganglion {__version__}")
        raise typer.Exit


@app.callback()
def ganglion(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for _part in (requests, logs, causes, health, operating):
    app.add_typer(_part.app)
app.add_typer(operations)
