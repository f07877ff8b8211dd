"""Day partitions (UTC), made ahead and on demand.

There is no default partition: it would have to be searched whenever a day is attached. Instead the converter lets no
time through that is further from the time of receipt than `max_age` and `max_future`, so that the days are bounded.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from psycopg import AsyncConnection, sql

__all__ = ["Partitions", "day_of", "partition_name"]

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]

_EPOCH = date(1970, 1, 1)
_LOCK = 0x67616E676C696F6F
"""One process at a time makes partitions in one database."""


def day_of(moment: datetime) -> int:
    """Return the UTC day, counted from 1970-01-01."""
    return (moment.astimezone(UTC).date() - _EPOCH).days


def partition_name(table: str, day: int) -> str:
    return f"{table}_{_EPOCH + timedelta(days=day):%Y%m%d}"


class Partitions:
    """The days that one schema's tables have partitions for, as far as this process knows.

    A day is made in a transaction and a connection of its own: ATTACH takes a lock that a running COPY does not hold
    up, and the day is there for others at once. `connect` gives an idle connection in autocommit.
    """

    def __init__(self, schema: str, connect: Connect) -> None:
        self._schema = schema
        self._connect = connect
        self._known: set[tuple[str, int]] = set()

    def forget(self) -> None:
        """Look again: somebody may have dropped a day."""
        self._known.clear()

    def missing(self, table: str, days: Collection[int]) -> list[int]:
        return sorted(day for day in days if (table, day) not in self._known)

    async def ensure(self, table: str, days: Collection[int]) -> None:
        """Make sure that `table` has a partition for each of `days`."""
        missing = self.missing(table, days)
        if not missing:
            return
        async with self._connect() as connection:
            present = await self._present(connection, table)
            for day in missing:
                if partition_name(table, day) not in present:
                    await self._create(connection, table, day)
        self._known.update((table, day) for day in missing)

    async def _present(self, connection: AsyncConnection[Any], table: str) -> set[str]:
        cursor = await connection.execute(
            "SELECT child.relname FROM pg_catalog.pg_inherits i "
            "JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid "
            "JOIN pg_catalog.pg_class parent ON parent.oid = i.inhparent "
            "JOIN pg_catalog.pg_namespace n ON n.oid = parent.relnamespace "
            "WHERE n.nspname = %s AND parent.relname = %s AND NOT i.inhdetachpending",
            (self._schema, table),
        )
        return {name for (name,) in await cursor.fetchall()}

    async def _create(self, connection: AsyncConnection[Any], table: str, day: int) -> None:
        parent = sql.Identifier(self._schema, table)
        child = sql.Identifier(self._schema, partition_name(table, day))
        start = _EPOCH + timedelta(days=day)
        bounds = [sql.Literal(f"{bound} 00:00:00+00") for bound in (start, start + timedelta(days=1))]
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if partition_name(table, day) in await self._present(connection, table):
                return
            create = "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION)"
            await connection.execute(sql.SQL(create).format(child, parent))
            attach = "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
            await connection.execute(sql.SQL(attach).format(parent, child, *bounds))
