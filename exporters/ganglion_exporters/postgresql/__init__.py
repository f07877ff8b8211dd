"""Store logs and traces in PostgreSQL: rows and position in one transaction, so that each record is there once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from ganglion_collector.component import Batch, Duration, ExporterConfig, ExporterFactory, Position, Signal, Source
from ganglion_collector.errors import RetryableError
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from pydantic import ConfigDict, Field, SecretStr, field_validator

from ganglion_exporters.postgresql.access import Access
from ganglion_exporters.postgresql.connection import Connection
from ganglion_exporters.postgresql.partitions import Partitions, day_of
from ganglion_exporters.postgresql.positions import claim, move, stored_position
from ganglion_exporters.postgresql.rows import TABLES
from ganglion_exporters.postgresql.schema import ensure_schema
from ganglion_exporters.postgresql.store import BatchStore

__all__ = ["PostgreSQLConfig", "PostgreSQLExporter", "factory"]

_DAY = 86_400.0


class PostgreSQLConfig(ExporterConfig):
    """Where the database is, and what is kept there."""

    model_config = ConfigDict(hide_input_in_errors=True)

    timeout: Duration = Field(default=30.0, ge=0)
    """Longest time for one attempt; 0 is no limit."""
    dsn: SecretStr = Field(default=SecretStr(""), validate_default=True)
    """The database, as a URL or a libpq connection string; usually `${env:GANGLION_DATABASE_URL}`."""
    schema_name: str = Field(default="public", alias="schema", min_length=1, max_length=63)
    """The schema for the tables; made if it is missing."""
    partitions_ahead: int = Field(default=3, ge=0, le=366)
    """How many days after today have their partitions already."""
    max_age: Duration = Field(default=400 * _DAY, ge=0, le=3660 * _DAY)
    """A time further before the time of receipt is not believed: the observed time, or that of receipt, replaces it."""
    max_future: Duration = Field(default=2 * _DAY, ge=0, le=366 * _DAY)
    """The same for a time after that of receipt."""

    @field_validator("dsn", mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is None or (isinstance(text, str) and not text.strip()):
            raise ValueError(
                "no database is given; set dsn, or GANGLION_DATABASE_URL where dsn is ${env:GANGLION_DATABASE_URL}, "
                "or start with `ganglion up`, which brings one"
            )
        return value

    @field_validator("dsn")
    @classmethod
    def _well_formed(cls, value: SecretStr) -> SecretStr:
        try:
            conninfo_to_dict(value.get_secret_value())
        except psycopg.Error:
            # libpq's own text repeats what it could not read, which may be the password.
            raise ValueError("not a connection string; write postgresql://user:password@host:5432/database") from None
        return value


class PostgreSQLExporter:
    def __init__(self, config: PostgreSQLConfig) -> None:
        self._schema = config.schema_name
        self._ahead = config.partitions_ahead
        self._connection = Connection(config.dsn.get_secret_value(), config.timeout)
        self._partitions = Partitions(self._schema, self._connection.another)
        self._access = Access(self._schema)
        self._store = BatchStore(self._schema, self._partitions, config.max_age, config.max_future)
        self._closed = False

    async def start(self) -> None: ...

    async def position(self, source: Source) -> Position | None:
        """Return what the database says; makes the schema first where it is missing."""
        async with self._use() as connection:
            return await stored_position(connection, self._schema, source)

    async def export(self, batch: Batch) -> None:
        """Store the batch and move its position, both or neither; a batch that is stored already changes nothing.

        A batch without records only moves the position.
        """
        async with self._use() as connection:
            await self._partitions.ensure(TABLES[batch.signal].name, self._days_ahead())
            async with self._connection.transaction(connection):
                if not await claim(connection, self._schema, batch):
                    return
                resources = await self._store.write(connection, batch)
                await move(connection, self._schema, batch)
            self._store.committed(resources)

    async def shutdown(self) -> None:
        self._closed = True
        await self._connection.close()

    @asynccontextmanager
    async def _use(self) -> AsyncGenerator[AsyncConnection[Any], None]:
        if self._closed:
            raise RetryableError("the exporter is shut down")
        is_new = not self._connection.is_open
        async with self._connection.use() as connection:
            if is_new:
                await ensure_schema(connection, self._schema)
                await self._access.ensure(connection)
                await self._store.begin(connection)
            yield connection

    def _days_ahead(self) -> range:
        today = day_of(datetime.now(UTC))
        return range(today, today + self._ahead + 1)


factory = ExporterFactory(
    component_type="postgresql",
    config=PostgreSQLConfig,
    create=PostgreSQLExporter,
    signals=frozenset({Signal.LOGS, Signal.TRACES}),
)
