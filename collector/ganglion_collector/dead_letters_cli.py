"""`ganglion dead-letters`: what an exporter can never deliver, to look at and to deliver again."""

import os
from base64 import b64encode
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ganglion_collector.home import Home
from ganglion_collector.loading import ConfigOption, SetOption, load_config
from ganglion_collector.terminal import Exit, fail, print_json, tells_errors

if TYPE_CHECKING:
    from ganglion_collector.config import CollectorConfig
    from ganglion_collector.dead_letters import DeadLetters

__all__ = ["app"]

app = typer.Typer(name="dead-letters", no_args_is_help=True, rich_markup_mode=None)

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")]
_PAGE = 500


@app.callback()
def dead_letters() -> None:
    """What an exporter could not deliver."""


@app.command("list")
@tells_errors
def list_letters(
    config: ConfigOption = None,
    sets: SetOption = None,
    reader: Annotated[
        str | None, typer.Option(help="Only those of this pipeline and exporter: logs/postgresql.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: AsJSON = False,
) -> None:
    """List them in the order they failed, with the reason."""
    with closing(_open(load_config(config, sets))) as letters:
        rows = letters.list(reader=reader, limit=limit)
    if as_json:
        print_json(rows)
    elif not rows:
        fail("there are no dead letters", Exit.NOTHING_FOUND)
    if not rows:
        raise typer.Exit(int(Exit.NOTHING_FOUND))
    if not as_json:
        for row in rows:
            items = f"{row.item_count} {row.signal.items.replace('_', ' ')}"
            typer.echo(f"{row.id}  {_time(row.failed_at)}  {row.reader}  {items}  {_line(row.reason)}")


@app.command()
@tells_errors
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID")],
    config: ConfigOption = None,
    sets: SetOption = None,
    as_json: AsJSON = False,
) -> None:
    """Show one with its content.

    JSON has the content as an OTLP request in base64.
    """
    from ganglion_collector.otlp import parse_request  # noqa: PLC0415 (quick start of other commands)

    with closing(_open(load_config(config, sets))) as letters:
        letter = letters.get(letter_id)
    if letter is None:
        fail(f"there is no dead letter {letter_id!r}; see `ganglion dead-letters list`", Exit.NOTHING_FOUND)
    told = {
        "id": letter.id,
        "reader": letter.reader,
        "reason": letter.reason,
        "signal": str(letter.signal),
        "items": letter.item_count,
        "failed_at": datetime.fromtimestamp(letter.failed_at / 1e9, UTC),
        "received_at": datetime.fromtimestamp(letter.received_at / 1e9, UTC),
        "receiver": letter.receiver,
        "journal": letter.journal,
        "position": f"{letter.sequence}:{letter.item}",
    }
    if as_json:
        print_json({**told, "payload": b64encode(letter.payload).decode()})
        return
    for name, value in told.items():
        typer.echo(f"{name:<12} {_line(str(value))}")
    # Protobuf's text form escapes everything that is not printable ASCII.
    typer.echo(f"\n{parse_request(letter.signal, letter.payload)}")


@app.command(epilog="\b\nganglion dead-letters replay 4f1a2b3c4d5e\nganglion dead-letters replay --all")
@tells_errors
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Deliver them again.

    The exporter of the configuration does it. A delivered one is deleted, another stays.
    """
    import asyncio  # noqa: PLC0415 (quick start of other commands)

    from ganglion_collector.replay import Outcome, replay  # noqa: PLC0415

    if bool(ids) == everything:
        raise typer.BadParameter("give the ids of letters, or --all", param_hint="ID")
    loaded = load_config(config, sets)
    failed: list[str] = []

    def tell(outcome: Outcome) -> None:
        typer.echo(f"{outcome.id}  {_line(outcome.problem) or 'delivered'}")
        failed.extend([outcome.id] if outcome.problem else [])

    with closing(_open(loaded)) as letters:
        wanted = ids or _all_ids(letters)
        if not wanted:
            fail("there are no dead letters", Exit.NOTHING_FOUND)
        asyncio.run(replay(loaded, letters, wanted, tell))
    if failed:
        fail(f"{len(failed)} of {len(wanted)} were not delivered")


def _open(loaded: "CollectorConfig") -> "DeadLetters":
    from ganglion_collector.dead_letters import DeadLetters  # noqa: PLC0415
    from ganglion_collector.pipeline import places  # noqa: PLC0415

    path = places(loaded, Home.of(os.environ).path).dead_letters
    if not path.exists():
        fail(f"there are no dead letters: {path} does not exist", Exit.NOTHING_FOUND)
    return DeadLetters(path)


def _all_ids(letters: "DeadLetters") -> list[str]:
    ids: list[str] = []
    while page := letters.list(limit=_PAGE, after=ids[-1] if ids else None):
        ids += [letter.id for letter in page]
    return ids


def _time(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _line(text: str) -> str:
    """Return `text` on one line and printable: a reason may quote what a sender sent."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
