"""A fork waits a moment for exports that are under way: gRPC's state is whole in the child only if no call is."""

import os
import threading
import time
from types import TracebackType

__all__ = ["Gate"]

_PATIENCE = 0.1
"""Seconds that a fork waits, for all exporters together; if the collector hangs it goes on all the same."""


class Gate:
    """Held around each call of an exporter, from one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held_for_fork = False
        _gates.append(self)

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.lock.release()


_gates: list[Gate] = []


def _before() -> None:
    deadline = time.monotonic() + _PATIENCE
    for gate in _gates:
        gate.held_for_fork = gate.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))


def _in_parent() -> None:
    for gate in _gates:
        if gate.held_for_fork:
            gate.lock.release()


def _in_child() -> None:
    for gate in _gates:
        gate.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
