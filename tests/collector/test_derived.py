"""A derived stream: read like a journal, trimmed behind its readers, never beyond its quota."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import BatchBounds, Derived, Position, Record, Source
from ganglion_collector.derived import DerivedReader
from ganglion_collector.errors import JournalLostError, RetryableError
from ganglion_collector.journal import JournalReader
from ganglion_collector.otlp import Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.notebook import bodies_of, logs_payload

READERS = ("logs/a", "logs/b")
HERE = Source(uuid4(), "logs/source")


class Stream:
    """A connector's file in `folder`, of which `save` makes records."""

    def __init__(self, folder: Path, quota_bytes: int = 1 << 20) -> None:
        self.path = folder / "key.sqlite"
        self.checkpoint = Checkpoint(self.path, "tally", quota_bytes=quota_bytes, readers=READERS)
        self._saves = 0

    def save(self, *records: tuple[str, ...], signal: Signal = Signal.LOGS) -> None:
        self._saves += 1
        output = [Derived(signal, len(bodies), logs_payload(*bodies)) for bodies in records]
        self.checkpoint.save({}, {HERE: Position(self._saves)}, output)

    def reader(self, name: str = "logs/a") -> DerivedReader:
        return DerivedReader(self.path, "tally", name)

    def sequences(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as database:
            return [sequence for (sequence,) in database.execute("SELECT sequence FROM records ORDER BY sequence")]


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    made = Stream(tmp_path)
    yield made
    made.checkpoint.close()


@pytest.fixture
def reader(stream: Stream) -> Iterator[DerivedReader]:
    with closing(stream.reader()) as made:
        yield made


def _read(
    reader: JournalReader, position: Position, bounds: BatchBounds | None = None
) -> tuple[list[str], Position, list[Record]]:
    records, end = reader.read(position, bounds or BatchBounds(), Signal.LOGS, {"tally"})
    return [body for record in records for body in bodies_of(record.payload)], end, list(records)


def test_what_is_saved_is_read_in_order(stream: Stream, reader: DerivedReader) -> None:
    assert _read(reader, reader.oldest())[:2] == ([], Position())
    stream.save(("a", "b"), ("c",))
    bodies, end, records = _read(reader, reader.oldest())
    assert (bodies, end) == (["a", "b", "c"], Position(3))
    assert [(record.receiver, record.item_count, record.sequence) for record in records] == [
        ("tally", 2, 1),
        ("tally", 1, 2),
    ]
    assert _read(reader, end)[:2] == ([], end)


def test_reader_may_be_there_before_the_connector(tmp_path: Path) -> None:
    with closing(DerivedReader(tmp_path / "key.sqlite", "tally", "logs/a")) as reader:
        stream = Stream(tmp_path)
        stream.save(("a",))
        assert _read(reader, reader.oldest())[0] == ["a"]
        stream.checkpoint.close()


def test_records_of_other_signals_and_receivers_are_passed_over(stream: Stream, reader: DerivedReader) -> None:
    stream.save(("a",), signal=Signal.TRACES)
    assert _read(reader, reader.oldest())[:2] == ([], Position(2))
    stream.save(("b",))
    assert reader.read(Position(), BatchBounds(), Signal.LOGS, {"otlp"}) == ([], Position(3))
    assert _read(reader, Position(2))[:2] == (["b"], Position(3))


_records = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@settings(max_examples=30)
@given(sizes=_records, max_items=st.integers(1, 12), max_bytes=st.integers(1, 200))
def test_any_bounds_cut_everything_once_and_within_them(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], max_items: int, max_bytes: int
) -> None:
    stream = Stream(tmp_path_factory.mktemp("stream"))
    expected = [[f"{record}.{item}" for item in range(size)] for record, size in enumerate(sizes)]
    stream.save(*(tuple(bodies) for bodies in expected))
    seen, position = list[str](), Position()
    with closing(stream.reader()) as reader:
        while True:
            bodies, end, records = _read(reader, position, BatchBounds(max_items=max_items, max_bytes=max_bytes))
            if end == position:
                break
            assert len(bodies) == sum(record.item_count for record in records) <= max_items
            assert len(bodies) == 1 or sum(len(record.payload) for record in records) <= max_bytes + 60
            assert records[0].start >= position
            seen, position = seen + bodies, end
    stream.checkpoint.close()
    assert seen == [body for bodies in expected for body in bodies]


