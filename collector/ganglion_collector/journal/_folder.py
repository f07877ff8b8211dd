"""The journal's folder: who it is, its lock, its segments, each reader's position and the durable end.

- `journal.json`: identity and format version
- `lock`: held by the writer
- `durable`: the sequence after the last durable record, for readers in other processes
- `segments/<first>.log`: frames from sequence <first> on; `<first>.digests` beside it once it is sealed
- `positions/<reader>.json`: what each reader has committed, with a CRC
"""

import contextlib
import fcntl
import json
import logging
import os
import struct
import sys
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID, uuid4

from ganglion_collector.component import Position
from ganglion_collector.errors import ConfigError, JournalLostError

__all__ = ["DurableEnd", "Folder", "check_in_place", "lock", "segment_path", "sync", "sync_directory", "unusable"]

FORMAT = 1
_PATH = "extensions::journal::directory"
_OURS = {"journal.json", "lock", "durable", "segments", "positions", "lost+found"}
_POSITION_BYTES = 192  # less than a sector, so that a power failure leaves the old one or the new
_DURABLE = struct.Struct("<QI")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Folder:
    """A journal's folder on disk, made or checked by `open`."""

    path: Path
    identity: UUID

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """Open the journal in `path`; make one where there is nothing.

        Raises:
            ConfigError: the folder belongs to something else, has another format, or cannot be used.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            identity = _identity(path)
            for name in ("segments", "positions"):
                (path / name).mkdir(mode=0o700, exist_ok=True)
            sync_directory(path)
            sync_directory(path.parent)
        except OSError as error:
            raise unusable(path, error.strerror or str(error), "give a folder that this user may write") from error
        return cls(path, identity)

    def segments(self) -> list[int]:
        """Return the first sequence of every segment, in order; none where the folder was taken away."""
        try:
            names = os.listdir(self.path / "segments")  # noqa: PTH208 - a third of iterdir's cost, often called
        except FileNotFoundError:
            return []
        return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())

    def position(self, reader: str) -> Position | None:
        """Return what `reader` committed; None if nothing.

        Raises:
            ValueError: its file is damaged or of another journal.
        """
        try:
            stored = json.loads(self._position_path(reader).read_bytes()[:_POSITION_BYTES])
            journal, sequence, item = stored["journal"], stored["sequence"], stored["item"]
            position = None if sequence is None else Position(int(sequence), int(item))
            sound = stored["crc"] == _position_crc(journal, sequence, item)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("the position file is damaged") from error
        if not sound:
            raise ValueError("the position file is damaged")
        if journal != str(self.identity):
            raise ValueError(f"the position belongs to journal {journal}")
        return position

    def prepare(self, reader: str) -> None:
        """Take the room for the reader's position now: later the disk may be full, and only a commit frees it."""
        path = self._position_path(reader)
        if not path.exists():
            draft = path.with_name(f"{path.name}.new")
            _write_durably(draft, self._position_content(None, None))
            draft.replace(path)
            sync_directory(path.parent)

    def commit(self, reader: str, position: Position) -> None:
        """Write the reader's position over the last one; kill -9 leaves it, a power failure may leave an older one."""
        with self._position_file(reader) as file:
            os.pwrite(file, self._position_content(position.sequence, position.item), 0)

    def sync_position(self, reader: str) -> None:
        """Make what was committed durable."""
        with self._position_file(reader) as file:
            sync(file)

    @contextlib.contextmanager
    def _position_file(self, reader: str) -> Generator[int]:
        self.prepare(reader)
        descriptor = os.open(self._position_path(reader), os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _position_content(self, sequence: int | None, item: int | None) -> bytes:
        journal = str(self.identity)
        crc = _position_crc(journal, sequence, item)
        stored = {"journal": journal, "sequence": sequence, "item": item, "crc": crc}
        return json.dumps(stored).encode().ljust(_POSITION_BYTES)

    def readers(self) -> list[str]:
        """Return every reader that ever committed a position here."""
        files = (self.path / "positions").glob("*.json")
        return sorted(unquote(file.name.removesuffix(".json")) for file in files)

    def _position_path(self, reader: str) -> Path:
        return self.path / "positions" / f"{quote(reader, safe='')}.json"


def _position_crc(journal: str, sequence: int | None, item: int | None) -> int:
    # Trim reads while a reader writes: half of one number with half of the next must not pass for a position.
    return zlib.crc32(f"{journal} {sequence} {item}".encode())


def check_in_place(descriptor: int, path: Path) -> None:
    """Make sure that the open file is the one at `path`: what goes into another is never read by anyone.

    Raises:
        JournalLostError: it is not.
    """
    try:
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return
    except FileNotFoundError:
        pass
    raise JournalLostError(f"{path} was deleted, moved or replaced while in use")


def segment_path(folder: Folder, first: int, suffix: str = ".log") -> Path:
    return folder.path / "segments" / f"{first:020d}{suffix}"


def _identity(path: Path) -> UUID:
    file = path / "journal.json"
    if not file.exists():
        _begin(path, file)
    try:
        stored: Any = json.loads(file.read_bytes())
        version, identity = stored["format"], UUID(stored["identity"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = "its journal.json is damaged, so its records cannot be told from others"
        raise unusable(path, reason, "move the folder away to begin a new journal") from error
    if version != FORMAT:
        raise unusable(
            path,
            f"the journal has format {version!r}, this version reads {FORMAT}",
            "let the version that wrote it empty it, or move the folder away",
        )
    return identity


def _begin(path: Path, file: Path) -> None:
    """Write `journal.json` for a new journal; whoever else does so at the same time wins or loses as a whole."""
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in _OURS and entry.suffix != ".new")
    if foreign:
        raise unusable(path, f"it holds {foreign[0]!r} and no journal", "give an empty folder")
    draft = path / f"{uuid4()}.new"
    try:
        _write_durably(draft, json.dumps({"format": FORMAT, "identity": str(uuid4())}).encode())
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def unusable(path: Path, reason: str, hint: str) -> ConfigError:
    """Say why there can be no journal in `path`."""
    return ConfigError(_PATH, str(path), reason, hint)


def lock(folder: Folder) -> int:
    """Become the one writer; return the descriptor to keep open.

    Raises:
        ConfigError: another process is.
    """
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        reason = f"the journal is in use by another collector (process {holder})"
        raise unusable(folder.path, reason, "stop it, or give this one a folder of its own") from error
    with contextlib.suppress(OSError):  # the process id is for people; a full disk must not stop a start
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


class DurableEnd:
    """The sequence after the last durable record, told from the writer to readers through one small file.

    It is never fsynced: after a power failure the writer finds the end again before anyone reads past it.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path / "durable"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._last = 0

    def publish(self, sequence: int) -> None:
        """Let readers go up to `sequence`. Should this fail, they see it with the next one."""
        number = sequence.to_bytes(8, "little")
        try:
            os.pwrite(self._file, number + zlib.crc32(number).to_bytes(4, "little"), 0)
        except OSError as error:
            logger.error("journal: cannot tell readers of new records: %s", error.strerror)

    def get(self) -> int:
        """Return the end; the last one known if the writer is changing it just now."""
        stored = os.pread(self._file, _DURABLE.size, 0)
        if len(stored) == _DURABLE.size:
            sequence, crc = _DURABLE.unpack(stored)
            if crc == zlib.crc32(stored[:8]):
                self._last = sequence
        return self._last

    def check_in_place(self) -> None:
        """Raise JournalLostError if others, opening the journal now, would find another file or none."""
        check_in_place(self._file, self._path)

    def close(self) -> None:
        os.close(self._file)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Return when the file's bytes are on the disk (on macOS fsync alone leaves them in the drive's cache)."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        return
    os.fdatasync(descriptor)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
