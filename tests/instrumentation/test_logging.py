"""Logs of structlog and logging: on standard output in the product's form, and as OpenTelemetry records."""

import enum
import io
import json
import logging
import logging.config
import math
import subprocess
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ganglion
import pytest
import structlog
from ganglion import _emit, _stdlib, logs
from ganglion._stdlib import RecordHandler
from ganglion.testing import Captured, capture
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.instrumentation.utils import suppress_instrumentation
from uvicorn.config import LOGGING_CONFIG

ORIGIN = {"environment": "test", "version": "1.2", "host": "h1"}
FORM = [
    *("timestamp", "level", "logger", "message", "trace_id", "span_id", "parent_span_id", "request_id", "user_id"),
    *("session_id", "tenant_id", "context", "metrics", "error", "stack_trace", "environment", "version", "host"),
]

log = ganglion.get_logger("app.orders")


class Printed:
    def __init__(self, capsys: pytest.CaptureFixture[str], captured: Captured) -> None:
        self._capsys = capsys
        self.captured = captured

    def text(self) -> str:
        return self._capsys.readouterr().out

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().split("\n") if line]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line

    def record(self) -> dict[str, Any]:
        (record,) = self.captured.logs
        return record


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_emit, "_complained", False)
    monkeypatch.setattr(_emit, "_said", {})
    monkeypatch.setattr(logging.root, "handlers", [])
    # A library's thread that outlived another test may log at any moment.
    mine = threading.get_ident()
    monkeypatch.setattr(_stdlib._handler, "filters", [lambda record: record.thread == mine])
    monkeypatch.setattr("_pytest.logging.LogCaptureHandler.handleError", lambda *_: None)  # it raises
    for name in ("uvicorn", "uvicorn.access", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "level", logging.WARNING if name == "asyncio" else logging.NOTSET)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    ganglion.unbind(*ganglion.context())
    yield
    logs.uninstall()


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[Printed]:
    with capture() as captured:
        logs.install(level=logging.DEBUG, log_format="json", origin=ORIGIN)
        yield Printed(capsys, captured)


def by_ganglion(level: str, message: str, **fields: Any) -> None:
    getattr(log, level)(message, **fields)


def by_structlog(level: str, message: str, **fields: Any) -> None:
    getattr(structlog.get_logger("app.orders"), level)(message, **fields)


def by_logging(level: str, message: str, **fields: Any) -> None:
    getattr(logging.getLogger("app.orders"), level)(message, extra=fields)


EVERY_WAY = pytest.mark.parametrize("say", [by_ganglion, by_structlog, by_logging])
Say = Callable[..., None]


@EVERY_WAY
def test_a_line_has_exactly_the_products_form(printed: Printed, say: Say) -> None:
    with ganglion.trace_span("outer"), trace.get_tracer("test").start_as_current_span("inner") as span:
        printed.text()
        before = datetime.now(UTC)
        with ganglion.bound(request_id="r1", user_id="u1", session_id="s1", tenant_id="t1", plan="pro"):
            say("warning", "order_slow", duration_ms=12.5, items=3, kind="pdf", paid=True)
        line = printed.line()

    parent = next(one for one in printed.captured.spans if one["name"] == "outer")
    assert list(line) == FORM
    assert before <= datetime.fromisoformat(line.pop("timestamp")) <= datetime.now(UTC)
    assert line == {
        "level": "WARNING",
        "logger": "app.orders",
        "message": "order_slow",
        "trace_id": f"{span.get_span_context().trace_id:032x}",
        "span_id": f"{span.get_span_context().span_id:016x}",
        "parent_span_id": parent["span_id"],
        "request_id": "r1",
        "user_id": "u1",
        "session_id": "s1",
        "tenant_id": "t1",
        "context": {"kind": "pdf", "paid": True, "plan": "pro"},
        "metrics": {"duration_ms": 12.5, "items": 3},
        "error": None,
        "stack_trace": None,
        **ORIGIN,
    }


