"""A database that is not there: whoever asks it is told why, as of one that does not answer."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from ganglion_query.reader import Reader, ReaderError, Session

__all__ = ["AbsentDatabase"]


@dataclass(frozen=True, slots=True)
class AbsentDatabase(Reader):
    """Raises `reason` for every question."""

    reason: str = ""

    @contextmanager
    def session(self) -> Generator[Session]:
        raise ReaderError(self.reason)
        yield
