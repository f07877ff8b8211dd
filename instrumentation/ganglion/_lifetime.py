"""When a process ends, and how we learn of it: interpreter exit, SIGTERM, children of multiprocessing."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

__all__ = ["at_end"]

End = Callable[[], object]


def at_end(end: End, patience: float) -> None:
    """Have `end` called once this process, or a child forked from it, is about to end; it must be safe twice.

    SIGTERM, whose default action ends a process at once, is handled only where nobody else does (uvicorn, for one,
    hands it back to the default action when it has stopped); `patience` seconds later it has its effect anyway.
    """
    atexit.register(end)
    _on_sigterm(end, patience)
    _register(end)  # for a child that spawn or forkserver has started, and which configures itself
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_register, end))


def _on_sigterm(end: End, patience: float) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        # In a thread, since what the signal interrupted may hold a lock that is needed.
        thread = threading.Thread(target=end, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            thread.join(patience)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, handle)


def _register(end: End) -> None:
    # A child of multiprocessing skips atexit, and forgets at its start which finalizers it has; what is registered
    # for "after fork" survives that and runs then.
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(end, partial(_finalize, util))


def _finalize(util: Any, end: End) -> None:
    util.Finalize(None, end, exitpriority=0)