@EVERY_WAY
def test_the_same_goes_out_as_a_record(printed: Printed, say: Say) -> None:
    with ganglion.bound(user_id="u1", request_id="r1", plan="pro"):
        say("error", "order_lost", items=3, kind="pdf")

    record = printed.record()
    assert (record["level"], record["logger"], record["message"]) == ("ERROR", "app.orders", "order_lost")
    assert record["attributes"] == {
        "items": 3,
        "kind": "pdf",
        "user.id": "u1",
        "request.id": "r1",
        "plan": "pro",
    }


def test_without_a_span_the_ids_are_null(printed: Printed) -> None:
    log.info("alone")
    line = printed.line()

    assert [line[name] for name in FORM[4:11]] == [None] * 7


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
@EVERY_WAY
def test_levels_keep_their_names(printed: Printed, say: Say, level: str) -> None:
    say(level, "event")

    assert printed.line()["level"] == printed.record()["level"] == level.upper()


def test_a_custom_level_is_the_standard_one_below(printed: Printed) -> None:
    logging.getLogger("app").log(25, "between")
    logging.getLogger("app").log(60, "above")

    assert [line["level"] for line in printed.lines()] == ["INFO", "CRITICAL"]


@EVERY_WAY
def test_what_is_below_the_level_is_not_said(printed: Printed, say: Say) -> None:
    logs.uninstall()
    logs.install(level=logging.WARNING, log_format="json")
    say("info", "no")
    say("warning", "yes")

    assert [line["message"] for line in printed.lines()] == ["yes"]


class Colour(enum.StrEnum):
    RED = "red"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Thing:
    def __repr__(self) -> str:
        return "Thing(3)"


def circle() -> list[Any]:
    items: list[Any] = [1]
    items.append(items)
    return items


def laughs() -> list[Any]:
    items: list[Any] = ["lol"]
    for _ in range(100):
        items = [items] * 10
    return items


MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Thing(), "Thing(3)"),
        (Broken(), "<Broken, which has no text>"),
        (circle(), [1, "…"]),
        (
            {
                "a": {
                    1,
                },
                2: (None, b"x"),
            },
            {"a": [1], "2": [None, "b'x'"]},
        ),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**63, "9223372036854775808"),
        ("\ud800é", "\\ud800é"),
        (["\ud800"], ["\\ud800"]),
        (MOMENT, "2026-01-02T03:04:05+00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Path("/tmp/a"), "PosixPath('/tmp/a')"),
        (None, None),
        ("", ""),
        ("a\x00\n\u2028", "a\x00\n\u2028"),
    ],
    ids=lambda value: type(value).__name__,
)
@EVERY_WAY
def test_any_value_is_shown_and_sent(printed: Printed, say: Say, value: object, shown: object) -> None:
    say("info", "event", value=value)
    sent = printed.record()["attributes"]["value"]

    assert printed.line()["context"]["value"] == shown
    assert json.loads(json.dumps(sent)) == shown


@pytest.mark.parametrize(
    "value", ["x" * 10_000_000, ["x" * 1000] * 10_000, laughs(), {str(n): n for n in range(10**5)}]
)
def test_a_huge_value_is_cut(printed: Printed, value: object) -> None:
    log.info("event", value=value)
    text = printed.text()

    assert len(text) < 300_000
    assert "…" in json.loads(text)["context"]["value"] or "…" in text


def test_many_fields_are_cut_and_the_ids_stay(printed: Printed) -> None:
    with ganglion.bound(user_id="u1"):
        log.info("event", **{f"field_{number}": "x" for number in range(1000)})
    line = printed.line()

    assert len(line["context"]) == 100
    assert (line["user_id"], line["metrics"]) == ("u1", {"fields_left_out": 900})
    assert printed.record()["attributes"]["user.id"] == "u1"


def test_as_many_fields_as_fit_are_not_said_to_be_cut(printed: Printed) -> None:
    log.info("event", **{f"field_{number}": "x" for number in range(100)})

    assert printed.line()["metrics"] == {}


