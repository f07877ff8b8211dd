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

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})


def at_end(end: Callable[[], object], patience: float) -> None:
    """Have `end` called once this process, or a child forked from it, is about to end; it must be safe twice.

    The default action of SIGTERM and SIGINT is to end a process at once. From now on `end` goes before it, whenever a
    signal is given back to the default action: uvicorn does so when it has stopped, its worker for gunicorn when it
    starts. `patience` seconds later the signal has its effect anyway. Handlers of others stay.
    """
    ending = _End(end, patience)
    atexit.register(ending)
    ending.go_before_default_action()
    _register(ending)  # for a child that spawn or forkserver has started, and which configures itself
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_register, ending))


class _End:
    """What is to be done at the end, by whichever way it comes, and by two of them at once."""

    def __init__(self, end: Callable[[], object], patience: float) -> None:
        self._end = end
        self._patience = patience
        self._set_handler = signal.signal
        self._is_running = False
        self._postponed: int | None = None

    def __call__(self) -> None:
        self._is_running = True
        try:
            self._end()
        finally:
            self._is_running = False
        if self._postponed is not None:
            self._act(self._postponed)

    def go_before_default_action(self) -> None:
        set_handler = self._set_handler

        @wraps(set_handler)
        def set_handler_or_ours(signalnum: int, handler: Any) -> Any:
            is_default = handler == signal.SIG_DFL and signalnum in _ENDING
            return set_handler(signalnum, self._handle if is_default else handler)

        signal.signal = set_handler_or_ours
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            set_handler(signal.SIGTERM, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._is_running and self._postponed is None:
            self._postponed = number  # a pool terminates workers that are about to return; a second signal is for now
            return
        # In a thread, since what the signal interrupted may hold a lock that is needed.
        thread = threading.Thread(target=self._end, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            thread.join(self._patience)
        self._act(number)

    def _act(self, number: int) -> None:
        self._set_handler(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _register(ending: _End) -> None:
    # A child of multiprocessing skips atexit, and forgets at its start which finalizers it has; what is registered
    # for "after fork" survives that and runs then.
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(ending, partial(_finalize, util))
        if sys.modules["multiprocessing.process"].parent_process() is not None:
            _finalize(util, ending)  # its start is over


def _finalize(util: Any, ending: _End) -> None:
    util.Finalize(None, ending, exitpriority=0)
