"""Where each reader stands, in the same database as its rows.

A transaction locks the row first and moves it last, so that of two exporters at the same position one stores the batch
and the other finds it stored; an exporter that was thought dead cannot commit behind the back of its successor.
"""

from typing import Any

from ganglion_collector.component import Batch, Position, Source
from ganglion_collector.errors import RetryableError
from psycopg import AsyncConnection, sql

__all__ = ["claim", "move", "stored_position"]

_KEY = sql.SQL("journal = %s AND reader = %s")


def _table(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "ganglion_positions")


async def stored_position(
    connection: AsyncConnection[Any], schema: str, source: Source, *, lock: bool = False
) -> Position | None:
    """Return where `source` stands, None if it never exported; `lock` keeps others out until the transaction ends."""
    query = sql.SQL("SELECT sequence, item FROM {} WHERE {} {}")
    suffix = sql.SQL("FOR UPDATE" if lock else "")
    cursor = await connection.execute(query.format(_table(schema), _KEY, suffix), (source.journal, source.reader))
    row = await cursor.fetchone()
    return None if row is None else Position(*row)


async def claim(connection: AsyncConnection[Any], schema: str, batch: Batch) -> bool:
    """Lock the position; return False if the batch is stored already.

    Raises:
        RetryableError: it is elsewhere than where the batch starts; ask for the position again.
    """
    stored = await stored_position(connection, schema, batch.source, lock=True)
    if stored is None:
        stored = await _first_position(connection, schema, batch)
    if stored >= batch.end:
        return False
    if stored != batch.start:
        raise RetryableError(
            f"PostgreSQL has {batch.source.reader} at {stored.sequence}.{stored.item}, "
            f"not at {batch.start.sequence}.{batch.start.item} where this batch starts"
        )
    return True


async def _first_position(connection: AsyncConnection[Any], schema: str, batch: Batch) -> Position:
    source, start = batch.source, batch.start
    query = sql.SQL("INSERT INTO {} (journal, reader, sequence, item) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING")
    parameters = (source.journal, source.reader, start.sequence, start.item)
    await connection.execute(query.format(_table(schema)), parameters)
    stored = await stored_position(connection, schema, source, lock=True)
    return start if stored is None else stored


async def move(connection: AsyncConnection[Any], schema: str, batch: Batch) -> None:
    """Set the position to the batch's end."""
    query = sql.SQL("UPDATE {} SET sequence = %s, item = %s, updated_at = now() WHERE {}")
    end, source = batch.end, batch.source
    parameters = (end.sequence, end.item, source.journal, source.reader)
    await connection.execute(query.format(_table(schema), _KEY), parameters)
