"""The command that starts everything; it lives on this side because it ends with a trace that it reads back."""

from typing import Annotated

import typer
from ganglion_collector.loading import ConfigOption, SetOption
from ganglion_collector.terminal import fail, tells_errors

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog="\b\nganglion up\nGANGLION_DATABASE_URL=postgresql://… ganglion up --config my.yaml")
@tells_errors
def up(
    config: ConfigOption = None,
    sets: SetOption = None,
    no_monitoring: Annotated[
        bool, typer.Option("--no-monitoring", help="Start neither Prometheus nor Alertmanager.")
    ] = False,
) -> None:
    """Start everything, in the background.

    PostgreSQL too, unless GANGLION_DATABASE_URL names one; Prometheus and Alertmanager where they are installed. Ends
    when a self-test has come through, or says why not.
    """
    try:
        from ganglion_query.up import bring_up  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"the collector needs the Python package {error.name}; pip install 'ganglion[all]'")
    bring_up(config or [], sets or [], monitoring=not no_monitoring)
