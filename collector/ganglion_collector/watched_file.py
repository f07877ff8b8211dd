"""A small file that is read again when it has changed: credentials that somebody rotates."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["WatchedFile"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


class WatchedFile(Generic[T]):
    """Holds what `parse` made of a file's text.

    A file that vanishes or no longer parses keeps the last good content, which is said once.

    Raises:
        ValueError: it cannot be read, or `parse` refuses it, when this is made.
    """

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._version = self._stat()
        self._content = self._read()

    def content(self) -> T:
        """Return the content, of now."""
        version = self._stat()
        if version != self._version:
            self._version = version
            try:
                self._content = self._read()
            except ValueError as error:
                _log.warning("%s; the content read before stays in force", error)
        return self._content

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> T:
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{str(self._path)!r} cannot be read: {error.strerror}; name a readable file") from None
        except UnicodeDecodeError:
            raise ValueError(f"{str(self._path)!r} is not UTF-8 text; name a text file") from None
        return self._parse(text)
