"""Threads and thread pools carry the context of who started them, as asyncio tasks do.

Python gives a new thread an empty context (before 3.14, where a build may choose). `install` makes
`threading.Thread.start` and `ThreadPoolExecutor.submit` hand over a copy of the caller's: bound fields, current span,
baggage. A pool's own threads, which outlive requests, start empty, so nothing leaks from the request that made them.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import wraps
from threading import Thread
from typing import ParamSpec, TypeVar

__all__ = ["install", "uninstall"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_start = Thread.start
_submit = ThreadPoolExecutor.submit


@wraps(_start)
def _start_with_context(self: Thread) -> None:
    run, context = self.run, copy_context()

    def run_with_context() -> None:
        vars(self).pop("run", None)  # the method again, and no cycle of references
        context.run(run)

    self.run = run_with_context  # type: ignore[method-assign]
    try:
        _start(self)
    except BaseException:
        vars(self).pop("run", None)
        raise


def _submit_with_context(
    self: ThreadPoolExecutor, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
) -> Future[_T]:
    def run_in(context: Context) -> _T:
        return context.run(fn, *args, **kwargs)

    # The pool may start a thread here: in an empty context.
    return Context().run(_submit, self, run_in, copy_context())


def install() -> None:
    """Hand contexts over from now on; safe twice. What another library has patched before stays below ours."""
    global _start, _submit  # noqa: PLW0603 - there is one class Thread in a process
    if Thread.start is not _start_with_context:
        _start = Thread.start
        Thread.start = _start_with_context  # type: ignore[method-assign]
    if ThreadPoolExecutor.submit is not _submit_with_context:
        _submit = ThreadPoolExecutor.submit
        ThreadPoolExecutor.submit = _submit_with_context  # type: ignore[assignment,method-assign]


def uninstall() -> None:
    """Undo `install`, unless someone else has patched the same since; safe twice."""
    if Thread.start is _start_with_context:
        Thread.start = _start  # type: ignore[method-assign]
    if ThreadPoolExecutor.submit is _submit_with_context:
        ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]
