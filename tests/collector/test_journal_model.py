"""The journal against a list in memory: any order of append, read, commit, trim and reopen."""

import shutil
import tempfile
from pathlib import Path

from ganglion_collector.component import BatchBounds, Position, Signal
from ganglion_collector.errors import RefusedError
from ganglion_collector.journal import Entry
from ganglion_collector.journal.store import open_reader, open_writer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

QUOTA = 64 * 1024
READERS = ("logs/fast", "logs/slow")
SIZES = st.sampled_from([0, 1, 300, 3000, 20_000])


class JournalMachine(RuleBasedStateMachine):
    """The model: every payload ever stored, by sequence, and what each reader has read and committed."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.stored: list[bytes] = []
        self.read = dict.fromkeys(READERS, 0)
        self.committed = dict.fromkeys(READERS, 0)
        self.open()

    def open(self) -> None:
        self.writer = open_writer(self.directory, quota_bytes=QUOTA, deduplication_window=10)
        self.readers = {name: open_reader(self.directory, name) for name in READERS}
        assert self.writer.usage().next == len(self.stored)
        for name, reader in self.readers.items():
            position = reader.position() or Position()
            assert position == Position(self.committed[name])
            self.read[name] = self.committed[name]

    def close(self) -> None:
        self.writer.close()
        for reader in self.readers.values():
            reader.close()

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=4), twice=st.booleans())
    def append(self, sizes: list[int], *, twice: bool) -> None:
        new = [b"%d/%d/" % (len(self.stored), place) + bytes(size) for place, size in enumerate(sizes)]
        entries = [Entry(Signal.LOGS, "otlp", len(self.stored) * 20_000_000_000, 1, payload, {}) for payload in new]
        outcomes = self.writer.append([*entries, *(entries if twice else [])])
        for payload, outcome in zip(new, outcomes, strict=False):
            assert outcome is True or isinstance(outcome, RefusedError)
            if outcome is True:
                self.stored.append(payload)
        if twice:
            assert all(not one or isinstance(one, RefusedError) for one in outcomes[len(new) :])

    @rule(name=st.sampled_from(READERS), items=st.integers(1, 5), size=st.integers(1, 30_000))
    def read_on(self, name: str, items: int, size: int) -> None:
        start = self.read[name]
        bounds = BatchBounds(max_items=items, max_bytes=size)
        records, end = self.readers[name].read(Position(start), bounds, Signal.LOGS, ["otlp"])
        assert [record.payload for record in records] == self.stored[start : end.sequence]
        assert end.sequence > start or start == len(self.stored)
        assert len(records) <= items
        self.read[name] = end.sequence

    @rule(name=st.sampled_from(READERS))
    def commit(self, name: str) -> None:
        self.readers[name].commit(Position(self.read[name]))
        self.committed[name] = self.read[name]

    @rule()
    def trim(self) -> None:
        before = self.writer.usage()
        freed = self.writer.trim(READERS)
        after = self.writer.usage()
        assert before.size_bytes - after.size_bytes == freed
        assert after.oldest <= min(self.committed.values()) or after.oldest == before.oldest

    @precondition(lambda self: self.stored)
    @rule()
    def reopen(self) -> None:
        self.close()
        self.open()

    @invariant()
    def size_is_within_the_quota(self) -> None:
        on_disk = sum(file.stat().st_size for file in (self.directory / "segments").glob("*.log"))
        assert self.writer.usage().size_bytes <= on_disk <= QUOTA

    def teardown(self) -> None:
        self.close()
        shutil.rmtree(self.directory)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=20, stateful_step_count=30)
