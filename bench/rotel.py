"""Rotel, the Rust collector from its wheel, with its blackhole exporter: the reference of ingest."""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

from bench.processes import free_port, listens, started, wait_until
from bench.report import CannotMeasureError

__all__ = ["Rotel", "running_rotel"]


@dataclass(frozen=True, slots=True)
class Rotel:
    """A running Rotel."""

    pid: int
    grpc: str
    http: str
    version: str


def _binary() -> Path:
    try:
        installed = files("rotel") or ()
    except PackageNotFoundError:
        raise CannotMeasureError("Rotel cannot be measured here: the package rotel is not installed") from None
    for file in installed:
        if file.name == "rotel-agent":
            return Path(str(file.locate()))
    raise CannotMeasureError("Rotel cannot be measured here: its package has no rotel-agent for this platform")


def _environment() -> dict[str, str]:
    """Return ours, with the folder of libpython, which the binary is linked to, where the loader looks."""
    folders = (sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH"))
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folder for folder in folders if folder)}


def _last_line(log: Path) -> str:
    return next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "no output")


@contextmanager
def running_rotel(directory: Path, binary: Path | None = None) -> Iterator[Rotel]:
    """Start Rotel, or another `binary` of it, on free ports; it receives, batches and throws away.

    Raises:
        CannotMeasureError: it is not installed, or ends before it listens.
    """
    grpc, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    log = directory / "rotel.log"
    command = [
        str(binary or _binary()),
        "start",
        "--exporter=blackhole",
        f"--otlp-grpc-endpoint={grpc}",
        f"--otlp-http-endpoint={http}",
        f"--pid-file={directory / 'rotel.pid'}",
        "--otlp-grpc-max-recv-msg-size-mib=64",
    ]
    with started(command, log, _environment()) as process:
        wait_until(lambda: process.poll() is not None or (listens(grpc) and listens(http)), "Rotel to listen", 20)
        if process.returncode is not None:
            reason = f"it ended with {process.returncode}: {_last_line(log)}"
            raise CannotMeasureError(f"Rotel cannot be measured here: {reason}")
        yield Rotel(process.pid, grpc, http, version("rotel"))
