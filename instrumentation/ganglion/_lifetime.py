"""When a process ends, and how we learn of it: interpreter exit, SIGTERM, children of multiprocessing."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from types import FrameType
from typing import Any

__all__ = ["at_end"]

End = Callable[[], object]

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})


def at_end(end: End, patience: float) -> None:
    """Have `end` called once this process, or a child forked from it, is about to end; it must be safe twice.

    The default action of SIGTERM and SIGINT is to end a process at once. From now on `end` goes before it, whenever a
    signal is given back to the default action: uvicorn does so when it has stopped, its worker for gunicorn when it
    starts. `patience` seconds later the signal has its effect anyway. Handlers of others stay.
    """
    atexit.register(end)
    _before_default_action(end, patience)
    _register(end)  # for a child that spawn or forkserver has started, and which configures itself
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_register, end))


def _before_default_action(end: End, patience: float) -> None:
    set_handler = signal.signal

    def handle(number: int, _frame: FrameType | None) -> None:
        # In a thread, since what the signal interrupted may hold a lock that is needed.
        thread = threading.Thread(target=end, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            thread.join(patience)
        set_handler(number, signal.SIG_DFL)
        signal.raise_signal(number)

    @wraps(set_handler)
    def set_handler_or_ours(signalnum: int, handler: Any) -> Any:
        is_default = handler == signal.SIG_DFL and signalnum in _ENDING
        return set_handler(signalnum, handle if is_default else handler)

    signal.signal = set_handler_or_ours
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        set_handler(signal.SIGTERM, handle)


def _register(end: End) -> None:
    # A child of multiprocessing skips atexit, and forgets at its start which finalizers it has; what is registered
    # for "after fork" survives that and runs then.
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(end, partial(_finalize, util))
        if sys.modules["multiprocessing.process"].parent_process() is not None:
            _finalize(util, end)  # its start is over


def _finalize(util: Any, end: End) -> None:
    util.Finalize(None, end, exitpriority=0)
