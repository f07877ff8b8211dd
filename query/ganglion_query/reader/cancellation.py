"""What ends the statements of somebody who has gone."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psycopg
from ganglion_collector.errors import CollectorError

__all__ = ["Cancellation", "CancelledError"]

_PATIENCE = 5.0


class CancelledError(CollectorError):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("whoever asked has gone")


class Cancellation:
    """Stops what is asked for one caller, from any thread: the statement that runs is cancelled, no other begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: set[psycopg.Connection] = set()
        self._is_cancelled = False

    def check(self) -> None:
        """Raise CancelledError where the caller has gone."""
        if self._is_cancelled:
            raise CancelledError

    @contextmanager
    def watching(self, connection: psycopg.Connection) -> Generator[None]:
        """Cancel what the block has running on `connection` when it comes to that.

        The connection is closed then: what was sent to stop one statement must not reach another's.

        Raises:
            CancelledError: the caller has gone.
        """
        with self._lock:
            self.check()
            self._asked.add(connection)
        try:
            yield
        except psycopg.errors.QueryCanceled:
            self.check()
            raise
        finally:
            with self._lock:
                self._asked.discard(connection)
                if self._is_cancelled:
                    connection.close()

    def cancel(self) -> None:
        """Stop what runs; it takes as long as the database needs to hear of it, at most a few seconds each."""
        with self._lock:
            self._is_cancelled = True
            for connection in self._asked:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=_PATIENCE)
