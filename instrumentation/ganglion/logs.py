"""Logs of structlog and of the standard library, to standard output and to OpenTelemetry.

Every record becomes a line on standard output in the product's log form (readable on a terminal) and an OTLP log record
with the trace and the bound fields of its caller. `install`, which `ganglion.configure` calls, takes over:

- Handlers of others that write to standard output or error are off while ours is on, as every record would be there
  twice; those to files and elsewhere stay. So it is too after `logging.config.dictConfig` (uvicorn calls it) and
  `fileConfig`. `logging.basicConfig` does nothing then, as Python has it; with `force=True` it takes ours off.
- A service's own `structlog.configure`, before or after, keeps its processors; the last, which renders, and the
  destination become ours. Through `structlog.stdlib.LoggerFactory` records come by the standard library.
- Loggers of `get_logger` need none of this: they emit through the OpenTelemetry API in any case.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from inspect import currentframe
from types import FrameType
from typing import Any, Literal, Self, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from ganglion import _stdlib
from ganglion._emit import Output, emit, print_to
from ganglion._render import plain, shortened

__all__ = ["get_logger", "install", "uninstall"]

_LEVELS = {
    "debug": logging.DEBUG,
    **dict.fromkeys(("info", "msg"), logging.INFO),
    **dict.fromkeys(("warning", "warn"), logging.WARNING),
    **dict.fromkeys(("error", "exception"), logging.ERROR),
    **dict.fromkeys(("critical", "fatal"), logging.CRITICAL),
}
_SHOWN_ELSEWHERE = frozenset({"level", "logger", "timestamp"})
_threshold = logging.INFO


def get_logger(name: str | None = None, **fields: object) -> FilteringBoundLogger:
    """Return structlog's bound logger for `name` (default: the module of the caller): `log.info("paid", cost_usd=0.1)`.

    Event and fields may be anything; no call raises. Numbers become metrics of the record, the rest its context;
    `exc_info=True`, an exception or a tuple of `sys.exc_info` gives error and stack trace.
    """
    if name is None:
        name = _module_of(currentframe())
    return cast("FilteringBoundLogger", _BoundLogger(name, [], dict(fields)))


def install(
    *,
    level: int = logging.INFO,
    log_format: Literal["json", "console"] | None = None,
    origin: Mapping[str, str | None] | None = None,
    capture_warnings: bool = False,
) -> None:
    """Print and emit every record of the process of `level` and above; again: with the new settings.

    `origin` gives environment, version and host of each line. Without `log_format`: console on a terminal, else json.
    """
    global _threshold  # noqa: PLW0603 - one process has one configuration
    _threshold = level
    is_terminal = bool(sys.stdout and sys.stdout.isatty())
    known = origin or {}
    print_to(
        Output(
            log_format or ("console" if is_terminal else "json"),
            {name: known.get(name) for name in ("environment", "version", "host")},
        )
    )
    _stdlib.install(level, capture_warnings=capture_warnings)
    _adopt_structlog()


def uninstall() -> None:
    """Print nothing more and give logging and structlog back as they were; safe twice and without `install`."""
    global _threshold  # noqa: PLW0603 - as above
    _threshold = logging.INFO
    print_to(None)
    _stdlib.uninstall()
    _release_structlog()


class _BoundLogger(structlog.BoundLoggerBase):
    """structlog's interface without its chain of processors, which costs as much as all the rest."""

    def bind(self, /, **new_values: Any) -> Self:
        return type(self)(self._logger, [], {**self._context, **new_values})

    def unbind(self, *keys: str) -> Self:
        return type(self)(self._logger, [], {key: value for key, value in self._context.items() if key not in keys})

    def try_unbind(self, *keys: str) -> Self:
        return self.unbind(*keys)

    def new(self, /, **new_values: Any) -> Self:
        return type(self)(self._logger, [], new_values)

    def is_enabled_for(self, level: int) -> bool:
        return level >= _threshold

    def get_effective_level(self) -> int:
        return _threshold

    def log(self, level: int, event: object = None, /, *args: object, **fields: Any) -> None:
        if level >= _threshold:
            given = {**self._context, **fields} if self._context else fields
            _emit(self._logger, level, _interpolated(event, args) if args else event, given)

    async def alog(self, level: int, event: object = None, /, *args: object, **fields: Any) -> None:
        self.log(level, event, *args, **fields)


def _add_methods() -> None:
    """Give the class `info`, `ainfo` and the others: the asynchronous ones do the same, as nothing here waits."""
    for name, level in _LEVELS.items():
        log, alog = _methods(level, is_exception=name == "exception")
        setattr(_BoundLogger, name, log)
        setattr(_BoundLogger, f"a{name}", alog)


