"""One supervisor for each home folder."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ganglion_collector.errors import StartError

__all__ = ["InstanceLock"]

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
