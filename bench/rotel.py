"""Rotel, the Rust collector from its wheel, with its blackhole exporter: the reference of ingest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import files, version
from pathlib import Path

from bench.processes import free_port, listens, started, wait_until

__all__ = ["Rotel", "running_rotel"]


@dataclass(frozen=True, slots=True)
class Rotel:
    """A running Rotel."""

    pid: int
    grpc: str
    http: str
    version: str


def _binary() -> Path:
    for file in files("rotel") or ():
        if file.name == "rotel-agent":
            return Path(str(file.locate()))
    raise RuntimeError("the package rotel has no rotel-agent for this platform")


@contextmanager
def running_rotel(directory: Path) -> Iterator[Rotel]:
    """Start Rotel on free ports; it receives, batches and throws away."""
    grpc, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    log = directory / "rotel.log"
    command = [
        str(_binary()),
        "start",
        "--exporter=blackhole",
        f"--otlp-grpc-endpoint={grpc}",
        f"--otlp-http-endpoint={http}",
        f"--pid-file={directory / 'rotel.pid'}",
        "--otlp-grpc-max-recv-msg-size-mib=64",
    ]
    with started(command, log) as process:
        wait_until(lambda: listens(grpc) and listens(http), "Rotel to listen", 20)
        yield Rotel(process.pid, grpc, http, version("rotel"))