def test_names_of_any_kind_are_taken(printed: Printed) -> None:
    log.info("event", **{"": 1, "\ud800": 2, "level": "mine", "message": "mine", "self": 3})
    line = printed.line()

    assert line["metrics"] == {"unnamed": 1, "\\ud800": 2, "self": 3}
    assert (line["level"], line["context"]) == ("INFO", {"level": "mine", "message": "mine"})


def test_ids_given_with_the_record_win(printed: Printed) -> None:
    with ganglion.bound(user_id="bound", tenant_id="t1"):
        log.info("event", user_id=7, **{"session.id": "s1"})
    line = printed.line()

    assert (line["user_id"], line["session_id"], line["tenant_id"], line["context"]) == ("7", "s1", "t1", {})
    assert printed.record()["attributes"] == {"user.id": "7", "session.id": "s1", "tenant.id": "t1"}


def test_a_field_named_error_is_the_error(printed: Printed) -> None:
    log.error("upload_failed", error="ValueError: wrong", stack_trace="…", version="2")
    line = printed.line()

    assert (line["error"], line["stack_trace"], line["version"], line["context"]) == ("ValueError: wrong", "…", "2", {})


def raised() -> BaseException:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize("given", ["true", "instance", "tuple"])
@EVERY_WAY
def test_an_exception_gives_error_and_stack_trace(printed: Printed, say: Say, given: str) -> None:
    error = raised()
    how = {"true": True, "instance": error, "tuple": (type(error), error, error.__traceback__)}[given]
    try:
        raise error
    except ValueError:
        if say is by_logging:
            logging.getLogger("app.orders").error("failed", exc_info=how)  # type: ignore[arg-type]
        else:
            say("error", "failed", exc_info=how)
    line, sent = printed.line(), printed.record()["attributes"]

    assert line["error"] == "ValueError: second"
    assert "KeyError: 'first'" in line["stack_trace"]
    assert "direct cause" in line["stack_trace"]
    assert (sent["exception.type"], sent["exception.message"]) == ("ValueError", "second")
    assert sent["exception.stacktrace"] == line["stack_trace"]


@pytest.mark.parametrize("logger", [ganglion.get_logger, logging.getLogger, structlog.get_logger])
def test_exception_is_an_error_with_its_exception(printed: Printed, logger: Callable[[str], Any]) -> None:
    try:
        raise LookupError
    except LookupError:
        logger("app").exception("failed")
    line = printed.line()

    assert (line["level"], line["error"]) == ("ERROR", "LookupError")


def test_members_of_an_exception_group_are_shown(printed: Printed) -> None:
    try:
        raise ExceptionGroup("both", [ValueError("one"), ExceptionGroup("inner", [OSError("two")])])
    except ExceptionGroup:
        log.exception("failed")
    line = printed.line()

    assert line["error"] == "ExceptionGroup: both (2 sub-exceptions)"
    assert "ValueError: one" in line["stack_trace"]
    assert "OSError: two" in line["stack_trace"]


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [SilentError(), ValueError("\ud800" * 100_000), RuntimeError()])
def test_a_strange_exception_is_logged(printed: Printed, error: Exception) -> None:
    log.error("failed", exc_info=error)
    line = printed.line()

    assert type(error).__name__ in line["error"]
    assert len(line["error"]) < 500_000


def test_true_without_an_exception_is_none(printed: Printed) -> None:
    log.error("failed", exc_info=True)  # noqa: LOG014 - that is the case
    logging.getLogger("app").error("failed", exc_info=True)  # noqa: LOG014 - as above

    assert [line["error"] for line in printed.lines()] == [None, None]


