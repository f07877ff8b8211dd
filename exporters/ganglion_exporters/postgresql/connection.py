"""One connection to PostgreSQL, made when it is needed and thrown away after any error."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ganglion_exporters.postgresql.failures import export_error

__all__ = ["Connection"]

# A dead line is noticed within a minute on both sides, so that a lost session does not hold its locks.
_DEFAULTS = {
    "application_name": "ganglion",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_TRANSACTION_SETTINGS = """
    SELECT set_config('lock_timeout', %(limit)s, true), set_config('statement_timeout', %(limit)s, true),
           set_config('idle_in_transaction_session_timeout', %(limit)s, true),
           set_config('client_min_messages', 'warning', true),
           set_config('tcp_keepalives_idle', '30', true), set_config('tcp_keepalives_interval', '10', true),
           set_config('tcp_keepalives_count', '3', true),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                      WHEN 'off' THEN 'local' ELSE current_setting('synchronous_commit') END, true)
"""


class _HastyConnection(AsyncConnection[Any]):
    async def cancel_safe(self, *, timeout: float = 0.0) -> None:  # noqa: ARG002 (psycopg's signature)
        """Hang up in place of asking the server to stop, which takes up to 10 s where nobody answers.

        psycopg asks when a task that waits for a query is cancelled.
        """
        self.pgconn.finish()


class Connection:
    """`dsn` is a libpq connection string or URL; `timeout` bounds each statement on the server, 0 does not."""

    def __init__(self, dsn: str, timeout: float) -> None:
        given = conninfo_to_dict(dsn)
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **given, "client_encoding": "UTF8"})
        password = given.get("password")
        self._secret = str(password) if password else None
        self._limit = f"{round(timeout * 1000)}ms"
        self._connection: AsyncConnection[Any] | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.broken

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[AsyncConnection[Any], None]:
        """Give the connection, in autocommit; after an error or a cancellation it is closed.

        Raises:
            ExportError: in place of every error of psycopg.
        """
        try:
            if self._connection is None or self._connection.broken:
                self._connection = await self._open()
            yield self._connection
        except psycopg.Error as error:
            await self.close()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # What fails on the way out of a cancelled task must not hide that it was cancelled.
                raise asyncio.CancelledError from None
            # The cause would show values of rows in a traceback.
            raise export_error(error, self._secret) from None
        except BaseException:
            await self.close()
            raise

    @asynccontextmanager
    async def transaction(self, connection: AsyncConnection[Any]) -> AsyncGenerator[None, None]:
        """Run a transaction that cannot hang for ever, and whose COMMIT is durable."""
        async with connection.transaction():
            await connection.execute(_TRANSACTION_SETTINGS, {"limit": self._limit})
            yield

    @asynccontextmanager
    async def another(self) -> AsyncGenerator[AsyncConnection[Any], None]:
        """Give a second connection, for this block only."""
        async with await self._open() as connection:
            await connection.execute("SELECT set_config('lock_timeout', %s, false)", (self._limit,))
            yield connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> AsyncConnection[Any]:
        connection = await _HastyConnection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        return connection
