"""Open a journal: to append to it, to read it, to see who reads it.

The engine is a folder of segment files; docs/decisions/0001-journal-engine.md says why.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from ganglion_collector.journal import JournalReader, JournalWriter
from ganglion_collector.journal._folder import Folder, unusable
from ganglion_collector.journal._reader import SegmentReader
from ganglion_collector.journal._writer import SegmentWriter

__all__ = ["open_reader", "open_writer", "unconfigured_readers"]


def open_writer(directory: Path, *, quota_bytes: int, deduplication_window: float) -> JournalWriter:
    """Open the journal for appending, recovering what a crash left; make it if there is none.

    A torn tail is cut, damage in the middle passed over; both are logged.

    Args:
        directory: the journal's own folder.
        quota_bytes: most bytes of records on disk.
        deduplication_window: seconds in which an identical request is stored once; 0 stores every one.

    Raises:
        ConfigError: the folder is in use, foreign, of another format, or cannot be written.
    """
    try:
        return SegmentWriter(Folder.open(directory), quota_bytes, deduplication_window)
    except OSError as error:
        raise unusable(directory, error.strerror or str(error), "make the folder writable") from error


def open_reader(directory: Path, reader: str) -> JournalReader:
    """Open the journal for the reader of this name; it may be opened before its writer.

    Raises:
        ConfigError: the folder is foreign, of another format, or cannot be used.
    """
    return SegmentReader(Folder.open(directory), reader)


def unconfigured_readers(directory: Path, configured: Collection[str]) -> Sequence[str]:
    """Return the readers that have a position here but are not `configured`; they no longer hold the trim."""
    return [reader for reader in Folder.open(directory).readers() if reader not in configured]
