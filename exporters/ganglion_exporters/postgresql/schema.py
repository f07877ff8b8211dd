"""Brings a database to the schema this version knows: numbered SQL files, each applied once, in order."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, LiteralString

from ganglion_collector.errors import RetryableError
from psycopg import AsyncConnection, sql

__all__ = ["Migration", "ensure_schema", "migrations"]

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_TABLES = ("logs", "spans", "resources", "ganglion_positions")
_LOCK = 0x67616E676C696F6E
"""One migrating process at a time in one database; the number spells the name."""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        return sha256(self.statements.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration of this version, in order."""
    folder = files("ganglion_exporters.postgresql") / "schema"
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := _FILE.fullmatch(file.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


async def ensure_schema(connection: AsyncConnection[Any], schema: str) -> None:
    """Create or migrate what is missing; nothing but SELECT runs where nothing is missing.

    Raises:
        RetryableError: the database cannot be used as it is; an operator must act, and the data wait.
    """
    await _check_encoding(connection)
    if not await _missing(connection, schema):
        return
    for migration in migrations():
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if migration in await _missing(connection, schema):
                await _apply(connection, schema, migration)


async def _check_encoding(connection: AsyncConnection[Any]) -> None:
    encoding = await _value(connection, "SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise RetryableError(f"the database's encoding is {encoding}; Ganglion needs one that was created with UTF8")


async def _missing(connection: AsyncConnection[Any], schema: str) -> list[Migration]:
    present = await _tables(connection, schema)
    if "ganglion_migrations" not in present:
        _check_free(present, schema)
        return list(migrations())
    table = sql.Identifier(schema, "ganglion_migrations")
    cursor = await connection.execute(sql.SQL("SELECT version, checksum FROM {}").format(table))
    applied: dict[int, str] = dict(await cursor.fetchall())
    _check_known(applied, schema)
    return [migration for migration in migrations() if migration.version not in applied]


def _check_known(applied: dict[int, str], schema: str) -> None:
    known = {migration.version: migration.checksum for migration in migrations()}
    for version, checksum in applied.items():
        if version not in known:
            raise RetryableError(
                f'schema "{schema}" has version {max(applied)}, this Ganglion knows {max(known)}: install a newer one'
            )
        if checksum != known[version]:
            raise RetryableError(
                f'schema "{schema}": its migration {version} is not that of this Ganglion: '
                "set `schema:` of this exporter to another schema"
            )


def _check_free(present: set[str], schema: str) -> None:
    if present:
        raise RetryableError(
            f'schema "{schema}" has a table "{min(present)}" that is not Ganglion\'s: '
            "set `schema:` of this exporter to another schema"
        )


async def _tables(connection: AsyncConnection[Any], schema: str) -> set[str]:
    """Return those of our names that are taken; in one statement, as another process may be migrating."""
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema, [*_TABLES, "ganglion_migrations"]),
    )
    return {name for (name,) in await cursor.fetchall()}


async def _apply(connection: AsyncConnection[Any], schema: str, migration: Migration) -> None:
    if not await _value(connection, "SELECT to_regnamespace(quote_ident(%s))::oid", schema):
        await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    await connection.execute("SELECT set_config('search_path', quote_ident(%s), true)", (schema,))
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS ganglion_migrations (version integer PRIMARY KEY, name text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now(), checksum text NOT NULL)"
    )
    await connection.execute(migration.statements.encode())
    await connection.execute(
        "INSERT INTO ganglion_migrations (version, name, checksum) VALUES (%s, %s, %s)",
        (migration.version, migration.name, migration.checksum),
    )


async def _value(connection: AsyncConnection[Any], query: LiteralString, *parameters: object) -> Any:
    row = await (await connection.execute(query, parameters)).fetchone()
    return None if row is None else row[0]
