"""A database in which whoever asks for logs waits, for as long as a test wants that."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

__all__ = ["Locked", "locked"]

_WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""


class Locked:
    """Knows who waits."""

    def __init__(self, watching: psycopg.Connection) -> None:
        self._connection = watching

    def waiting(self) -> int:
        """Return how many do."""
        row = self._connection.execute(_WAITING).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def locked(dsn: str) -> Generator[Locked]:
    with psycopg.connect(dsn) as locking, psycopg.connect(dsn, autocommit=True) as watching:
        locking.execute("LOCK TABLE logs")
        yield Locked(watching)
