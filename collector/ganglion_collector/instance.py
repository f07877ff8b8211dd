"""One supervisor for each home folder, and none of the children of one that was killed."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from ganglion_collector.errors import StartError

__all__ = ["InstanceLock", "wait_for_orphans"]

_CHILDREN = frozenset({"ganglion_collector.child", "ganglion_query.api"})
_PATIENCE = 1.0
_PAUSE = 0.05


class InstanceLock:
    """Held while the supervisor lives, however it ends.

    Entering raises StartError if another one holds it. Who only looks whether it is held does so for an instant.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _PATIENCE
        while not self._try():
            if time.monotonic() > deadline:
                os.close(self._descriptor)
                raise StartError(
                    f"another collector runs with {self._path.parent.parent}; stop it with ganglion down, "
                    "or set GANGLION_HOME to another folder"
                )
            # flock has no timeout of its own.
            time.sleep(_PAUSE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def wait_for_orphans(status: Path, timeout: float = 10.0) -> None:
    """Wait until the children that a killed supervisor left in its `status` file are gone; blocking.

    They end with it, but not in the same instant, and may still hold the journal.

    Raises:
        StartError: one is still there after `timeout` seconds.
    """
    orphans = [process for process in _children_in(status) if _is_child(process)]
    _, alive = psutil.wait_procs(orphans, timeout)
    if alive:
        numbers = ", ".join(str(process.pid) for process in alive)
        raise StartError(f"processes of a collector that was killed do not end: {numbers}; end them and try again")


def _children_in(status: Path) -> Iterator[psutil.Process]:
    try:
        pids = [process["pid"] for process in json.loads(status.read_bytes())["processes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for pid in pids:
        with suppress(psutil.Error, ValueError, TypeError):
            yield psutil.Process(pid)


def _is_child(process: psutil.Process) -> bool:
    try:
        return not _CHILDREN.isdisjoint(process.cmdline())
    except psutil.Error:
        return False
