"""The journal: what is acknowledged is read again, once, in order, by everybody."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Self
from uuid import UUID

import pytest
from ganglion_collector.component import BatchBounds, Position, Record, Signal
from ganglion_collector.errors import (
    ConfigError,
    InvalidRequestError,
    JournalLostError,
    RefusedError,
    RetryableError,
    TooLargeError,
)
from ganglion_collector.journal import Entry, JournalReader, JournalWriter
from ganglion_collector.journal.store import open_reader, open_writer, unconfigured_readers
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

QUOTA = 1024 * 1024
SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
BEGINNING = Position()
ALL = BatchBounds(max_items=1_000_000, max_bytes=1 << 30)


def entry(payload: bytes, *, at: float = 0.0, tenant: str = "", signal: Signal = Signal.LOGS, items: int = 1) -> Entry:
    context = {"tenant": tenant} if tenant else {}
    return Entry(signal, "otlp", NOW + int(at * SECOND), items, payload, context)


def logs(count: int, size: int = 10) -> bytes:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number in range(count):
        records.add().body.string_value = f"{number:0{size}d}"
    return request.SerializeToString()


def bodies(record: Record) -> list[int]:
    request = ExportLogsServiceRequest.FromString(record.payload)
    return [int(log.body.string_value) for log in request.resource_logs[0].scope_logs[0].log_records]


def append(directory: Path, *payloads: bytes, quota: int = QUOTA) -> None:
    writer = open_writer(directory, quota_bytes=quota, deduplication_window=0)
    assert list(writer.append([entry(payload) for payload in payloads])) == [True] * len(payloads)
    writer.close()


def read_all(reader: JournalReader, start: Position = BEGINNING, bounds: BatchBounds = ALL) -> list[Record]:
    found: list[Record] = []
    while True:
        records, end = reader.read(start, bounds, Signal.LOGS, ["otlp"])
        found += records
        if end == start:
            return found
        start = end


def payloads(directory: Path) -> list[bytes]:
    reader = open_reader(directory, "logs/test")
    found = [record.payload for record in read_all(reader)]
    reader.close()
    return found


def last_segment(directory: Path) -> Path:
    return max((directory / "segments").glob("*.log"))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=300)
    yield writer
    writer.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[JournalReader]:
    reader = open_reader(tmp_path, "logs/test")
    yield reader
    reader.close()


def test_what_is_appended_is_read_with_all_its_fields(writer: JournalWriter, reader: JournalReader) -> None:
    writer.append([Entry(Signal.LOGS, "otlp/edge", NOW, 3, b"payload", {"tenant": "Łódź"})])
    records, end = reader.read(Position(), ALL, Signal.LOGS, ["otlp/edge"])
    assert records == (Record(0, Signal.LOGS, "otlp/edge", NOW, 3, b"payload", {"tenant": "Łódź"}),)
    assert end == Position(1)
    assert reader.read(end, ALL, Signal.LOGS, ["otlp/edge"]) == ((), end)


def test_reader_may_be_opened_before_the_writer(tmp_path: Path) -> None:
    reader = open_reader(tmp_path, "logs/test")
    assert reader.read(Position(), ALL, Signal.LOGS, ["otlp"]) == ((), Position())
    append(tmp_path, b"one")
    assert [record.payload for record in read_all(reader)] == [b"one"]
    reader.close()


def test_other_signals_and_receivers_are_passed_over(writer: JournalWriter, reader: JournalReader) -> None:
    writer.append([entry(b"span", signal=Signal.TRACES), entry(b"log"), entry(b"span 2", signal=Signal.TRACES)])
    assert [record.payload for record in read_all(reader)] == [b"log"]
    assert reader.read(Position(), ALL, Signal.LOGS, ["other"]) == ((), Position(3))
    assert reader.read(Position(), ALL, Signal.METRICS, ["otlp"]) == ((), Position(3))


def test_batches_keep_the_bounds(writer: JournalWriter, reader: JournalReader) -> None:
    writer.append([entry(bytes([number]) * 100, items=10) for number in range(10)])
    by_items, end = reader.read(Position(), BatchBounds(max_items=35, max_bytes=QUOTA), Signal.LOGS, ["otlp"])
    by_bytes, _ = reader.read(end, BatchBounds(max_items=1000, max_bytes=250), Signal.LOGS, ["otlp"])
    assert [record.sequence for record in by_items] == [0, 1, 2]
    assert [record.sequence for record in by_bytes] == [3, 4]


@pytest.mark.parametrize("bounds", [BatchBounds(max_items=7), BatchBounds(max_bytes=100), BatchBounds(max_bytes=1)])
def test_record_above_the_bounds_is_sliced(writer: JournalWriter, reader: JournalReader, bounds: BatchBounds) -> None:
    writer.append([entry(logs(20), items=20), entry(logs(2), items=2)])
    found = read_all(reader, bounds=bounds)
    assert [body for record in found for body in bodies(record)] == [*range(20), 0, 1]
    assert all(record.item_count == len(bodies(record)) <= bounds.max_items for record in found)


def test_position_inside_a_record_is_resumed(tmp_path: Path, writer: JournalWriter, reader: JournalReader) -> None:
    writer.append([entry(b"before"), entry(logs(20), items=20)])
    reader.commit(Position(1, 15))
    reopened = open_reader(tmp_path, "logs/test")
    position = reopened.position()
    assert position == Position(1, 15)
    (record,) = read_all(reopened, position)
    assert (record.first_item, record.item_count, bodies(record)) == (15, 5, [15, 16, 17, 18, 19])
    reopened.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"journal": 1}', b"\xff"])
def test_damaged_position_counts_as_absent_and_is_said(
    tmp_path: Path, reader: JournalReader, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader.commit(Position(5))
    next((tmp_path / "positions").iterdir()).write_bytes(content)
    assert reader.position() is None
    assert "logs/test begins at the oldest record" in caplog.text


def test_small_commits_overwrite_zeros_that_are_cut_off_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
    segment = last_segment(tmp_path)
    writer.append([entry(b"one")])
    size = segment.stat().st_size
    writer.append([entry(b"two")])
    assert size == segment.stat().st_size > writer.usage().size_bytes
    killed = segment.read_bytes()
    writer.close()
    assert segment.stat().st_size == writer.usage().size_bytes
    segment.write_bytes(killed)
    reopened = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
    assert segment.stat().st_size == reopened.usage().size_bytes
    reopened.append([entry(b"three")])
    reader = open_reader(tmp_path, "logs/test")
    assert [record.payload for record in read_all(reader)] == [b"one", b"two", b"three"]
    assert not caplog.records
    reader.close()
    reopened.close()


def test_position_of_two_halves_counts_as_absent(tmp_path: Path, reader: JournalReader) -> None:
    file = tmp_path / "positions" / "logs%2Ftest.json"
    reader.commit(Position(1_999))
    old = file.read_bytes()
    reader.commit(Position(2_000))
    new = file.read_bytes()
    cut = new.index(b"2000") + 1
    file.write_bytes(new[:cut] + old[cut:])
    assert reader.position() is None
    reader.commit(Position(2_001))
    assert reader.position() == Position(2_001)


def test_position_survives_kill_9_and_close_makes_it_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name))
    reader = open_reader(tmp_path, "logs/test")
    synced.clear()
    for sequence in range(1, 4):
        reader.commit(Position(sequence))
    assert synced == []
    other = open_reader(tmp_path, "logs/test")
    assert other.position() == Position(3)
    other.close()
    reader.close()
    assert synced == ["logs%2Ftest.json"]


def test_new_journal_does_not_inherit_positions(tmp_path: Path, reader: JournalReader) -> None:
    reader.commit(Position(5))
    (tmp_path / "journal.json").unlink()
    shutil.rmtree(tmp_path / "segments", ignore_errors=True)
    anew = open_reader(tmp_path, "logs/test")
    assert anew.identity != reader.identity
    assert anew.position() is None
    anew.close()


def test_readers_that_left_the_configuration_are_listed(tmp_path: Path) -> None:
    for name in ("logs/debug", "logs/old exporter", "traces/ü"):
        reader = open_reader(tmp_path, name)
        reader.commit(Position(1))
        reader.close()
    assert unconfigured_readers(tmp_path, ["logs/debug"]) == ["logs/old exporter", "traces/ü"]


def test_second_writer_is_told_who_writes(tmp_path: Path, writer: JournalWriter) -> None:
    with pytest.raises(ConfigError, match=rf"in use by another collector \(process {os.getpid()}\)"):
        open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
    writer.close()
    open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0).close()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("photo.jpg", "x", "no journal"),
        ("journal.json", "", "damaged"),
        ("journal.json", "[]", "damaged"),
        ("journal.json", '{"format": 1}', "damaged"),
        ("journal.json", json.dumps({"format": 7, "identity": str(UUID(int=1))}), "has format 7"),
    ],
)
def test_folder_that_is_no_journal_of_ours_is_refused(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=reason):
        open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
    with pytest.raises(ConfigError, match=reason):
        open_reader(tmp_path, "logs/test")


def test_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="give a folder"):
        open_writer(tmp_path / "file", quota_bytes=QUOTA, deduplication_window=0)


class TestDuplicates:
    @pytest.mark.parametrize(
        ("second", "stored"),
        [
            (entry(b"a"), False),
            (entry(b"a", at=300), False),
            (entry(b"a", at=302), True),
            (entry(b"a", at=-100), False),
            (entry(b"a", tenant="b"), True),
            (entry(b"a", signal=Signal.TRACES), True),
            (entry(b"b"), True),
        ],
    )
    def test_identical_request_within_the_window_is_stored_once(
        self, tmp_path: Path, second: Entry, *, stored: bool
    ) -> None:
        for reopen in (False, True):
            directory = tmp_path / str(reopen)
            writer = open_writer(directory, quota_bytes=QUOTA, deduplication_window=300)
            assert writer.append([entry(b"a")]) == [True]
            if reopen:
                writer.close()
                writer = open_writer(directory, quota_bytes=QUOTA, deduplication_window=300)
            assert writer.append([second]) == [stored]
            writer.close()

    def test_two_in_one_group_are_stored_once(self, writer: JournalWriter, reader: JournalReader) -> None:
        assert writer.append([entry(b"a"), entry(b"b"), entry(b"a"), entry(b"a")]) == [True, True, False, False]
        assert [record.payload for record in read_all(reader)] == [b"a", b"b"]

    def test_twin_of_a_failed_request_fails_too(self, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_syncs(monkeypatch, 1)
        outcomes = writer.append([entry(b"a"), entry(b"a")])
        assert [type(outcome) for outcome in outcomes] == [RefusedError, RefusedError]
        assert writer.append([entry(b"a"), entry(b"a")]) == [True, False]

    def test_are_known_after_their_segment_was_trimmed_and_a_restart(self, tmp_path: Path) -> None:
        writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=300)
        first = [entry(bytes([number]) * 30_000) for number in range(20)]
        for one in first:
            writer.append([one])
        reader = open_reader(tmp_path, "logs/test")
        reader.commit(Position(20))
        assert writer.trim(["logs/test"]) > 500_000
        writer.close()
        writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=300)
        assert writer.append(first) == [False] * 20
        writer.close()
        reader.close()

    def test_window_of_zero_stores_everything(self, tmp_path: Path) -> None:
        append(tmp_path, b"a", b"a")
        assert payloads(tmp_path) == [b"a", b"a"]

    def test_remembered_requests_are_bounded(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=300)
        writer.append([entry(number.to_bytes(4, "big")) for number in range(1500)])
        assert writer.append([entry((1499).to_bytes(4, "big")), entry((0).to_bytes(4, "big"))]) == [False, True]
        assert caplog.text.count("older ones forgotten") == 1
        writer.close()


class TestQuota:
    def test_ten_times_the_quota_passes_through(self, tmp_path: Path) -> None:
        writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
        reader = open_reader(tmp_path, "logs/test")
        random, position, seen, sent, passed = Random(1), Position(), 0, 0, 0
        while passed < 10 * QUOTA:
            size = random.choice([300, 3_000, 30_000, 200_000])
            while isinstance(writer.append([entry(random.randbytes(size))])[0], RefusedError):
                records, position = reader.read(position, ALL, Signal.LOGS, ["otlp"])
                seen += len(records)
                reader.commit(position)
                assert writer.trim(["logs/test"]) > 0
            sent, passed = sent + 1, passed + size
            on_disk = sum(file.stat().st_size for file in (tmp_path / "segments").iterdir())
            assert on_disk <= QUOTA + 1000
        assert seen + len(read_all(reader, position)) == sent
        writer.close()
        reader.close()

    def test_full_is_refused_until_the_slowest_reader_goes_on(self, tmp_path: Path, writer: JournalWriter) -> None:
        numbers = iter(range(1000))
        while (outcome := writer.append([entry(next(numbers).to_bytes(2, "big") * 5000)])[0]) is True:
            pass
        assert isinstance(outcome, RefusedError)
        assert outcome.retry_after > 0
        fast, slow = open_reader(tmp_path, "logs/fast"), open_reader(tmp_path, "logs/slow")
        fast.commit(Position(100))
        assert writer.trim(["logs/fast", "logs/slow"]) == 0
        slow.commit(Position(30))
        assert writer.trim(["logs/fast", "logs/slow"]) > 0
        assert 0 < slow.oldest().sequence <= 30
        assert writer.append([entry(b"again")]) == [True]
        slow.close()
        fast.close()

    def test_reader_that_is_not_configured_does_not_hold_the_trim(self, tmp_path: Path, writer: JournalWriter) -> None:
        for number in range(20):
            writer.append([entry(bytes([number]) * 30_000)])
        reader, gone = open_reader(tmp_path, "logs/test"), open_reader(tmp_path, "logs/gone")
        gone.commit(Position(1))
        reader.commit(Position(20))
        assert writer.trim(["logs/test"]) > 500_000
        reader.close()
        gone.close()

    def test_request_above_the_quota_is_an_error_for_good(self, writer: JournalWriter) -> None:
        outcomes = writer.append([entry(bytes(QUOTA)), entry(b"small")])
        assert isinstance(outcomes[0], TooLargeError)
        assert outcomes[1] is True

    def test_request_as_large_as_the_quota_goes_through_an_empty_journal(self, tmp_path: Path) -> None:
        writer = open_writer(tmp_path, quota_bytes=8192, deduplication_window=0)
        reader = open_reader(tmp_path, "logs/test")
        writer.append([entry(b"small")])
        assert isinstance(writer.append([entry(bytes(8120))])[0], RefusedError)
        reader.commit(Position(1))
        assert writer.trim(["logs/test"]) > 0
        assert writer.append([entry(bytes(8120))]) == [True]
        assert [len(record.payload) for record in read_all(reader, Position(1))] == [8120]
        writer.close()
        reader.close()

    def test_context_that_cannot_be_stored_harms_nobody_else(self, writer: JournalWriter) -> None:
        outcomes = writer.append([entry(b"a", tenant="\ud800"), entry(b"b", tenant="x" * 20_000), entry(b"c")])
        assert [type(outcome) for outcome in outcomes] == [InvalidRequestError, InvalidRequestError, bool]

    def test_sequences_go_on_after_everything_was_trimmed(self, tmp_path: Path) -> None:
        for cycle in range(3):
            writer = open_writer(tmp_path, quota_bytes=8192, deduplication_window=0)
            reader = open_reader(tmp_path, "logs/test")
            assert writer.append([entry(bytes(8000))]) == [True]
            assert isinstance(writer.append([entry(bytes(8000))])[0], RefusedError)
            reader.commit(Position(cycle + 1))
            writer.trim(["logs/test"])
            assert writer.usage().size_bytes == 0
            assert writer.usage().next == cycle + 1
            writer.close()
            reader.close()

    def test_trimmed_position_begins_at_the_oldest_and_is_said(
        self, writer: JournalWriter, reader: JournalReader, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(20):
            writer.append([entry(bytes([number]) * 30_000)])
        reader.commit(Position(20))
        writer.trim(["logs/test"])
        assert read_all(reader, Position(1))[0].sequence == reader.oldest().sequence > 1
        assert f"records 1 to {reader.oldest().sequence - 1} were trimmed before they were read" in caplog.text
        caplog.clear()
        assert read_all(reader, Position())
        assert caplog.text == "", "a new reader has not missed anything"

    def test_reader_goes_on_though_its_segment_is_deleted_under_it(
        self, writer: JournalWriter, reader: JournalReader
    ) -> None:
        for number in range(20):
            writer.append([entry(bytes([number]) * 30_000)])
        _, end = reader.read(Position(), BatchBounds(max_items=2), Signal.LOGS, ["otlp"])
        reader.commit(Position(20))
        writer.trim(["logs/test"])
        rest, _ = reader.read(end, ALL, Signal.LOGS, ["otlp"])
        assert end.sequence == rest[0].sequence < reader.oldest().sequence
        assert rest[-1].sequence == 19


class TestDamage:
    @pytest.mark.parametrize("harm", ["cut", "garble", "zero"])
    def test_torn_tail_at_every_byte_loses_the_last_record_only(
        self, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        template = tmp_path / "template"
        append(template, b"first", b"second" * 3)
        size = len(last_segment(template).read_bytes())
        append(template, b"third" * 4)
        whole = last_segment(template).read_bytes()
        for offset in range(size, len(whole)):
            directory = shutil.copytree(template, tmp_path / f"{offset}")
            (directory / "durable").unlink()
            torn = {
                "cut": whole[:offset],
                "garble": whole[:offset] + bytes([whole[offset] ^ 0x55]) + whole[offset + 1 :],
                "zero": whole[:offset] + bytes(len(whole) - offset) if any(whole[offset:]) else whole[:offset],
            }[harm]
            last_segment(directory).write_bytes(torn)
            append(directory, b"next")
            assert payloads(directory) == [b"first", b"second" * 3, b"next"], offset
        assert harm == "cut" or "unfinished write" in caplog.text

    @pytest.mark.parametrize("offset", [0, 10, 30, 60, 100, 2000])
    def test_damage_in_the_middle_loses_one_record_and_is_said(
        self, tmp_path: Path, offset: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        append(tmp_path, *(bytes([number]) * 3000 for number in range(8)))
        segment = last_segment(tmp_path)
        content = bytearray(segment.read_bytes())
        frame = len(content) // 8
        content[3 * frame + offset] ^= 1
        segment.write_bytes(content)
        left = [bytes([number]) * 3000 for number in range(8) if number != 3]
        assert payloads(tmp_path) == left
        assert "unreadable or gone, passed over" in caplog.text
        append(tmp_path, b"next")
        assert payloads(tmp_path) == [*left, b"next"]

    def test_lost_segment_in_the_middle_is_passed_over(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        writer = open_writer(tmp_path, quota_bytes=QUOTA, deduplication_window=0)
        for number in range(20):
            writer.append([entry(bytes([number]) * 30_000)])
        segments = sorted((tmp_path / "segments").glob("*.log"))
        segments[2].unlink()
        segments[4].write_bytes(b"")
        gone = 2 * (int(segments[3].stem) - int(segments[2].stem))
        assert len(payloads(tmp_path)) == 20 - gone
        assert caplog.text.count("unreadable or gone") == 2
        writer.close()

    def test_payload_that_looks_like_a_record_is_never_read_as_one(self, tmp_path: Path) -> None:
        append(tmp_path / "other", b"forged")
        forged = last_segment(tmp_path / "other").read_bytes()
        append(tmp_path / "mine", b"x" + forged * 10, b"second")
        segment = last_segment(tmp_path / "mine")
        content = bytearray(segment.read_bytes())
        content[8] ^= 1
        segment.write_bytes(content)
        assert payloads(tmp_path / "mine") == [b"second"]

    def test_tail_lost_after_the_readers_saw_it_never_reuses_sequences(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        append(tmp_path, b"a", b"b", b"c")
        reader = open_reader(tmp_path, "logs/test")
        reader.commit(Position(3))
        segment = last_segment(tmp_path)
        os.truncate(segment, segment.stat().st_size // 3)
        os.truncate(tmp_path / "durable", 0)
        append(tmp_path, b"d")
        assert "records 1 to 2 are lost" in caplog.text
        assert [(record.sequence, record.payload) for record in read_all(reader, Position(3))] == [(3, b"d")]
        reader.close()

    def test_position_beyond_the_end_is_said(
        self, writer: JournalWriter, reader: JournalReader, caplog: pytest.LogCaptureFixture
    ) -> None:
        writer.append([entry(b"a")])
        assert reader.read(Position(50), ALL, Signal.LOGS, ["otlp"]) == ((), Position(50))
        assert "beyond the journal's end" in caplog.text


def write_half_then_fail(descriptor: int, buffers: list[bytes], offset: int) -> int:
    whole = b"".join(buffers)
    os.pwrite(descriptor, whole[: len(whole) // 2], offset)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_syncs(monkeypatch: pytest.MonkeyPatch, times: int, meanwhile: Callable[[], object] = list) -> None:
    """Let the next `times` fsyncs fail as a dying disk's do, which no test machine has."""
    left = [times]

    def sync(descriptor: int) -> None:
        if left[0]:
            left[0] -= 1
            meanwhile()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)