def test_the_stack_is_that_of_the_call(printed: Printed) -> None:
    log.info("event", stack_info=True)
    structlog.get_logger().info("event", stack_info=True)
    logging.getLogger("app").info("event", stack_info=True)

    for line in printed.lines():
        assert line["stack_trace"].splitlines()[-1].strip().endswith("stack_info=True)")


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("%s of %d", ("a", 2), "a of 2"),
        ("%(a)s", ({"a": 1},), "1"),
        ("100%", ("a",), "100% ('a',)"),
        ("%d", ("a",), "%d ('a',)"),
    ],
)
def test_arguments_of_the_message(printed: Printed, message: str, args: tuple[Any, ...], shown: str) -> None:
    log.info(message, *args)
    logging.getLogger("app").info(message, *args)

    assert [line["message"] for line in printed.lines()] == [shown, shown]


@pytest.mark.parametrize("message", [Thing(), {"a": 1}, None, 3, Broken(), "", "two\nlines", "\ud800", "x" * 10**6])
def test_a_message_of_any_kind_is_one_line(printed: Printed, message: Any) -> None:
    log.info(message)
    logging.getLogger("app").info(message)
    first, second = printed.lines()

    assert first["message"] == second["message"]
    assert len(first["message"]) < 70_000


async def test_asynchronous_methods_and_bound_fields(printed: Printed) -> None:
    bound = log.bind(document="a", user_id="u1").unbind("user_id")
    await bound.ainfo("event", size=1)
    await log.new(only=True).aerror("event")
    await log.alog(logging.INFO, "event")

    assert [line["context"] for line in printed.lines()] == [{"document": "a"}, {"only": True}, {}]


def test_structlogs_context_variables_are_merged(printed: Printed) -> None:
    with structlog.contextvars.bound_contextvars(job="nightly"):
        structlog.get_logger().info("event")

    line = printed.line()
    assert (line["logger"], line["context"]) == (__name__, {"job": "nightly"})


def test_a_logger_without_a_name_is_its_modules() -> None:
    with capture() as captured:
        ganglion.get_logger().info("event")

    assert captured.logs[0]["logger"] == __name__


def test_loggers_emit_without_install(capsys: pytest.CaptureFixture[str]) -> None:
    with capture() as captured:
        log.info("event", size=1)

    assert captured.logs[0]["attributes"] == {"size": 1}
    assert capsys.readouterr().out == ""


def masked(_logger: Any, _method: str, event: Any) -> Any:
    return {**event, "password": "***"} if "password" in event else event


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "settings",
    [
        {
            "processors": [structlog.stdlib.add_log_level, masked, structlog.processors.JSONRenderer()],
            "logger_factory": structlog.PrintLoggerFactory(),
        },
        {
            "processors": [
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_logger_name,
                masked,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            "logger_factory": structlog.stdlib.LoggerFactory(),
            "wrapper_class": structlog.stdlib.BoundLogger,
        },
    ],
    ids=["print", "stdlib"],
)
def test_a_services_own_processors_are_kept(
    capsys: pytest.CaptureFixture[str], settings: dict[str, Any], is_before: bool
) -> None:
    with capture() as captured:
        if not is_before:
            logs.install(log_format="json")
        structlog.configure(**settings)
        if is_before:
            logs.install(log_format="json")
        structlog.get_logger("app").info("login", password="secret")
        logs.uninstall()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.reset_defaults()

    assert [(line["logger"], line["message"], line["context"]) for line in lines] == [
        ("app", "login", {"password": "***"})
    ]
    assert len(captured.logs) == 1


def test_structlog_is_given_back() -> None:
    before = structlog.get_config()
    logs.install()
    logs.install()
    logs.uninstall()
    logs.uninstall()

    assert structlog.get_config()["processors"] == before["processors"]
    assert not structlog.is_configured()


def test_an_event_for_a_formatter_is_not_encoded_twice(printed: Printed) -> None:
    logging.getLogger("app").info({"event": "paid", "cost_usd": 0.5, "level": "info"}, extra={"_name": "info"})
    line = printed.line()

    assert (line["message"], line["metrics"], line["context"]) == ("paid", {"cost_usd": 0.5}, {})


