"""The debug exporter: what it prints, and that nothing odd stops it."""

import io
import sys

import pytest
from ganglion_collector.component import Batch, Signal
from ganglion_collector.errors import RetryableError
from ganglion_collector.testing import make_batch, make_request
from ganglion_exporters.debug import DebugConfig, DebugExporter


async def printed(batch: Batch, capsys: pytest.CaptureFixture[str], **config: object) -> str:
    exporter = DebugExporter(DebugConfig.model_validate(config))
    await exporter.start()
    await exporter.export(batch)
    await exporter.shutdown()
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("signal", "line"),
    [
        (Signal.TRACES, "traces: 2 spans, 1 requests, 40 bytes\n"),
        (Signal.LOGS, "logs: 2 log records, 1 requests, 18 bytes\n"),
        (Signal.METRICS, "metrics: 2 metric points, 1 requests, 40 bytes\n"),
    ],
)
async def test_basic_prints_one_line(signal: Signal, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    batch = make_batch(make_request(signal, "a", "b"), signal=signal)
    expected = line.replace("40", str(batch.size_bytes)).replace("18", str(batch.size_bytes))
    assert await printed(batch, capsys) == expected


async def test_normal_prints_every_item(capsys: pytest.CaptureFixture[str]) -> None:
    batch = make_batch(make_request(Signal.LOGS, "first", "second"))
    assert (await printed(batch, capsys, verbosity="normal")).splitlines()[1:] == ["   first", "   second"]


@pytest.mark.parametrize("signal", list(Signal))
async def test_detailed_prints_every_field(signal: Signal, capsys: pytest.CaptureFixture[str]) -> None:
    batch = make_batch(make_request(signal, "the name"), signal=signal)
    assert '"the name"' in await printed(batch, capsys, verbosity="detailed")


@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
async def test_unreadable_record_is_said(verbosity: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = await printed(make_batch(b"\xff\xff\xff"), capsys, verbosity=verbosity)
    assert "unreadable" in out


@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
async def test_control_characters_do_not_reach_the_terminal(verbosity: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = await printed(make_batch(make_request(Signal.LOGS, "\x1b[2Jgone\u202e\x00")), capsys, verbosity=verbosity)
    assert "gone" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


async def test_nested_and_empty_values_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    request = make_request(Signal.LOGS, "x")
    record = request.resource_logs[0].scope_logs[0].log_records[0]  # type: ignore[union-attr]
    record.attributes.add(key="empty")
    record.attributes.add(key="list").value.array_value.values.add().bytes_value = b"\x00\xff"
    assert "empty= list=" in await printed(make_batch(request), capsys, verbosity="normal")


async def test_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    out = await printed(make_batch(make_request(Signal.LOGS, "x" * 100_000)), capsys, verbosity="normal")
    assert len(out) < 1000


async def test_an_ascii_terminal_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    exporter = DebugExporter(DebugConfig(verbosity="normal"))
    await exporter.start()
    await exporter.export(make_batch(make_request(Signal.LOGS, "grün")))
    stream.seek(0)
    assert "gr\\xfcn" in stream.read()


async def test_a_broken_output_is_retryable(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    exporter = DebugExporter(DebugConfig())
    await exporter.start()
    with pytest.raises(RetryableError, match="cannot print"):
        await exporter.export(make_batch(make_request(Signal.LOGS, "x")))


@pytest.mark.parametrize(("thereafter", "lines"), [(0, 2), (1, 10), (4, 4)])
async def test_sampling_counts_within_a_second(
    thereafter: int, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 7.5)
    exporter = DebugExporter(DebugConfig(sampling_thereafter=thereafter))
    await exporter.start()
    for _ in range(10):
        await exporter.export(make_batch(make_request(Signal.LOGS, "x")))
    assert len(capsys.readouterr().out.splitlines()) == lines


async def test_output_goes_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    exporter = DebugExporter(DebugConfig(output_paths=["stderr"]))
    await exporter.start()
    await exporter.export(make_batch(make_request(Signal.LOGS, "x")))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("logs: 1 log records")


async def test_a_batch_without_records_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed(make_batch(), capsys) == ""
