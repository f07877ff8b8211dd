"""Logs of the collector's processes: on standard error, one JSON object a line, or readable by people.

Fields given by `extra=` stand beside `timestamp`, `level`, `logger`, `message` and `process`. Libraries that log by
the standard library come out the same way. No payload and no secret may be given to a log call.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

__all__ = ["Encoding", "configure", "stack"]

Encoding = Literal["json", "console"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_LIBRARIES = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "grpc",
    "grpc._cython",
    "psycopg",
    "psycopg.pool",
    "httpx",
    "httpcore",
    "asyncio",
)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING}


def configure(level: str, encoding: Encoding, process: str) -> None:
    """Send every log of this process, named `process`, to standard error. Safe to call again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter(process) if encoding == "json" else _ConsoleFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(level.lower(), logging.ERROR))
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(root.level, logging.WARNING))


def stack(error: BaseException) -> str:
    """Return where `error` came from, without its message, which may hold a payload."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__


class _JSONFormatter(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": self._process,
            **_fields(record),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _ConsoleFormatter(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        line = f"{_timestamp(record)}  {record.levelname:<8} {self._process}  {record.getMessage()}  {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