@pytest.fixture
def own_logging(tmp_path: Path) -> Iterator[Path]:
    """A service's own set-up: a console handler and a file."""
    before, level = logging.root.handlers[:], logging.root.level
    file = tmp_path / "service.log"
    logging.basicConfig(level=logging.INFO, force=True, handlers=[logging.StreamHandler(), logging.FileHandler(file)])
    yield file
    logs.uninstall()
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers[:] = before
    logging.root.setLevel(level)


def test_a_services_console_handler_is_replaced_and_its_file_kept(
    own_logging: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The handler writes to the standard error of the moment it was made, which is not pytest's any more.
    logging.root.handlers[0].setStream(sys.stderr)  # type: ignore[attr-defined]
    before = logging.root.handlers[:]
    logs.install(log_format="json")
    logging.getLogger("app").info("once")
    out, err = capsys.readouterr()
    logs.uninstall()

    assert json.loads(out)["message"] == "once"
    assert err == ""
    assert "once" in own_logging.read_text(encoding="utf-8")
    assert set(logging.root.handlers) == set(before)


def test_basic_config_afterwards_changes_nothing(printed: Printed) -> None:
    logging.basicConfig(stream=sys.stdout)
    logging.getLogger("app").info("once")

    assert printed.line()["message"] == "once"


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_uvicorns_loggers_are_routed_and_not_doubled(capsys: pytest.CaptureFixture[str], is_before: bool) -> None:
    if not is_before:
        logs.install(log_format="json")
    logging.config.dictConfig(LOGGING_CONFIG)
    if is_before:
        logs.install(log_format="json")
    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[1mStarted"})
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "::1", "GET", "/a", "1.1", 200)
    out, err = capsys.readouterr()
    logs.uninstall()

    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("uvicorn.error", "Started"),
        ("uvicorn.access", '::1 - "GET /a HTTP/1.1" 200'),
    ]
    assert (err, lines[0]["context"]) == ("", {})


def test_a_filter_of_the_handler_is_obeyed(printed: Printed) -> None:
    (handler,) = [one for one in logging.root.handlers if isinstance(one, RecordHandler)]
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    logging.getLogger("app").info("secret")
    logging.getLogger("app").info("public")
    handler.filters.clear()

    assert printed.line()["message"] == "public"


def test_dict_config_with_an_own_root_handler_is_not_doubled(printed: Printed) -> None:
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"out": stream},
            "root": {"handlers": ["out"], "level": "INFO"},
        }
    )
    logging.getLogger("app").info("once")

    assert printed.line()["message"] == "once"


