"""The one way of a log record: made fit, printed as a line, emitted through the OpenTelemetry logs API."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import time_ns
from typing import Literal, NamedTuple

from opentelemetry import _logs
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Span, get_current_span

from ganglion._render import (
    LONGEST,
    MOST_FIELDS,
    Plain,
    Record,
    console_line,
    failure,
    field_name,
    json_line,
    plain,
    text,
)
from ganglion.context import ATTRIBUTES
from ganglion.context import attributes as bound_attributes
from ganglion.context import fields as bound_fields

__all__ = ["Output", "emit", "output", "print_to"]

_DEBUG, _INFO, _WARNING, _ERROR, _CRITICAL = 10, 20, 30, 40, 50
_LEVELS = {
    _DEBUG: ("DEBUG", SeverityNumber.DEBUG),
    _INFO: ("INFO", SeverityNumber.INFO),
    _WARNING: ("WARNING", SeverityNumber.WARN),
    _ERROR: ("ERROR", SeverityNumber.ERROR),
    _CRITICAL: ("CRITICAL", SeverityNumber.FATAL),
}
_FIELD_OF = {attribute: field for field, attribute in ATTRIBUTES.items()} | {field: field for field in ATTRIBUTES}
# What an exporter calls, and so may log on the thread that exports. Such a record would make another request.
_EXPORTING = ("opentelemetry", "urllib3", "requests", "grpc", "httpx", "httpcore")


_MOST_WAITING = 100
_MINUTE = 60 * 10**9


class _Call(NamedTuple):
    """One call of `emit`."""

    name: str
    level: int
    message: object
    fields: Mapping[str, object]
    error: BaseException | None
    stack: str | None
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how lines are printed: on the sys.stdout of the moment of each record."""

    log_format: Literal["json", "console"]
    origin: Mapping[str, str | None]
    """environment, version and host, as in every line."""


class _Here(threading.local):
    emitting = False

    def __init__(self) -> None:
        self.waiting: list[_Call] = []


_here = _Here()
_output: Output | None = None
_printing = threading.RLock()
_loggers: dict[str, tuple[LoggerProvider, Logger, str, bool]] = {}
_complained = False
_said: dict[tuple[str, str], int] = {}


def output() -> Output | None:
    """Return where lines are printed, or None."""
    return _output


def print_to(output: Output | None) -> None:
    """Print every record from now on; None: only emit."""
    global _output  # noqa: PLW0603 - there is one standard output
    _output = output


def emit(  # noqa: PLR0913 - the parts of a record
    name: str,
    level: int,
    message: object,
    fields: Mapping[str, object],
    error: BaseException | None = None,
    stack: str | None = None,
    *,
    nanoseconds: int = 0,
) -> None:
    """Print and emit one record of the logger `name`; nothing that goes wrong here reaches the caller.

    `fields` may hold anything; `nanoseconds` since 1970 is now unless given.
    """
    rest = (error, stack, nanoseconds or time_ns())
    if _here.emitting:
        _later(_Call(name, level, message, fields, *rest))
        return
    _here.emitting = True
    try:
        _emit(name, level, message, fields, rest)
    except Exception as problem:  # noqa: BLE001 - a log call must not break who calls
        _complain(problem)
    finally:
        _here.emitting = False
    if _here.waiting:
        _emit_waiting()


def _later(call: _Call) -> None:
    """Keep a record that is made while this thread emits one: by a signal's handler, `__del__`, or the SDK.

    To emit it at once could wait for a lock that the interrupted call holds, or never end.
    """
    if len(_here.waiting) < _MOST_WAITING:
        _here.waiting.append(call)


def _emit_waiting() -> None:
    """Emit what has waited; what the SDK says about a record, and all that this leads to, is only printed."""
    calls, _here.waiting = _here.waiting, []
    _here.emitting = True
    try:
        for call in calls:
            _print_only(call) if _is_exporting(call.name) else _emit(*call[:4], call[4:])
        for call in _here.waiting:
            _print_only(call)
    except Exception as problem:  # noqa: BLE001 - as in `emit`
        _complain(problem)
    finally:
        _here.waiting = []
        _here.emitting = False


def _emit(
    name: str,
    level: int,
    message: object,
    fields: Mapping[str, object],
    rest: tuple[BaseException | None, str | None, int],
) -> None:
    error, stack, nanoseconds = rest
    _, logger, name, is_exporting = _logger_of(name)
    is_own = is_exporting and not is_instrumentation_enabled()
    if is_own and level < _WARNING:
        return
    level_name, severity = _LEVELS.get(level) or _nearest(level)
    context = get_current()
    record = Record(
        nanoseconds,
        level_name,
        name,
        message if type(message) is str and message.isascii() and len(message) < 1000 else text(message),
        *_sorted(fields),
        *_place(get_current_span(context)),
        None if error is None else failure(error),
        stack,
    )
    if _output is not None:
        _print(record, _output)
    if not is_own:
        _send(record, logger, severity, context)