def _methods(level: int, *, is_exception: bool) -> tuple[Callable[..., None], Callable[..., Coroutine[Any, Any, None]]]:
    def log(self: _BoundLogger, event: object = None, /, *args: object, **fields: Any) -> None:
        if level < _threshold:
            return
        if is_exception:
            fields.setdefault("exc_info", True)
        # Not by self.log: a call more would be a twentieth of all.
        bound, name = self._context, self._logger  # pyright: ignore[reportPrivateUsage] - these become methods of its class
        given = {**bound, **fields} if bound else fields
        _emit(name, level, _interpolated(event, args) if args else event, given)

    async def alog(self: _BoundLogger, event: object = None, /, *args: object, **fields: Any) -> None:
        log(self, event, *args, **fields)

    return log, alog


_add_methods()


def _interpolated(event: object, args: tuple[object, ...]) -> object:
    try:
        return str(event) % (args[0] if len(args) == 1 and isinstance(args[0], Mapping) else args)
    except Exception:  # noqa: BLE001 - a wrong placeholder, or whatever a stranger's __str__ raises
        return f"{event} {tuple(plain(arg) for arg in args)}"


def _emit(name: str, level: int, event: object, fields: dict[str, Any]) -> None:
    if "exc_info" not in fields and "stack_info" not in fields:
        return emit(name, level, event, fields)
    error = _exception(fields.pop("exc_info", None))
    stack = fields.pop("stack_info", None)
    if stack is True:
        stack = "".join(traceback.format_stack(_caller(currentframe())))
    return emit(name, level, event, fields, error, shortened(stack) if isinstance(stack, str) else None)


def _exception(exc_info: object) -> BaseException | None:
    """Return the exception of what `exc_info` may be: an exception, the tuple of sys.exc_info, or true."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        parts = cast("tuple[object, ...]", exc_info)
        return next((part for part in parts if isinstance(part, BaseException)), None)
    return sys.exc_info()[1] if exc_info else None


class _Target:
    """What structlog's wrappers of any kind take for the logger below them."""

    disabled = False

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, method: str) -> Callable[..., None]:
        level = _LEVELS.get(method)
        if level is None:
            raise AttributeError(method)
        return partial(self.log, level)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - as the standard library's loggers have it
        return level >= _threshold

    def getEffectiveLevel(self) -> int:  # noqa: N802 - as above
        return _threshold

    def log(self, level: int, event: EventDict) -> None:
        if level < _threshold:
            return
        fields = {key: value for key, value in event.items() if key not in _SHOWN_ELSEWHERE}
        message = fields.pop("event", None) or fields.pop("message", None) or fields.pop("msg", None)
        if isinstance(fields.get("exception"), str):  # made by structlog.processors.format_exc_info
            emit(self.name, level, message, fields, None, shortened(fields.pop("exception")))
        else:
            _emit(self.name, level, message, fields)


def _target(*args: object) -> _Target:
    """Return the destination of `structlog.get_logger(name)`; without a name that of the calling module."""
    if args and isinstance(args[0], str):
        return _Target(args[0])
    return _Target(_module_of(currentframe()))


def _caller(frame: FrameType | None) -> FrameType | None:
    """Return the first frame from `frame` outwards that is neither ours nor structlog's."""
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(("structlog.", __name__)):
        frame = frame.f_back
    return frame


def _module_of(frame: FrameType | None) -> str:
    frame = _caller(frame)
    return "root" if frame is None else str(frame.f_globals.get("__name__", "root"))


def _hand_over(logger: object, method: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:  # noqa: ARG001 - structlog's signature
    """Be the last processor: hand the whole event, not rendered, to the `_Target`."""
    return (event,), {}


_configure = structlog.configure
_before: dict[str, Any] | None = None
_is_services = False


def _configure_for_us(*args: Any, **kwargs: Any) -> None:
    global _is_services  # noqa: PLW0603 - as `_before`
    _is_services = True
    _configure(*args, **kwargs)
    processors = list(structlog.get_config()["processors"])
    _configure(processors=[*processors[:-1], _hand_over], logger_factory=_target)


def _adopt_structlog() -> None:
    global _before, _is_services  # noqa: PLW0603 - structlog has one configuration in a process
    if _before is None:
        _is_services = False
        _before = structlog.get_config() | {"is_configured": structlog.is_configured()}
        structlog.configure = _configure_for_us
        if _before["is_configured"]:
            _configure_for_us()
    if _is_services:
        return
    _configure(
        processors=[structlog.contextvars.merge_contextvars, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(_threshold),
        logger_factory=_target,
        cache_logger_on_first_use=True,
    )


def _release_structlog() -> None:
    global _before  # noqa: PLW0603 - as above
    if _before is None:
        return
    structlog.configure = _configure
    if _before.pop("is_configured"):
        _configure(**_before)
    else:
        structlog.reset_defaults()
    _before = None