def test_warnings_are_captured_if_asked(printed: Printed) -> None:
    logs.install(log_format="json", capture_warnings=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    line = printed.line()

    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in line["message"]


def test_what_an_exporter_says_while_it_exports_is_printed_but_not_sent(printed: Printed) -> None:
    with suppress_instrumentation():
        logging.getLogger("opentelemetry.exporter").warning("retry")
        logging.getLogger("urllib3.connectionpool").info("new connection")
        log.info("of the service")
    log.info("after")

    assert [line["message"] for line in printed.lines()] == ["retry", "of the service", "after"]
    assert [record["message"] for record in printed.captured.logs] == ["of the service", "after"]


class Talkative:
    """A processor that logs when it gets a log, as one that is full or shut down may."""

    def __init__(self) -> None:
        self.calls = 0

    def emit(self, _record: LogRecord) -> None:
        self.calls += 1
        logging.getLogger("opentelemetry.sdk").warning("full")
        logging.getLogger("opentelemetry.sdk").info("not worth a line")


def test_a_logger_that_logs_does_not_recurse(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    talkative = Talkative()
    monkeypatch.setattr(_emit, "_logger_of", lambda name: (None, talkative, name, False))
    log.info("event")
    log.info("another")

    assert [line["message"] for line in printed.lines()] == ["event", "full", "another"]
    assert talkative.calls == 2


class Interrupted:
    """A processor in the middle of which a signal's handler logs."""

    def __init__(self) -> None:
        self.bodies: list[object] = []

    def emit(self, record: LogRecord) -> None:
        if not self.bodies:
            log.info("of the handler")
        self.bodies.append(record.body)


def test_what_is_logged_in_the_middle_of_a_record_comes_after_it(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = Interrupted()
    monkeypatch.setattr(_emit, "_logger_of", lambda name: (None, interrupted, name, False))
    log.info("event")

    assert interrupted.bodies == ["event", "of the handler"]
    assert [line["message"] for line in printed.lines()] == ["event", "of the handler"]


class Endless:
    def emit(self, _record: LogRecord) -> None:
        log.warning("again")


def test_a_processor_that_logs_each_record_ends(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_emit, "_logger_of", lambda name: (None, Endless(), name, False))
    log.warning("event")

    assert [line["message"] for line in printed.lines()] == ["event", "again", "again"]


class FailingLogger:
    def emit(self, _record: LogRecord) -> None:
        raise OSError("no")


def test_a_failing_pipeline_is_said_once_and_costs_the_caller_nothing(
    printed: Printed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_emit, "_logger_of", lambda name: (None, FailingLogger(), name, False))
    log.info("first")
    log.info("second")
    out, err = capsys.readouterr()

    assert [json.loads(line)["message"] for line in out.splitlines()] == ["first", "second"]
    assert err == "ganglion: a log record could not be written: OSError: no\n"
    assert printed.captured.logs == []


def test_a_closed_standard_output_costs_the_line_not_the_record(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    for stream in (closed, None):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            log.info("event")

    assert len(printed.captured.logs) == 2


def test_lines_of_many_threads_are_whole(printed: Printed) -> None:
    def say() -> None:
        for _ in range(50):
            log.info("event", value="x" * 5000)

    threads = [threading.Thread(target=say) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(printed.lines()) == 400


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.install(log_format="console")
    with capture(), ganglion.trace_span("work"), ganglion.bound(user_id="u1"):
        capsys.readouterr()
        try:
            raise ValueError("wrong")
        except ValueError:
            log.exception("order_lost", size=3, name="two words", evil="\x1b[2J")
        trace_id = ganglion.current_trace_id() or ""
        first, *rest = capsys.readouterr().out.splitlines()

    assert first.split(" ", 1)[1] == (
        f"ERROR    app.orders: order_lost size=3 name='two words' evil='\\x1b[2J' user_id=u1 trace={trace_id[:8]}"
    )
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: wrong"


PROGRAM = """
import logging, logging.config, os, sys, threading, atexit
import ganglion
from ganglion import logs
logs.install(log_format="json")
log = ganglion.get_logger("program")
"""


def run(program: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + program], capture_output=True, timeout=15, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_utf_8_whatever_the_locale() -> None:
    assert run("sys.stdout.reconfigure(encoding='ascii'); log.info('Zoë …')")[0]["message"] == "Zoë …"


def test_a_fork_while_another_thread_writes_does_not_hang() -> None:
    lines = run(
        """
from ganglion import _emit
held, go = threading.Event(), threading.Event()
def hold():
    with _emit._printing:
        held.set()
        go.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    log.info("from the child")
    os._exit(0)
_, status = os.waitpid(child, 0)
go.set()
thread.join()
log.info("from the parent", status=status)
"""
    )

    assert [line["message"] for line in lines] == ["from the child", "from the parent"]
    assert lines[1]["metrics"] == {"status": 0}


def test_logging_at_exit_works() -> None:
    lines = run("atexit.register(lambda: logging.getLogger('late').warning('bye')); logging.shutdown()")

    assert [line["message"] for line in lines] == ["bye"]


def test_dict_config_while_a_record_is_emitted_does_not_deadlock() -> None:
    lines = run(
        """
config = {"version": 1, "disable_existing_loggers": False}
stop = threading.Event()
def reconfigure():
    while not stop.is_set():
        logging.config.dictConfig(config)
thread = threading.Thread(target=reconfigure)
thread.start()
for number in range(2000):
    logging.getLogger("app").warning("event")
stop.set()
thread.join()
"""
    )

    assert len(lines) == 2000
