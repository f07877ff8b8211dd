"""The commands that operate the collector; `ganglion_query` mounts them beside those that ask."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ganglion_collector.dead_letters_cli import app as dead_letters
from ganglion_collector.home import Home, keep_private
from ganglion_collector.loading import ConfigOption, SetOption, default_config, load_config
from ganglion_collector.terminal import Exit, console, print_json, tells_errors

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog="\b\nganglion run --config F\nganglion run --config F --set exporters.debug.verbosity=normal")
@tells_errors
def run(
    config: ConfigOption = None,
    sets: SetOption = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start PostgreSQL too, unless GANGLION_DATABASE_URL is set.")
    ] = False,
    monitoring: Annotated[bool, typer.Option("--monitoring", hidden=True)] = False,
    readiness_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the collector in the foreground.

    For containers. SIGTERM ends it, SIGHUP reads the configuration again.
    """
    import asyncio  # noqa: PLC0415 (quick start of other commands)

    from ganglion_collector import supervisor  # noqa: PLC0415
    from ganglion_collector.embedded import postgresql_port  # noqa: PLC0415

    keep_private()
    settings = supervisor.SupervisorSettings(
        uris=tuple(config or [default_config()]),
        sets=tuple(sets or ()),
        environ=dict(os.environ),
        home=Home.of(os.environ).path,
        embedded=embedded and not os.environ.get("GANGLION_DATABASE_URL"),
        monitoring=monitoring,
        postgresql_port=postgresql_port(os.environ),
        readiness_fd=readiness_fd,
    )
    raise typer.Exit(asyncio.run(supervisor.run(settings)))


@app.command(epilog="\b\nganglion validate --config otel-collector.yaml")
@tells_errors
def validate(config: ConfigOption = None, sets: SetOption = None) -> None:
    """Check a configuration, start nothing.

    Every error is told, on one line each; exit code 1 if there is any.
    """
    if not os.environ.get("GANGLION_DATABASE_URL"):
        typer.echo(
            "note: GANGLION_DATABASE_URL is not set; `ganglion up` brings its own, `ganglion run` needs it", err=True
        )
    from ganglion_collector.pipeline import disabled_exporters  # noqa: PLC0415 (quick start of other commands)

    loaded = load_config(config, sets)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    ways = ", ".join(
        f"{id_} ({', '.join(one.receivers)} to {', '.join(one.exporters)})" for id_, one in loaded.pipelines.items()
    )
    for exporter, reason in disabled_exporters(loaded).items():
        typer.echo(f"disabled: {exporter}: {reason}")
    typer.echo(f"valid: {ways}")


@app.command()
@tells_errors
def components(as_json: AsJSON = False) -> None:
    """List what a configuration can name.

    These are the components, also those that other packages bring.
    """
    from ganglion_collector.config import list_components  # noqa: PLC0415

    rows = list_components()
    if as_json:
        print_json(rows)
        return
    width = max(len(row.type) for row in rows)
    for row in rows:
        told = row.problem or ", ".join(row.signals)
        also = f"  (also {', '.join(row.aliases)})" if row.aliases else ""
        origin = "" if row.origin == "ganglion" else f"  from {row.origin}"
        typer.echo(f"{row.kind:<10} {row.type:<{width}}  {told}{also}{origin}".rstrip())


@app.command(epilog='\b\npsql "$(ganglion dsn)"')
@tells_errors
def dsn() -> None:
    """Print where the database is.

    It is a connection string, with the password if there is one.
    """
    from ganglion_collector.embedded import database_url  # noqa: PLC0415

    typer.echo(database_url(os.environ))


@app.command()
@tells_errors
def status(as_json: AsJSON = False) -> None:
    """Show processes and addresses.

    Exit code 0 if all is healthy, else 1.
    """
    from ganglion_collector.background import read_status  # noqa: PLC0415

    found = read_status(Home.of(os.environ))
    if as_json:
        print_json(found)
    else:
        _print_status(found)
    raise typer.Exit(int(Exit.OK if found["healthy"] else Exit.FAILED))


@app.command()
@tells_errors
def down() -> None:
    """Stop what `ganglion up` started; data stays."""
    from ganglion_collector.background import stop  # noqa: PLC0415

    home = Home.of(os.environ)
    with console(error=True).status("Stopping: what was acknowledged is safe, what is in hand is finished"):
        ended = stop(home)
    typer.echo(f"Stopped; the data stays in {home.path}." if ended else f"Nothing runs in {home.path}.")


def _print_status(found: Mapping[str, Any]) -> None:
    typer.echo("healthy" if found["healthy"] else f"not healthy: {found['reason']}")
    for process in found["processes"]:
        reason = f"  {process['reason']}" if process.get("reason") else ""
        typer.echo(f"  {process['name']:<28} {process['state']:<12} {process['pid'] or '-':>8}{reason}")
    for name, reason in found.get("disabled", {}).items():
        typer.echo(f"  {name:<28} disabled: {reason}")
    for name, address in found["addresses"].items():
        typer.echo(f"  {name:<28} {address}")


app.add_typer(dead_letters)
