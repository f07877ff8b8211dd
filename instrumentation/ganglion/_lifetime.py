"""When a process ends, and how we learn of it: interpreter exit, SIGTERM, children of multiprocessing."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from types import FrameType
from typing import Any, TypeAlias, TypeVar

__all__ = ["BeforeSignals", "at_end"]

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})

T = TypeVar("T")
BeforeSignals: TypeAlias = Callable[[Callable[[], bool], float], bool]
"""Calls the function and returns its result; a signal that ends the process waits for it, for so many seconds."""


def at_end(end: Callable[[], object], patience: float) -> BeforeSignals:
    """Have `end` called once this process, or a child forked from it, is about to end; it must be safe twice.

    The default action of SIGTERM and SIGINT is to end a process at once. From now on `end` goes before it, whenever a
    signal is given back to the default action: uvicorn does so when it has stopped, its worker for gunicorn when it
    starts. `patience` seconds later the signal has its effect anyway. Handlers of others stay.

    A signal that comes while `end` is under way waits for it as long. So does a repeated SIGTERM, since it says nothing
    new: uvicorn signals workers that whoever stops the whole group has signalled already. A SIGINT that follows another
    signal is somebody at the keyboard, and has its effect at once.
    """
    ending = _End(end, patience)
    atexit.register(ending)
    ending.go_before_default_action()
    _register(ending)  # for a child that spawn or forkserver has started, and which configures itself
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=ending.begin_again)
    return ending.before_signals


class _End:
    """What is to be done at the end, by whichever way it comes, and by two of them at once."""

    def __init__(self, end: Callable[[], object], patience: float) -> None:
        self._end = end
        self._patience = patience
        self._set_handler = signal.signal
        self._begin()

    def _begin(self) -> None:
        self._until: float | None = None
        """While signals wait for something: when they no longer do."""
        self._waiting: int | None = None
        """The first signal that waits."""

    def begin_again(self) -> None:
        self._begin()  # what another thread of the parent was about is not the child's
        _register(self)

    def __call__(self) -> None:
        self.before_signals(self._end, self._patience)

    def before_signals(self, work: Callable[[], T], patience: float) -> T:
        """Do something for which a signal to end the process waits, but at most `patience` seconds."""
        if self._until is not None or threading.current_thread() is not threading.main_thread():
            return work()  # signals wait already, or interrupt another thread than this
        self._until = time.monotonic() + patience
        try:
            return work()
        finally:
            self._until = None
            if self._waiting is not None:
                self._act(self._waiting)

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
        is_repeated = self._waiting is not None
        if not is_repeated:
            self._waiting = number
        if self._until is None:
            self.before_signals(self._end_beside, self._patience)
        elif (is_repeated and number == signal.SIGINT) or time.monotonic() >= self._until:
            self._act(number)

    def _end_beside(self) -> None:
        # In a thread, since what the signal interrupted may hold a lock that is needed.
        thread = threading.Thread(target=self._end, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            thread.join(self._patience)

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
