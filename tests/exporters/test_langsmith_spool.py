"""Spans wait on disk until their trace can go: none is lost, none stored twice, whatever happens."""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import psutil
import pytest
from ganglion_collector.component import Batch, Position, Signal, Source
from ganglion_collector.errors import InvalidRequestError, RetryableError, StartError
from ganglion_collector.otlp import parse_request
from ganglion_exporters._langsmith.assembly import ROOT
from ganglion_exporters._langsmith.ids import segment
from ganglion_exporters._langsmith.model import Placed
from ganglion_exporters._langsmith.spool import Delivered, Spool, SpoolSettings
from ganglion_exporters._langsmith.spooled import Part
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.exporters.batches import (
    JOURNAL,
    TRACE_ID,
    batch,
    log,
    logs_batch,
    logs_payload,
    span,
    spans_batch,
    spans_payload,
)
from tests.exporters.langsmith_spooling import TRACES, assembled
from tests.fix_collector import eventually

ROOT_DIRECTORY = Path(__file__).parents[2]
SOURCE = Source(JOURNAL, "test")
SECOND = 10**9
NOW = 1_763_650_800 * SECOND

Opener = Callable[..., Spool]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Open the spool of the test, again after it was closed or left open."""
    spools = list[Spool]()

    def open_spool(**settings: float) -> Spool:
        spools.append(Spool(tmp_path / "spool.sqlite", SpoolSettings(**settings)))  # type: ignore[arg-type]
        return spools[-1]

    yield open_spool
    for spool in spools:
        spool.close()


@pytest.fixture
def spool(opened: Opener) -> Spool:
    return opened()


def child(number: int, **fields: Any) -> Span:
    return span(f"span {number}", span_id=number.to_bytes(8, "big"), parent_span_id=bytes(7) + b"\1", **fields)


def root(**fields: Any) -> Span:
    return span("root", span_id=bytes(7) + b"\1", **fields)


def names(parts: list[Part]) -> list[list[str]]:
    return [sorted(one.parsed()[0].name for one in part.spans) for part in parts]


def deliver(spool: Spool, parts: list[Part], now: int = NOW) -> None:
    """Deliver parts as the sender does, at once."""
    deliveries = list[Delivered]()
    for part in parts:
        assembly = assembled(part)
        deliveries.append(Delivered(part, assembly.placed, assembly.aliases))
    spool.delivered(deliveries, now)


def store_each(spool: Spool, spans: list[Span], sequence: int = 0) -> None:
    for number, one in enumerate(spans):
        spool.store(spans_batch([one], sequence + number), NOW)


def empty(at: Batch) -> Batch:
    return Batch(at.signal, (), at.source, at.start, at.end)


def test_a_span_comes_out_with_its_resource_as_the_request_that_it_would_be_alone(spool: Spool) -> None:
    spans = [root(), child(2, attributes={"gen_ai.prompt": "long " * 1000})]
    payload = spans_payload(spans, {"service.name": "shop"})
    spool.store(batch(Signal.TRACES, payload, 2, 5, received_at=7), NOW)

    (part,) = spool.due(NOW + 3 * SECOND)
    second = next(one for one in part.spans if one.parsed()[0].name == "span 2")
    expected = spans_payload(spans[1:], {"service.name": "shop"})
    request = parse_request(Signal.TRACES, second.record.payload)
    assert request == ExportTraceServiceRequest.FromString(expected)
    assert (second.record.sequence, second.record.first_item, second.record.item_count) == (5, 1, 1)
    assert (second.record.receiver, second.record.received_at) == ("otlp", 7)
    assert second.parsed()[1].attributes[0].value.string_value == "shop"


def test_batch_moves_the_position_and_twice_is_once(spool: Spool) -> None:
    assert spool.position(SOURCE) is None
    first = spans_batch([root()], 3)

    assert spool.store(first, NOW)
    assert spool.position(SOURCE) == Position(4)
    assert not spool.store(first, NOW)
    assert spool.sizes().spans == 1


def test_a_batch_that_starts_elsewhere_is_refused(spool: Spool) -> None:
    spool.store(spans_batch([root()], 3), NOW)

    with pytest.raises(RetryableError, match=r"at 4\.0, not at 9\.0"):
        spool.store(spans_batch([child(2)], 9), NOW)
    assert spool.sizes().spans == 1


def test_a_batch_without_records_only_moves_the_position(spool: Spool) -> None:
    spool.store(empty(spans_batch([root()], 3)), NOW)

    assert (spool.position(SOURCE), spool.sizes().spans) == (Position(4), 0)


def test_readers_have_positions_of_their_own(spool: Spool) -> None:
    spool.store(spans_batch([root()], 3), NOW)
    spool.store(batch(Signal.LOGS, logs_payload([log()]), 1, 9, reader="logs/other"), NOW)

    assert spool.position(SOURCE) == Position(4)
    assert spool.position(Source(JOURNAL, "logs/other")) == Position(10)


def test_a_payload_that_is_none_stores_nothing(spool: Spool) -> None:
    with pytest.raises(InvalidRequestError):
        spool.store(batch(Signal.TRACES, b"\xff\xff", 1), NOW)
    assert spool.position(SOURCE) is None


def test_a_trace_goes_when_its_root_is_there_and_all_is_quiet(spool: Spool) -> None:
    spool.store(spans_batch([child(2)], 0), NOW)
    spool.store(spans_batch([root()], 1), NOW + 5 * SECOND)

    assert spool.next_due() == NOW + 7 * SECOND
    assert spool.due(NOW + 7 * SECOND - 1) == []
    assert names(spool.due(NOW + 7 * SECOND)) == [["root", "span 2"]]


def test_a_trace_without_root_goes_after_the_idle_timeout(spool: Spool) -> None:
    spool.store(spans_batch([child(2)], 0), NOW)

    assert spool.due(NOW + 29 * SECOND) == []
    assert names(spool.due(NOW + 30 * SECOND)) == [["span 2"]]


def test_a_trace_that_never_rests_goes_at_its_maximal_age(spool: Spool) -> None:
    for sequence in range(30):
        spool.store(spans_batch([child(sequence + 2)], sequence), NOW + sequence * 10 * SECOND)

    assert spool.due(NOW + 299 * SECOND) == []
    assert len(spool.due(NOW + 300 * SECOND)) == 1


def test_logs_that_came_long_before_do_not_make_a_trace_old(spool: Spool) -> None:
    spool.store(logs_batch([log_of(2)], 0), NOW)
    spool.store(spans_batch([child(2)], 1), NOW + 290 * SECOND)

    assert spool.next_due() == NOW + 320 * SECOND


def test_a_large_trace_goes_in_parts_with_the_root_in_the_first(opened: Opener) -> None:
    spool = opened(max_spans=4)
    spool.store(spans_batch([*(child(number) for number in range(2, 12)), root()], 0), NOW)

    parts = list[list[str]]()
    while due := spool.due(NOW + 3 * SECOND):
        parts += names(due)
        deliver(spool, due)
    assert [len(part) for part in parts] == [5, 4, 2]
    assert "root" in parts[0]


def test_a_trace_of_many_bytes_goes_in_parts(opened: Opener) -> None:
    spool = opened(max_bytes=20_000)
    spans = [child(number, attributes={"x": random.Random(number).randbytes(8000)}) for number in range(2, 8)]
    spool.store(spans_batch(spans, 0), NOW)

    assert [len(part) for part in names(spool.due(NOW))] == [2]


def test_a_part_stays_the_same_until_it_is_delivered(opened: Opener) -> None:
    spool = opened()
    spool.store(spans_batch([root()], 0), NOW)
    (before,) = spool.due(NOW + 3 * SECOND)
    spool.store(spans_batch([child(2)], 1), NOW + 4 * SECOND)
    spool.close()

    again = opened()
    assert again.due(NOW + 60 * SECOND) == [before]
    deliver(again, [before])
    (late,) = again.due(NOW + 60 * SECOND)
    assert names([late]) == [["span 2"]]
    assert late.known[ROOT].run_id.bytes == TRACE_ID


def test_delivered_spans_are_gone_and_twice_is_once(spool: Spool) -> None:
    spool.store(spans_batch([root()], 0), NOW)
    parts = spool.due(NOW + 3 * SECOND)
    deliver(spool, parts)
    spool.store(spans_batch([child(2)], 1), NOW)
    deliver(spool, parts)

    sizes = spool.sizes()
    assert (sizes.traces, sizes.spans) == (1, 1)
    assert sizes.size_bytes > 0


def test_a_late_span_knows_the_place_of_its_parent(spool: Spool) -> None:
    spool.store(spans_batch([root(), child(2)], 0), NOW)
    deliver(spool, spool.due(NOW + 3 * SECOND))
    spool.store(spans_batch([span("late", parent_span_id=(2).to_bytes(8, "big"))], 1), NOW + 9 * SECOND)

    (part,) = spool.due(NOW + 12 * SECOND)
    assert set(part.known) == {ROOT, (2).to_bytes(8, "big")}


def test_places_are_forgotten_when_they_are_old(spool: Spool) -> None:
    spool.store(spans_batch([root(), child(2)], 0), NOW)
    deliver(spool, spool.due(NOW + 3 * SECOND))

    assert spool.forget(NOW + 3599 * SECOND) == 0
    assert spool.forget(NOW + 3600 * SECOND, limit=2) == 2
    assert spool.forget(NOW + 3600 * SECOND) == 1


@pytest.mark.parametrize("refused", [1, 2], ids=["root", "child"])
def test_a_span_whose_run_was_refused_is_new_when_it_is_replayed(spool: Spool, refused: int) -> None:
    spans = [root(start_time_unix_nano=NOW), child(2, start_time_unix_nano=NOW)]
    spool.store(spans_batch(spans, 0), NOW)
    (part,) = spool.due(NOW + 3 * SECOND)
    first = assembled(part)
    delivery = Delivered(part, first.placed).without({first.runs[refused - 1].id})
    spool.delivered([delivery], NOW)

    spool.store(spans_batch([spans[refused - 1]], 1), NOW + 9 * SECOND)
    (again,) = spool.due(NOW + 60 * SECOND)
    second = assembled(again)
    assert second.runs == [first.runs[refused - 1]]


def test_a_span_that_comes_twice_waits_once(spool: Spool) -> None:
    spool.store(spans_batch([root()], 0), NOW)
    spool.store(spans_batch([root()], 1), NOW)

    assert (spool.sizes().spans, spool.duplicates) == (1, 1)


def test_traces_that_are_skipped_or_postponed_let_others_go(spool: Spool) -> None:
    spool.store(spans_batch([root(), root(trace_id=bytes(15) + b"\1"), root(trace_id=bytes(15) + b"\2")], 0), NOW)
    at = NOW + 3 * SECOND
    first, second, third = spool.due(at)

    spool.postpone([first], at + 60 * SECOND, at)
    assert spool.due(at, skip={second.trace}) == [third]
    assert spool.due(at, limit=1, skip={second.trace}) == [third]
    assert first in spool.due(at + 60 * SECOND)


def test_a_span_below_a_runs_own_id_waits_for_the_run(spool: Spool) -> None:
    run = bytes.fromhex("01a1f97858647e4889d39336ea28b858")
    spool.store(spans_batch([span("native", trace_id=run, parent_span_id=run[:8])], 0), NOW)
    assert spool.next_due() == NOW + 300 * SECOND

    spool.store(spans_batch([root()], 1), NOW)
    (part,) = spool.due(NOW + 3 * SECOND)
    placed = Placed(UUID(bytes=run), segment(NOW, UUID(bytes=run)))
    spool.delivered([Delivered(part, {ROOT: placed}, {(run, run[:8]): placed})], NOW + 3 * SECOND)

    (native,) = spool.due(NOW + 5 * SECOND)
    assert native.known == {run[:8]: placed}


def log_of(number: int, message: str = "hello") -> LogRecord:
    return log(message, span_id=number.to_bytes(8, "big"))


def test_logs_come_with_their_spans(spool: Spool) -> None:
    spool.store(logs_batch([log_of(1, "a"), log_of(2, "b"), log_of(1, "c"), log("no span")], 0), NOW)
    spool.store(spans_batch([root(), child(2)], 1), NOW)

    (part,) = spool.due(NOW + 3 * SECOND)
    messages = {
        int.from_bytes(key, "big"): [LogRecord.FromString(one).body.string_value for one in logs]
        for key, logs in part.logs.items()
    }
    assert messages == {1: ["a", "c"], 2: ["b"]}
    deliver(spool, [part])
    assert spool.sizes().traces == 0


def test_logs_wait_for_a_late_span(spool: Spool) -> None:
    spool.store(spans_batch([root()], 0), NOW)
    spool.store(logs_batch([log_of(2)], 1), NOW)
    deliver(spool, spool.due(NOW + 3 * SECOND))
    spool.store(spans_batch([child(2)], 2), NOW + 4 * SECOND)

    (part,) = spool.due(NOW + 9 * SECOND)
    assert len(part.logs) == 1


def test_logs_whose_span_never_comes_are_dropped_and_counted(spool: Spool) -> None:
    spool.store(logs_batch([log_of(1), log_of(2)], 0), NOW)

    assert spool.due(NOW + 300 * SECOND) == []
    assert (spool.sizes().traces, spool.dropped_logs) == (0, 2)


def test_a_trace_takes_so_many_logs(opened: Opener) -> None:
    spool = opened(max_logs=3)
    spool.store(logs_batch([log_of(1), log_of(1)], 0), NOW)
    spool.store(logs_batch([log_of(1), log_of(1)], 1), NOW)

    assert spool.dropped_logs == 1


def test_a_full_spool_refuses_and_lets_the_oldest_go_early(opened: Opener) -> None:
    spool = opened(quota_mib=1)
    spans = [
        child(number, trace_id=number.to_bytes(16, "big"), attributes={"x": random.Random(number).randbytes(60_000)})
        for number in range(1, 41)
    ]
    with pytest.raises(RetryableError, match="1 MiB"):
        store_each(spool, spans)
    held = spool.sizes().traces
    assert spool.position(SOURCE) == Position(held)

    deliver(spool, spool.due(NOW, limit=1))
    position = spool.position(SOURCE)
    assert position is not None
    spool.store(spans_batch([root()], position.sequence), NOW)
    assert spool.sizes().traces == held


def test_a_full_spool_still_moves_past_what_is_no_span(opened: Opener) -> None:
    spool = opened(quota_mib=0)

    spool.store(empty(spans_batch([root()], 0)), NOW)
    assert spool.position(SOURCE) == Position(1)


def test_a_clock_that_was_set_back_holds_nothing_up(spool: Spool) -> None:
    spool.store(spans_batch([root()], 0), NOW)

    assert len(spool.due(NOW - 3600 * SECOND)) == 1


def test_only_the_user_can_read_the_file(spool: Spool, tmp_path: Path) -> None:
    spool.store(spans_batch([root()], 0), NOW)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("spool.sqlite*")} == {0o600}


@pytest.mark.parametrize(
    "content", [b"not a database " * 500, b"SQLite format 3\0" + bytes(9000)], ids=["text", "torn"]
)
def test_a_damaged_file_is_moved_aside_and_said(
    tmp_path: Path, opened: Opener, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool.sqlite").write_bytes(content)

    spool = opened()
    assert spool.store(spans_batch([root()], 0), NOW)
    (aside,) = tmp_path.glob("spool.sqlite.damaged-*")
    assert aside.read_bytes() == content
    assert str(aside) in caplog.text


def test_a_file_damaged_in_use_is_moved_aside_and_a_new_one_begun(tmp_path: Path, opened: Opener) -> None:
    spool = opened()
    store_each(spool, [child(number, attributes={"x": os.urandom(9000)}) for number in range(20)])
    spool.close()
    path = tmp_path / "spool.sqlite"
    path.write_bytes(path.read_bytes()[:8192] + os.urandom(path.stat().st_size - 8192))

    with pytest.raises(RetryableError):
        store_each(spool, [child(number) for number in range(100, 120)], 20)
    assert spool.position(SOURCE) is None
    assert spool.store(spans_batch([root()], 20), NOW)
    assert list(tmp_path.glob("spool.sqlite.damaged-*"))


def test_another_programs_file_is_moved_aside(tmp_path: Path, opened: Opener) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.sqlite")) as database:
        database.execute("CREATE TABLE theirs (x)")

    assert opened().sizes().traces == 0


def test_a_newer_versions_file_is_left_alone(tmp_path: Path, spool: Spool, opened: Opener) -> None:
    spool.close()
    with closing(sqlite3.connect(tmp_path / "spool.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(StartError, match="newer version"):
        opened()


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot use"):
        Spool(tmp_path / "missing" / "spool.sqlite", SpoolSettings())


def test_several_threads_use_one_spool(spool: Spool) -> None:
    delivered = list[str]()

    def store() -> None:
        for sequence in range(60):
            spool.store(spans_batch([root(trace_id=(sequence + 1).to_bytes(16, "big"))], sequence), NOW)

    def send() -> None:
        while len(delivered) < 60:
            parts = spool.due(NOW + 3 * SECOND, limit=5)
            deliver(spool, parts)
            delivered.extend(part.trace.hex() for part in parts)

    threads = [Thread(target=store, daemon=True), Thread(target=send, daemon=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert len(set(delivered)) == len(delivered) == 60


def test_ten_thousand_open_traces_cost_no_memory(spool: Spool) -> None:
    process = psutil.Process()
    spool.store(spans_batch([root()], 0), NOW)
    before = process.memory_info().rss
    for sequence in range(1, 21):
        spans = [
            root(trace_id=(sequence * 1000 + number).to_bytes(16, "big"), attributes={"gen_ai.prompt": "p" * 2000})
            for number in range(500)
        ]
        spool.store(spans_batch(spans, sequence), NOW)

    assert spool.sizes().traces == 10_001
    assert process.memory_info().rss - before < 20 * 1024 * 1024


def killed(command: list[str], posts: Path, size: int) -> bool:
    """Run `command` until it has written `size` bytes to `posts`, then kill it; False if it ended before."""
    with subprocess.Popen(command, cwd=ROOT_DIRECTORY) as process:
        try:
            eventually(lambda: posts.stat().st_size >= size or process.poll() is not None, timeout=30)
        finally:
            process.kill()
    return process.returncode != 0


@pytest.mark.timeout(120)
def test_killed_at_any_moment_every_span_becomes_one_run_at_one_place(tmp_path: Path) -> None:
    batches, posts = 60, tmp_path / "posts"
    posts.touch()
    command = [sys.executable, "-m", "tests.exporters.langsmith_spooling", str(tmp_path), str(batches)]
    for _ in range(6):
        assert killed(command, posts, posts.stat().st_size + random.randrange(1, 12_000))
    subprocess.run(command, cwd=ROOT_DIRECTORY, check=True, timeout=60)

    lines = {line for line in posts.read_text().splitlines(keepends=True) if line.endswith("\n")}
    spans = [line.split()[0] for line in lines if not line.endswith("(missing_root)\n")]
    assert len(spans) == len(set(spans)) == TRACES * batches
    there = {line.split()[0] for line in lines}
    assert all(part[-36:] in there for line in lines for part in line.split()[1].split("."))
    with closing(Spool(tmp_path / "spool.sqlite", SpoolSettings())) as spool:
        assert spool.sizes().traces == 0