class TestFailingDisk:
    def test_failed_fsync_is_refused_and_never_acknowledged_later(
        self, tmp_path: Path, writer: JournalWriter, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer.append([entry(b"before")])
        fail_syncs(monkeypatch, 1)
        (outcome,) = writer.append([entry(b"lost")])
        assert isinstance(outcome, RefusedError)
        assert [record.payload for record in read_all(reader)] == [b"before"]
        assert writer.append([entry(b"after")]) == [True]
        assert [record.payload for record in read_all(reader)] == [b"before", b"after"]
        assert len(list((tmp_path / "segments").glob("*.log"))) == 2

    def test_tail_that_could_not_be_cut_is_never_read(
        self, tmp_path: Path, writer: JournalWriter, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after a power failure that undid the cut: two segments hold a record of the same sequence."""
        writer.append([entry(b"before")])
        fail_syncs(monkeypatch, 1)
        monkeypatch.setattr(os, "ftruncate", lambda *_: None)
        assert isinstance(writer.append([entry(b"lost")])[0], RefusedError)
        assert writer.append([entry(b"after")]) == [True]
        assert b"lost" in min((tmp_path / "segments").glob("*.log")).read_bytes()
        assert [record.payload for record in read_all(reader)] == [b"before", b"after"]
        assert payloads(tmp_path) == [b"before", b"after"]

    def test_reader_that_looked_during_a_failed_write_keeps_nothing_of_it(
        self, writer: JournalWriter, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer.append([entry(b"before")])
        seen: list[Record] = []
        fail_syncs(monkeypatch, 1, lambda: seen.extend(read_all(reader)))
        assert isinstance(writer.append([entry(b"lost" * 8000)])[0], RefusedError)
        assert writer.append([entry(b"after")]) == [True]
        seen += read_all(reader, Position(1))
        assert [record.payload for record in seen] == [b"before", b"after"]

    def test_failed_fsync_of_an_empty_journal_is_overcome(
        self, writer: JournalWriter, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail_syncs(monkeypatch, 2)
        assert all(isinstance(writer.append([entry(b"a")])[0], RefusedError) for _ in range(2))
        assert writer.append([entry(b"a")]) == [True]
        assert [record.payload for record in read_all(reader)] == [b"a"]

    def test_file_size_limit_refuses_and_loses_nothing(self, tmp_path: Path) -> None:
        """A process whose files may have 200 kB: a write beyond fails as on a full disk, first in part."""
        done = run_python(_UNDER_A_SIZE_LIMIT, tmp_path)
        assert done == ["0 refused 3", "1 stored"]
        assert len(payloads(tmp_path)) == 2

    def test_full_disk_refuses_then_accepts_without_a_restart(
        self,
        writer: JournalWriter,
        reader: JournalReader,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer.append([entry(b"before")])
        with monkeypatch.context() as disk:
            disk.setattr(os, "pwritev", write_half_then_fail)
            writer.append([entry(b"lost")])
            outcomes = writer.append([entry(b"lost"), entry(b"lost too")])
        assert all(isinstance(outcome, RefusedError) and outcome.retry_after > 0 for outcome in outcomes)
        assert "No space left on device" in str(outcomes[0])
        assert writer.append([entry(b"lost"), entry(b"after")]) == [True, True]
        assert [record.payload for record in read_all(reader)] == [b"before", b"lost", b"after"]
        assert [record.message for record in caplog.records] == [
            "journal: cannot write, requests are refused: No space left on device",
            "journal: writes again",
        ]

    def test_position_moves_on_a_full_disk(
        self, tmp_path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def no_new_files(path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
            if flags & os.O_CREAT and not Path(path).exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(path, flags, mode)

        with monkeypatch.context() as disk:
            disk.setattr(os, "open", no_new_files)
            assert reader.position() is None
            for position in (Position(123_456, 7), Position(200_000)):
                reader.commit(position)
                assert reader.position() == position
            next((tmp_path / "positions").iterdir()).unlink()
            with pytest.raises(RetryableError, match="No space left"):
                reader.commit(Position(5))


_UNDER_A_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from ganglion_collector.component import Signal
from ganglion_collector.journal import Entry
from ganglion_collector.journal.store import open_writer
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
writer = open_writer(Path(sys.argv[1]), quota_bytes=16 << 20, deduplication_window=0)
def append(size):
    return writer.append([Entry(Signal.LOGS, "otlp", 0, 1, bytes(size), {})])[0] is True
append(1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
print(0, "refused", [append(300_000) for _ in range(3)].count(False))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(1, "stored" if append(300_000) else "refused")
writer.close()
"""


def run_python(code: str, *arguments: object) -> list[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=15)
    return done.stdout.splitlines()


_APPENDER = """
import os, random, sys
from pathlib import Path
from ganglion_collector.component import Signal
from ganglion_collector.journal import Entry
from ganglion_collector.journal.store import open_writer

def append_for_ever(life):
    writer = open_writer(Path(sys.argv[1]), quota_bytes=64 << 20, deduplication_window=300)
    number = 0
    while True:
        entries = [
            Entry(Signal.LOGS, "otlp", 1_795_000_000_000_000_000, 1, f"{life}/{number + n}/".encode() + bytes(size), {})
            for n, size in enumerate(random.choices([0, 300, 5000, 70_000], k=random.randint(1, 4)))
        ]
        number += len(entries)
        assert list(writer.append(entries)) == [True] * len(entries)
        os.write(1, b"".join(entry.payload.rstrip(bytes(1)) + b"\\n" for entry in entries))

for line in sys.stdin:
    child = os.fork()
    if not child:
        os.write(1, b"%d\\n" % os.getpid())
        append_for_ever(int(line))
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


class Appender:
    """A process that appends for ever, in one life after another, and prints what was acknowledged."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-c", _APPENDER, str(directory)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._alive = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._alive:
            os.kill(self._alive, signal.SIGKILL)
        with self._process:
            self._process.kill()

    def live(self, life: int) -> None:
        self._stdin.write(b"%d\n" % life)
        self._stdin.flush()
        self._alive = int(self._stdout.readline())

    def acknowledged(self) -> bytes:
        return self._stdout.readline().strip()

    def kill(self) -> list[bytes]:
        """Kill -9; return what was acknowledged until then."""
        os.kill(self._alive, signal.SIGKILL)
        self._alive = 0
        return [line.strip() for line in iter(self._stdout.readline, b"dead\n")]


class TestOtherProcesses:
    def test_killed_appender_loses_and_doubles_nothing(self, tmp_path: Path) -> None:
        random, acknowledged = Random(7), list[bytes]()
        with Appender(tmp_path) as appender:
            for life in range(25):
                appender.live(life)
                acknowledged += [appender.acknowledged() for _ in range(random.randint(1, 25))]
                acknowledged += appender.kill()
        append(tmp_path, b"end", quota=64 << 20)
        names = [payload.rstrip(b"\0") for payload in payloads(tmp_path)]
        assert len(names) == len(set(names))
        assert set(acknowledged) <= set(names)
        assert names == [*sorted(names[:-1], key=lambda name: [int(part) for part in name.split(b"/")[:2]]), b"end"]

    def test_reader_follows_a_writer_of_another_process(self, tmp_path: Path) -> None:
        reader, position, seen = open_reader(tmp_path, "logs/test"), Position(), list[bytes]()
        with Appender(tmp_path) as appender:
            appender.live(0)
            while len(seen) < 300:
                line = appender.acknowledged()
                while line not in seen:
                    records, position = reader.read(position, BatchBounds(max_items=3), Signal.LOGS, ["otlp"])
                    assert records, "an acknowledged record must be visible at once"
                    seen += [record.payload.rstrip(b"\0") for record in records]
        reader.close()
        assert seen == [f"0/{number}/".encode() for number in range(len(seen))]

    def test_unsynced_tail_is_never_shown(self, writer: JournalWriter, reader: JournalReader, tmp_path: Path) -> None:
        writer.append([entry(b"durable"), entry(b"written")])
        written = (tmp_path / "durable").read_bytes()
        (tmp_path / "durable").write_bytes(
            (1).to_bytes(8, "little") + zlib.crc32((1).to_bytes(8, "little")).to_bytes(4, "little")
        )
        assert [record.payload for record in read_all(reader)] == [b"durable"]
        (tmp_path / "durable").write_bytes(written)
        assert [record.payload for record in read_all(reader)] == [b"durable", b"written"]


@pytest.mark.parametrize("what", ["", "segments", "durable"])
@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_journal_that_was_taken_away_is_noticed_by_all_who_have_it_open(tmp_path: Path, what: str, how: str) -> None:
    directory = tmp_path / "journal"
    writer = open_writer(directory, quota_bytes=QUOTA, deduplication_window=0)
    reader = open_reader(directory, "r")
    assert list(writer.append([entry(logs(1))])) == [True]
    (directory / what).rename(tmp_path / "elsewhere")
    if how == "deleted":
        subprocess.run(["rm", "-r", tmp_path / "elsewhere"], check=True)
    with pytest.raises(JournalLostError, match="deleted, moved or replaced"):
        writer.append([entry(logs(2))])
    if what != "segments":  # it still finds the next segment there
        with pytest.raises(JournalLostError, match="deleted, moved or replaced"):
            read_all(reader)
    writer.close()
    reader.close()
    again = open_writer(directory, quota_bytes=QUOTA, deduplication_window=0)
    assert list(again.append([entry(logs(3))])) == [True]
    again.close()
    newcomer = open_reader(directory, "r")
    assert [len(bodies(record)) for record in read_all(newcomer)][-1:] == [3]
    newcomer.close()


def test_closed_writer_refuses(writer: JournalWriter) -> None:
    writer.close()
    writer.close()
    assert isinstance(writer.append([entry(b"a")])[0], RefusedError)
    assert writer.trim(["logs/test"]) == 0


def test_modules_say_nothing_in_ordinary_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        append(tmp_path, *(bytes([number]) * 30_000 for number in range(20)))
        append(tmp_path, b"again")
        assert len(payloads(tmp_path)) == 21
    assert caplog.text == ""
