"""Roles that may only read, and policies that show a tenant its own rows.

Nothing of the exporter's work depends on it: where the database does not allow it, that is said, and export goes on.

    ganglion_reader          SELECT on logs, spans, resources
    ganglion_tenant_reader   the same, of the tenants that the setting ganglion.tenants names
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, errors, sql

__all__ = ["Access"]

_logger = logging.getLogger(__name__)

_ROLES = ("ganglion_reader", "ganglion_tenant_reader")
_LOCK = 0x67616E676C696F70
"""One process at a time gives access in one database."""
_ATTEMPTS = 3
_SET_MEMBERSHIP = 160_000
"""The version of PostgreSQL from which on a membership may be good for SET ROLE alone."""

_STATE: LiteralString = """SELECT
    (SELECT array_agg(rolname::text) FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s)) AS roles,
    (SELECT array_agg(rolname::text) FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s)
        AND pg_has_role(current_user, oid, %(privilege)s)) AS taken,
    (SELECT array_agg(rolname::text) FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s)
        AND has_schema_privilege(oid, n.oid, 'USAGE')) AS let_in,
    obj_description(to_regprocedure(quote_ident(n.nspname) || '.ganglion_own_trace()'), 'pg_proc') AS applied,
    current_user::text AS login
    FROM pg_catalog.pg_namespace n WHERE n.nspname = %(schema)s"""


@cache
def _statements() -> str:
    return (files("ganglion_exporters.postgresql") / "access.sql").read_text(encoding="utf-8")


def _version() -> str:
    return f"Ganglion's access {sha256(_statements().encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class _State:
    """Which roles there are, which of them the login may take, which may use the schema, and what is applied."""

    roles: frozenset[str]
    taken: frozenset[str]
    let_in: frozenset[str]
    applied: str | None
    login: str

    @property
    def is_complete(self) -> bool:
        has_roles = all(found.issuperset(_ROLES) for found in (self.roles, self.taken, self.let_in))
        return has_roles and self.applied == _version()


class Access:
    """Gives access to the tables of one schema; what keeps it from that is said once."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._said = ""

    async def ensure(self, connection: AsyncConnection[Any]) -> None:
        """Make what is missing; nothing but SELECT runs where nothing is. `connection` is in autocommit."""
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    await self._make(connection)
                    break
                except errors.InternalError_:
                    # Roles are of the whole server, and another database's collector may change them at this moment.
                    if attempt == _ATTEMPTS - 1:
                        raise
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise
            self._say(error, await self._state(connection))

    async def _make(self, connection: AsyncConnection[Any]) -> None:
        state = await self._state(connection)
        if state.is_complete:
            return
        await _make_roles(connection, state)
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute("SET LOCAL client_min_messages = 'warning'")
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            state = await self._state(connection)
            await self._take_roles(connection, state)
            if state.applied != _version():
                await self._apply(connection)

    async def _take_roles(self, connection: AsyncConnection[Any], state: _State) -> None:
        """Let the roles into the schema, and the login take them."""
        for role in _ROLES:
            if role not in state.let_in:
                grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
                await connection.execute(grant.format(sql.Identifier(self._schema), sql.Identifier(role)))
            if role not in state.taken:
                await connection.execute(_membership(role, state.login, connection.info.server_version))

    async def _apply(self, connection: AsyncConnection[Any]) -> None:
        # One function keeps this path: nobody's temporary table stands before ours in it.
        path = "SELECT set_config('search_path', quote_ident(%s) || ', pg_temp', true)"
        await connection.execute(path, (self._schema,))
        await connection.execute(_statements().encode())
        comment = sql.SQL("COMMENT ON FUNCTION ganglion_own_trace() IS {}")
        await connection.execute(comment.format(sql.Literal(_version())))

    async def _state(self, connection: AsyncConnection[Any]) -> _State:
        arguments = {
            "roles": list(_ROLES),
            "privilege": "SET" if connection.info.server_version >= _SET_MEMBERSHIP else "MEMBER",
            "schema": self._schema,
        }
        row = await (await connection.execute(_STATE, arguments)).fetchone()
        assert row is not None
        roles, taken, let_in, applied, login = row
        return _State(frozenset(roles or ()), frozenset(taken or ()), frozenset(let_in or ()), applied, login)

    def _say(self, error: psycopg.Error, state: _State) -> None:
        reason = error.diag.message_primary or type(error).__name__
        if reason == self._said:
            return
        self._said = reason
        extra = {"reason": reason, "schema": self._schema, "sql": _by_hand(state)}
        _logger.warning("no access by roles that may only read; an administrator may run the SQL", extra=extra)


async def _make_roles(connection: AsyncConnection[Any], state: _State) -> None:
    for role in _ROLES:
        if role not in state.roles:
            # Another database's collector may be quicker.
            with suppress(errors.DuplicateObject, errors.UniqueViolation):
                await connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _membership(role: str, login: str, server_version: int) -> sql.Composed:
    options = " WITH INHERIT FALSE, SET TRUE" if server_version >= _SET_MEMBERSHIP else ""
    grant = sql.SQL("GRANT {} TO {}" + options)
    return grant.format(sql.Identifier(role), sql.Identifier(login))


def _by_hand(state: _State) -> str:
    """Return what only an administrator can do."""
    missing = [f"CREATE ROLE {role} NOLOGIN;" for role in _ROLES if role not in state.roles]
    login = sql.Identifier(state.login).as_string()
    missing += [f"GRANT {role} TO {login};" for role in _ROLES if role not in state.taken]
    return " ".join(missing)
