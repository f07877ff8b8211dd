"""One batch into its table, within one open transaction.

convert ──▶ COPY logs                          PostgreSQL takes rows in while the next are converted
convert ──▶ COPY spans ──▶ a span is there already: back to the savepoint, and
COPY stage ──▶ INSERT … ON CONFLICT DO NOTHING

COPY does not work under row-level security, to which all but the tables' owner are subject: they go by the stage too.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from ganglion_collector.component import Batch
from psycopg import AsyncConnection, sql
from psycopg.errors import UniqueViolation

from ganglion_exporters.postgresql.partitions import Partitions
from ganglion_exporters.postgresql.rows import TABLES, Clock, Resource, Rows, Table

__all__ = ["BatchStore"]

_STAGE = sql.Identifier("pg_temp", "ganglion_stage")
_MOST_REMEMBERED = 100_000


class BatchStore:
    """Writes batches; remembers the partitions and resources that are there.

    `max_age` and `max_future` bound the times of rows, in seconds around the time of receipt.
    """

    def __init__(self, schema: str, partitions: Partitions, max_age: float, max_future: float) -> None:
        self._schema = schema
        self._partitions = partitions
        self._max_age = max_age
        self._max_future = max_future
        self._stored_resources: set[int] = set()
        self._is_restricted = False

    async def begin(self, connection: AsyncConnection[Any]) -> None:
        """Trust nothing of what was seen before: another session may have changed it."""
        self._partitions.forget()
        self._stored_resources.clear()
        self._is_restricted = await _is_restricted(connection, self._schema)

    async def write(self, connection: AsyncConnection[Any], batch: Batch) -> frozenset[int]:
        """Write every row and resource of `batch`; return the resources, to be told to `committed`."""
        table = TABLES[batch.signal]
        seen: dict[int, Resource] = {}
        if self._is_restricted:
            await self._write_through_stage(connection, table, batch, seen)
        elif table.key:
            await self._write_once(connection, table, batch, seen)
        else:
            await self._copy(connection, table, self._identifier(table.name), batch, seen)
        await self._write_resources(connection, seen)
        return frozenset(seen)

    def committed(self, resources: frozenset[int]) -> None:
        if len(self._stored_resources) > _MOST_REMEMBERED:
            self._stored_resources.clear()
        self._stored_resources |= resources

    def _identifier(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._schema, name)

    def _rows(self, table: Table, batch: Batch) -> Iterator[Rows]:
        for record in batch.records:
            yield from table.convert(record.payload, Clock.around(record.received_at, self._max_age, self._max_future))

    async def _copy(
        self,
        connection: AsyncConnection[Any],
        table: Table,
        target: sql.Identifier,
        batch: Batch,
        seen: dict[int, Resource],
    ) -> None:
        statement = _copy_statement(table, target)
        source = self._rows(table, batch)
        rows = next(source, None)
        while rows is not None:
            await self._partitions.ensure(table.name, rows.days)
            async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                while rows is not None and not self._partitions.missing(table.name, rows.days):
                    await copy.write(rows.data)
                    # A write that needs no waiting does not let others run: a stop, a time limit.
                    await asyncio.sleep(0)
                    seen.update(rows.resources)
                    rows = next(source, None)

    async def _write_once(
        self, connection: AsyncConnection[Any], table: Table, batch: Batch, seen: dict[int, Resource]
    ) -> None:
        try:
            async with connection.transaction():
                await self._copy(connection, table, self._identifier(table.name), batch, seen)
        except UniqueViolation:
            await self._write_through_stage(connection, table, batch, seen)

    async def _write_through_stage(
        self, connection: AsyncConnection[Any], table: Table, batch: Batch, seen: dict[int, Resource]
    ) -> None:
        target = self._identifier(table.name)
        stage = "CREATE TEMPORARY TABLE ganglion_stage (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP"
        await connection.execute(sql.SQL(stage).format(target))
        await self._copy(connection, table, _STAGE, batch, seen)
        insert = sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}")
        statement = insert.format(target, _STAGE, columns=_names(table.columns))
        if table.key:
            # In the order of the key, so that two exporters with the same spans wait for each other, not deadlock.
            statement += sql.SQL(" ORDER BY {key} ON CONFLICT ({key}) DO NOTHING").format(key=_names(table.key))
        await connection.execute(statement)

    async def _write_resources(self, connection: AsyncConnection[Any], seen: dict[int, Resource]) -> None:
        new = sorted(seen.keys() - self._stored_resources)
        if not new:
            return
        rows = [seen[identity].row for identity in new]
        columns = [list(column) for column in zip(*rows, strict=True)]
        insert = (
            "INSERT INTO {} (id, service_name, attributes, schema_url) "
            "SELECT * FROM unnest(%s::bigint[], %s::text[], %s::jsonb[], %s::text[]) ON CONFLICT DO NOTHING"
        )
        await connection.execute(sql.SQL(insert).format(self._identifier("resources")), (new, *columns))


async def _is_restricted(connection: AsyncConnection[Any], schema: str) -> bool:
    query = "SELECT row_security_active((quote_ident(%s) || '.logs')::regclass)"
    row = await (await connection.execute(query, (schema,))).fetchone()
    return row is not None and bool(row[0])


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _copy_statement(table: Table, target: sql.Identifier) -> sql.Composed:
    copy = "COPY {} ({}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')"
    return sql.SQL(copy).format(target, _names(table.columns))