def test_position_is_kept_for_each_reader(stream: Stream, reader: DerivedReader) -> None:
    assert reader.position() is None
    reader.commit(Position(7, 2))
    with closing(stream.reader()) as again, closing(stream.reader("logs/b")) as other:
        assert (again.position(), other.position()) == (Position(7, 2), None)
        assert again.identity == reader.identity


def test_records_are_trimmed_behind_the_slowest_reader_and_numbers_never_come_again(
    stream: Stream, reader: DerivedReader
) -> None:
    stream.save(("a",), ("b",))
    reader.commit(Position(3))
    stream.save()
    assert stream.sequences() == [1, 2]
    with closing(stream.reader("logs/b")) as slow:
        slow.commit(Position(2, 0))
        stream.save()
        assert stream.sequences() == [2]
        slow.commit(Position(3))
    stream.save()
    assert stream.sequences() == []
    stream.save(("c",))
    assert stream.sequences() == [3]


def test_full_stream_refuses_whole_until_its_readers_go_on(tmp_path: Path) -> None:
    stream = Stream(tmp_path, quota_bytes=1000)
    stream.save(("x" * 5000,))
    with pytest.raises(RetryableError, match="full"):
        stream.save(("b",))
    assert stream.checkpoint.load().positions == {HERE: Position(1)}
    stream.save()  # what makes nothing is saved still
    for name in READERS:
        with closing(stream.reader(name)) as reader:
            reader.commit(Position(2))
    stream.save(("c",))
    assert stream.sequences() == [2]
    stream.checkpoint.close()


def test_freed_pages_are_used_again(tmp_path: Path) -> None:
    stream = Stream(tmp_path, quota_bytes=1 << 20)
    for number in range(1, 60):
        stream.save(("x" * 300_000,))
        for name in READERS:
            with closing(stream.reader(name)) as reader:
                reader.commit(Position(number + 1))
    stream.checkpoint.close()
    assert stream.path.stat().st_size < 2 << 20


def test_stream_that_was_replaced_is_noticed_by_its_reader(stream: Stream, reader: DerivedReader) -> None:
    stream.path.unlink()
    with pytest.raises(JournalLostError, match="deleted"):
        _read(reader, reader.oldest())


def test_position_in_a_stream_that_is_gone_is_not_inherited(stream: Stream, reader: DerivedReader) -> None:
    reader.commit(Position(9))
    stream.checkpoint.close()
    for suffix in ("", "-wal", "-shm"):
        stream.path.with_name(stream.path.name + suffix).unlink(missing_ok=True)
    with closing(stream.reader()) as anew:
        assert anew.position() is None


def test_damaged_positions_begin_anew(stream: Stream, reader: DerivedReader) -> None:
    stream.save(("a",))
    stream.checkpoint.close()
    stream.path.with_suffix(".readers.sqlite").write_bytes(b"x" * 5000)
    reader.commit(Position(2))
    assert reader.position() == Position(2)


def test_positions_that_another_process_began_anew_are_used(stream: Stream, reader: DerivedReader) -> None:
    reader.commit(Position(1))
    file = stream.path.with_suffix(".readers.sqlite")
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).rename(f"{file}.damaged-1{suffix}")
    with closing(stream.reader("logs/b")) as other:
        other.commit(Position(1))

    reader.commit(Position(2))

    with closing(stream.reader()) as anew:
        assert anew.position() == Position(2)