def _logger_of(name: str) -> tuple[LoggerProvider, Logger, str, bool]:
    provider = _logs.get_logger_provider()
    known = _loggers.get(name)
    if known is None or known[0] is not provider:
        safe = text(name) or "root"
        known = _loggers[name] = (provider, provider.get_logger(safe), safe, _is_exporting(safe))
    return known


def _is_exporting(name: str) -> bool:
    return name.partition(".")[0] in _EXPORTING


def _nearest(level: int) -> tuple[str, SeverityNumber]:
    """Return the standard level at or below a custom one, as the columns and dashboards know only those."""
    return _LEVELS[max((known for known in _LEVELS if known <= level), default=_DEBUG)]


def _sorted(given: Mapping[str, object]) -> tuple[dict[str, Plain], Mapping[str, str]]:
    """Return the caller's fields and the ids: what is bound, over it what the caller gave for this record."""
    ids = bound_fields()
    fields: dict[str, Plain] = {}
    own: dict[str, str] = {}
    for key, value in given.items():
        name = key if type(key) is str and key.isascii() and key else field_name(key)
        if name in _FIELD_OF:
            if value is not None:
                own[_FIELD_OF[name]] = text(value)
            continue
        if len(fields) >= MOST_FIELDS:
            fields["fields_left_out"] = len(given) - len(fields) - len(own)
            break
        if type(value) is str and value.isascii() and len(value) <= LONGEST:
            fields[name] = value
        else:
            fields[name] = plain(value)
    return fields, ({**ids, **own} if own else ids)


def _place(span: Span) -> tuple[str | None, str | None, str | None]:
    """Return trace_id, span_id and parent_span_id of `span` as hexadecimal digits."""
    context = span.get_span_context()
    if not context.is_valid:
        return None, None, None
    parent = getattr(span, "parent", None)
    return (
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if parent is None else f"{parent.span_id:016x}",
    )


def _send(record: Record, logger: Logger, severity: SeverityNumber, context: Context) -> None:
    attributes: dict[str, Plain] = record.fields
    if record.ids is bound_fields():
        attributes.update(bound_attributes())
    else:
        attributes.update({ATTRIBUTES.get(name, name): value for name, value in record.ids.items()})
    if record.parent_span_id is not None:
        attributes["parent_span_id"] = record.parent_span_id
    if record.failure is not None:
        attributes["exception.type"] = record.failure.kind
        attributes["exception.message"] = record.failure.message
        attributes["exception.stacktrace"] = record.failure.stack
    elif record.stack is not None:
        attributes["stack_trace"] = record.stack
    logger.emit(
        LogRecord(
            timestamp=record.nanoseconds,
            observed_timestamp=record.nanoseconds,
            context=context,
            severity_number=severity,
            severity_text=record.level,
            body=record.message,
            attributes=attributes,
        )
    )


def _print(record: Record, to: Output) -> None:
    if to.log_format == "console":
        _write(console_line(record, colours=bool(sys.stdout and sys.stdout.isatty()) and "NO_COLOR" not in os.environ))
    else:
        _write(json_line(record, to.origin))


def _write(line: bytes) -> None:
    """Write to standard output, whatever that is by now; a closed one costs the line, not the record."""
    stream = sys.stdout
    if stream is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is under pythonw and late at exit
        return
    try:
        with _printing:
            binary = getattr(stream, "buffer", None)
            if binary is None:
                stream.write(line.decode())
            else:
                binary.write(line)
            stream.flush()
    except (OSError, ValueError, RuntimeError) as problem:  # broken pipe, closed, a signal's handler in our middle
        _complain(problem)


def _print_only(call: _Call) -> None:
    to = _output
    if to is None or call.level < _WARNING or _was_said(call):
        return
    level_name, _ = _LEVELS.get(call.level) or _nearest(call.level)
    fields, ids = _sorted(call.fields)
    record = Record(
        call.nanoseconds,
        level_name,
        text(call.name),
        text(call.message),
        fields,
        ids,
        None,
        None,
        None,
        None,
        call.stack,
    )
    _print(record, to)


def _was_said(call: _Call) -> bool:
    """Return whether the same was printed within a minute: beyond OTEL_ATTRIBUTE_*_LIMIT the SDK warns every time."""
    said = (call.name, text(call.message)[:200])
    now = call.nanoseconds
    if now - _said.get(said, 0) < _MINUTE:
        return True
    if len(_said) >= _MOST_WAITING:
        _said.clear()
    _said[said] = now
    return False


def _complain(problem: Exception) -> None:
    """Say once in a process on standard error that records do not get through."""
    global _complained  # noqa: PLW0603 - once in a process
    if _complained or sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - as for sys.stdout
        return
    _complained = True
    try:
        sys.stderr.write(f"ganglion: a log record could not be written: {type(problem).__name__}: {text(problem)}\n")
    except (OSError, ValueError, RuntimeError):
        return


def _forget_locks() -> None:
    """After a fork: another thread of the parent may have held the lock."""
    global _printing  # noqa: PLW0603 - a new process, a new lock
    _printing = threading.RLock()
    _here.emitting = False
    _here.waiting = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
