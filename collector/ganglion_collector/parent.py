"""What a child process has of its supervisor: settings, its end, and whom to tell how it goes.

Settings, which may hold secrets, come as the first line of standard input; the end of that input is the end of the
supervisor. What a child has to tell goes as JSON lines to a descriptor.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable
from typing import Any

__all__ = ["Channel", "Report"]

_PR_SET_PDEATHSIG = 1
_LONGEST_REASON = 4096


class Channel:
    """Standard input, as the supervisor holds it."""

    def __init__(self) -> None:
        self._input = os.fdopen(os.dup(0), "rb", buffering=0)

    def first_line(self) -> bytes:
        """Return the settings; without any, end."""
        parts: list[bytes] = []
        while part := self._input.read(65_536):
            parts.append(part)
            if part.endswith(b"\n"):
                return b"".join(parts)
        sys.exit("this module is started by the supervisor only")

    def end_with(self, parent: int) -> None:
        """End at once when the supervisor, process `parent`, does, even if it is killed."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                sys.exit("the supervisor has ended")
        threading.Thread(target=self._watch, name="supervisor-watch", daemon=True).start()

    def _watch(self) -> None:
        while self._input.read(4096):
            pass
        os._exit(1)


class Report:
    """Tells the supervisor; each message is one line of JSON."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, **message: Any) -> None:
        os.write(self._descriptor, json.dumps(message).encode() + b"\n")

    def address(self, name: str, address: str) -> None:
        self.send(event="address", name=name, address=address)

    def component(self, name: str, status: str, reason: str = "") -> None:
        self.send(event="component", component=name, status=status, reason=reason[:_LONGEST_REASON])

    def health(self, names: Iterable[str], reason: str) -> None:
        """Tell what ails the components `names`, "" for nothing."""
        for name in names:
            self.component(name, "StatusRecoverableError" if reason else "StatusOK", reason)

    def failed(self, reason: str) -> None:
        self.send(event="failed", reason=reason[:_LONGEST_REASON])
