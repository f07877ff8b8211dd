"""Measure every figure we claim: `python -m bench [names] [--quick] [--json FILE]`."""

import argparse
import ast
import runpy
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from bench.report import CannotMeasureError, Figure, Scale, show, write_json

__all__ = ["main"]

MEASURES = (
    "steps",
    "ingest",
    "rows",
    "latency",
    "size",
    "volume",
    "queries",
    "memory",
    "prometheus",
    "span_metrics",
    "langsmith",
    "faults",
    "instrumentation",
)
"""Modules of this package with `run(scale) -> Iterable[Figure]`, in the order of a whole run."""
STUDIES = ("journal_engines", "postgresql_indexes", "read_indexes")
"""Comparisons behind a decision in docs/decisions; they print their own tables, and run only by name."""


def _about(name: str) -> str:
    spec = find_spec(f"bench.{name}")
    if spec is None or spec.origin is None:
        return "(not there)"
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    return text.partition("\n")[0]


def _list(console: Console) -> None:
    for name in (*MEASURES, *STUDIES):
        console.print(f"{name:20} {_about(name)}", highlight=False, markup=False, soft_wrap=True)


def _study(name: str, arguments: list[str]) -> None:
    sys.argv = [f"bench.{name}", *arguments]
    runpy.run_module(f"bench.{name}", run_name="__main__")


def _measure(name: str, scale: Scale, console: Console) -> Iterator[tuple[str, Figure]]:
    console.print(f"{name}: {_about(name)}", style="bold", highlight=False, markup=False)
    begin = time.monotonic()
    for figure in import_module(f"bench.{name}").run(scale):
        console.print(f"  {figure.what}: {figure.judged:,.4g}", highlight=False, markup=False)
        yield name, figure
    console.print(f"  took {time.monotonic() - begin:.0f} s", style="dim", highlight=False)


def _run(names: list[str], scale: Scale, console: Console) -> tuple[list[tuple[str, Figure]], dict[str, str]]:
    figures: list[tuple[str, Figure]] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            figures.extend(_measure(name, scale, console))
        except CannotMeasureError as error:
            failed[name] = str(error)
        except Exception as error:  # noqa: BLE001 - one measure that fails must not cost the others' figures
            failed[name] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
    return figures, failed


def _name(text: str) -> str:
    if text not in (*MEASURES, *STUDIES):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join((*MEASURES, *STUDIES))}")
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", type=_name, metavar="name", help="what to measure; default: all measures")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, shorter runs, rougher figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument(
        "--directory", type=Path, help="folder on the disk to measure with (default: the temporary one)"
    )
    parser.add_argument("--list", action="store_true", help="say what there is to measure, and stop")
    return parser.parse_args()


def main() -> int:
    """Run what the command line names; return 0, or 1 if a measure failed."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    if arguments.list:
        _list(console)
        return 0
    for name in set(arguments.names) & set(STUDIES):
        _study(name, [])
    names = [name for name in arguments.names if name in MEASURES] if arguments.names else list(MEASURES)
    if not names:
        return 0
    target = arguments.json or Path(__file__).parent / "results" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    with tempfile.TemporaryDirectory(prefix="ganglion-bench-", dir=arguments.directory) as directory:
        figures, failed = _run(names, Scale(arguments.quick, Path(directory).resolve(), target), console)
    show(figures, console)
    write_json(figures, failed, target)
    console.print(f"written to {target}", highlight=False)
    for name, reason in failed.items():
        console.print(f"{name} failed: {reason}", style="red", highlight=False, markup=False, soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
