"""Which configuration a command means, and what it sees as environment."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganglion_collector.embedded import EmbeddedPostgreSQL, postgresql_port
from ganglion_collector.home import Home
from ganglion_collector.terminal import fail

if TYPE_CHECKING:
    from ganglion_collector.config import CollectorConfig

__all__ = ["ConfigOption", "SetOption", "default_config", "load_config"]

ConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="URI",
        help="A file, env:NAME or yaml:TEXT; several merge. Default: otel-collector.yaml here, else the shipped one.",
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the configuration: a.b.c=v.")
]


def default_config() -> str:
    """Return `otel-collector.yaml` of the current folder, else the shipped one."""
    here = Path("otel-collector.yaml")
    packaged = Path(__file__).with_name("otel-collector.yaml")
    # An editable install has it at the root of the source tree.
    source = Path(__file__).parents[2] / "otel-collector.yaml"
    return str(next((path for path in (here, packaged) if path.is_file()), source))


def load_config(config: list[str] | None, sets: list[str] | None) -> "CollectorConfig":
    """Load a configuration as `ganglion up` would: without GANGLION_DATABASE_URL the embedded database is meant.

    Raises:
        InvalidConfigError: with every error.
    """
    try:
        from ganglion_collector.config import load  # noqa: PLC0415 (quick start of other commands)
    except ModuleNotFoundError as error:
        fail(f"the collector needs the Python package {error.name}; pip install 'ganglion[collector]'")
    environ = dict(os.environ)
    if not environ.get("GANGLION_DATABASE_URL"):
        environ["GANGLION_DATABASE_URL"] = EmbeddedPostgreSQL(Home.of(environ).path, postgresql_port(environ)).dsn
    return load(config or [default_config()], sets=sets or (), environ=environ)
