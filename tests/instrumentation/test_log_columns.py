"""A record's line on standard output and its row in PostgreSQL say the same under the same names."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import ganglion
import pytest
from ganglion import _emit, logs
from ganglion.testing import capture
from ganglion_exporters.postgresql.log_lines import LOG_COLUMNS
from ganglion_exporters.postgresql.rows import Clock, logs_to_copy
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

ORIGIN = {"environment": "test", "version": "1.2", "host": "h1"}
RESOURCE = {"deployment.environment.name": "test", "service.version": "1.2", "host.name": "h1"}
NOT_IN_A_ROW = {"timestamp"}

log = ganglion.get_logger("app")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_emit, "_logger_of", lambda name: (provider, provider.get_logger(name), name, False))
    with capture():
        logs.install(log_format="json", origin=ORIGIN)
        yield exporter
        logs.uninstall()
    provider.shutdown()


def row(exporter: InMemoryLogRecordExporter) -> dict[str, Any]:
    """Return the last record as the exporter for PostgreSQL copies it."""
    request = encode_logs(exporter.get_finished_logs()[-1:])
    clock = Clock.around(time.time_ns(), 86_400.0, 86_400.0)
    (rows,) = logs_to_copy(request.SerializeToString(), clock)
    (line,) = rows.data.decode().split("\n")[:-1]
    values = [None if one == "\\N" else one.replace("\\n", "\n").replace("\\\\", "\\") for one in line.split("\t")]
    return dict(zip(LOG_COLUMNS, values, strict=True))


def failed() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("upload_failed", error="beside", size=3)


@pytest.mark.parametrize(
    "say",
    [
        lambda: log.info("event", size=3, share=0.5, zero=0, name="a", on=True, off=False, nothing=None),
        lambda: log.info("event", nested={"a": [1, None, {"b": "c"}]}, nan=float("nan"), big=2**70, raw=b"x"),
        lambda: log.warning("ünïcode \ud800 …", text="\u2028\t", **{"user.id": "explicit"}),
        lambda: log.error("upload_failed", error="ValueError: wrong", stack_trace="line 1\nline 2"),
        lambda: log.critical("", duration_ms=1.5, cost_usd=0.25),
        failed,
    ],
    ids=["fields", "strange", "text", "error", "numbers", "exception"],
)
def test_a_line_and_a_row_agree(
    sent: InMemoryLogRecordExporter, capsys: pytest.CaptureFixture[str], say: Callable[[], None]
) -> None:
    with (
        ganglion.trace_span("outer"),
        ganglion.trace_span("inner"),
        ganglion.bound(user_id="u1", tenant_id="t1", plan="pro"),
    ):
        capsys.readouterr()
        say()
        line = json.loads(capsys.readouterr().out)
        found = row(sent)
    for name in ("context", "metrics"):
        found[name] = json.loads(found[name] or "{}")

    assert {name: found[name] for name in line.keys() - NOT_IN_A_ROW} == {
        name: value for name, value in line.items() if name not in NOT_IN_A_ROW
    }
