"""The generated part of docs/cli.md: what each command says of itself with `--help`."""

import typer.main
from ganglion_query.commands import app
from typer.testing import CliRunner

__all__ = ["commands"]


def commands() -> str:
    """Return a section for the command line and one for each command, in the order of `ganglion --help`."""
    return "\n\n".join(_section(path) for path in [(), *_paths(typer.main.get_command(app), ())])


def _paths(group: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in getattr(group, "commands", {}).items():
        found += [(*path, name), *_paths(command, (*path, name))]
    return found


def _section(path: tuple[str, ...]) -> str:
    # The names of options for completion depend on the shell that is there.
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="ganglion", env={"COLUMNS": "80"})
    title = " ".join(("ganglion", *path))
    return f"## {title}\n\n```text\n{result.stdout.strip()}\n```"
