"""The standard library's logging: one handler on the root logger, and what others configure made to agree with it."""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, cast

from ganglion._emit import emit
from ganglion._render import shortened

__all__ = ["RecordHandler", "install", "uninstall"]

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# structlog's own, beside the event it hands to the standard library; uvicorn's message with colour codes.
_STRANGE = frozenset({"_logger", "_name", "_record", "_from_structlog", "color_message"})
_EVENT_STRANGE = frozenset({"event", "level", "logger", "timestamp", "exc_info", "stack_info"})


class RecordHandler(logging.Handler):
    """Emits every record of the standard library as one of ours.

    It has no lock and nothing to flush: `logging.config.dictConfig` and `logging.shutdown` call `flush` and `close`
    under the lock of the module, where waiting for an exporter that itself logs would never end.
    """

    def createLock(self) -> None:  # noqa: N802 - the name is the standard library's
        """Make no lock: a line is written under its own, and the OpenTelemetry SDK has its own."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit `record` unless a filter forbids; without the lock that there is not."""
        outcome: object = self.filter(record) if self.filters else record
        if outcome:
            self.emit(outcome if isinstance(outcome, logging.LogRecord) else record)
        return bool(outcome)

    def emit(self, record: logging.LogRecord) -> None:
        """Emit `record` with its `extra` fields; never raises."""
        extra = {key: value for key, value in vars(record).items() if key not in _USUAL and key not in _STRANGE}
        message: object = _message(record)
        said: object = record.msg
        if isinstance(said, dict) and "event" in said:
            event = cast("dict[str, object]", said)
            message = event["event"]
            extra |= {key: value for key, value in event.items() if key not in _EVENT_STRANGE}
        error = record.exc_info[1] if record.exc_info else None
        stack = "\n".join(part for part in (record.exc_text if error is None else None, record.stack_info) if part)
        emit(
            record.name,
            record.levelno,
            message,
            extra,
            error,
            shortened(stack) if stack else None,
            nanoseconds=int(record.created * 1e9),
        )


def _message(record: logging.LogRecord) -> object:
    try:
        return record.getMessage() if record.args else record.msg
    except Exception:  # noqa: BLE001 - a wrong placeholder, or whatever a stranger's __str__ raises
        return f"{record.msg} {record.args!r}" if isinstance(record.msg, str) else record.msg


_handler = RecordHandler()
_removed: list[tuple[logging.Logger, logging.Handler, bool]] = []
_root_level: int | None = None
_configurers: dict[str, Callable[..., Any]] = {}


def install(level: int, *, capture_warnings: bool) -> None:
    """Take all records of `level` and above; safe twice."""
    global _root_level  # noqa: PLW0603 - there is one root logger
    if _root_level is None:
        _root_level = logging.root.level
    logging.root.setLevel(level)
    if capture_warnings:
        logging.captureWarnings(capture=True)
    for name in ("dictConfig", "fileConfig"):
        if name not in _configurers:
            _configurers[name] = getattr(logging.config, name)
            setattr(logging.config, name, _agreeing(_configurers[name]))
    _adopt()


def uninstall() -> None:
    """Give the root logger and all handlers back as they were; safe twice."""
    global _root_level  # noqa: PLW0603 - as above
    if _root_level is None:
        return
    logging.root.removeHandler(_handler)
    logging.root.setLevel(_root_level)
    logging.captureWarnings(capture=False)
    for logger, handler, propagate in _removed:
        logger.addHandler(handler)
        logger.propagate = propagate
    for name, configure in _configurers.items():
        setattr(logging.config, name, configure)
    _removed.clear()
    _configurers.clear()
    _root_level = None


def _agreeing(configure: Callable[..., Any]) -> Callable[..., Any]:
    """Return `configure` such that its result prints nothing twice and loses nothing."""

    @wraps(configure)
    def configure_and_adopt(*args: object, **kwargs: object) -> object:
        result: object = configure(*args, **kwargs)
        if _root_level is not None:
            _adopt()
        return result

    return configure_and_adopt


def _adopt() -> None:
    """Take off what prints, and let the records of its loggers come up to ours."""
    if _handler not in logging.root.handlers:
        logging.root.addHandler(_handler)
    for logger in [logging.root, *_all_loggers()]:
        for handler in [handler for handler in logger.handlers if _prints(handler)]:
            logger.removeHandler(handler)
            _removed.append((logger, handler, logger.propagate))
            logger.propagate = True


def _all_loggers() -> Iterator[logging.Logger]:
    return (one for one in list(logging.root.manager.loggerDict.values()) if isinstance(one, logging.Logger))


def _prints(handler: logging.Handler) -> bool:
    if not issubclass(type(handler), logging.StreamHandler):
        return False
    stream: object = getattr(handler, "stream", None)
    return stream is not None and any(stream is one for one in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__))


def _adopt_in_child() -> None:
    """After a fork: gunicorn configures its loggers between our start and its workers'."""
    if _root_level is not None:
        _adopt()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_adopt_in_child)
