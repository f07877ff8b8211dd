"""The query process over a database, and a database server that has nothing in its caches."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import free_port, listens, started, wait_until

__all__ = ["forget", "served"]


@contextmanager
def served(dsn: str, folder: Path) -> Iterator[str]:
    """Serve the API over the database at `dsn` for the block, as the collector does; give its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "ganglion_query.api", "--endpoint", address]
    with started(command, folder / "query.log", {**os.environ, "GANGLION_DATABASE_URL": dsn}):
        wait_until(lambda: listens(address), "the API")
        yield f"http://{address}"


def forget(data: Path) -> None:
    """Have the system forget the files of a server that is stopped, so that it reads them from the disk (Linux)."""
    for path in data.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
