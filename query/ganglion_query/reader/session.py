"""A read-only transaction in one database: bounded in time, under a role that can do nothing but read.

What tenants a reader may see is decided by PostgreSQL (row-level security), not by the statements of this package.
"""

import json
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import msgspec
import psycopg
from ganglion_collector.errors import CollectorError
from psycopg import errors, sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import RowFactory, RowMaker, class_row, dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from ganglion_query.reader.bounds import Bounded
from ganglion_query.reader.cancellation import Cancellation

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["EVERYTHING", "Database", "Pool", "Query", "ReaderError", "Scope", "Session", "open_pool"]

R = TypeVar("R", bound="DataclassInstance")
Query = LiteralString | sql.SQL | sql.Composed

_CONNECT_TIMEOUT = 5
_POOL_PATIENCE = 10.0
_RECONNECT_PATIENCE = 2.0
_MOST_WAITING = 100

# The role is taken where it exists and may read here; PostgreSQL itself refuses one that this user may not take.
_BEGIN = """SELECT set_config('statement_timeout', %(timeout)s, true),
    set_config('ganglion.tenants', %(tenants)s, true),
    (SELECT set_config('role', rolname, true) FROM pg_catalog.pg_roles WHERE rolname = %(role)s
        AND pg_has_role(current_user, oid, 'MEMBER') AND has_table_privilege(oid, to_regclass('spans'), 'SELECT'))"""


class ReaderError(CollectorError):
    """The database cannot be asked; the one-line message names the reason and what to do, and holds no password.

    `busy`: it may work later; `too_long`: the question took longer than it may.
    """

    def __init__(self, message: str, *, busy: bool = False, too_long: bool = False) -> None:
        super().__init__(message)
        self.busy = busy
        self.too_long = too_long


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data may be read: those of these tenants, None of all."""

    tenants: tuple[str, ...] | None = None

    @property
    def role(self) -> str:
        return "ganglion_reader" if self.tenants is None else "ganglion_tenant_reader"


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Session:
    """One transaction; none of its statements begins once it is cancelled."""

    connection: psycopg.Connection
    cancellation: Cancellation = field(default_factory=Cancellation)
    scope: Scope = EVERYTHING

    def about(self, trace_id: str) -> None:
        """Show a tenant the rows of that trace that name no tenant too, if nobody else is named in it."""
        if self.scope.tenants is not None:
            self.connection.execute("SELECT set_config('ganglion.trace', %(trace_id)s, true)", {"trace_id": trace_id})

    @contextmanager
    def lookups(self) -> Generator[None]:
        """Plan what is asked `often` in the block once for a connection, whatever its values are.

        That is for ids, each found by an index in every partition: planning, which PostgreSQL by itself would do again
        and again, is most of the work.
        """
        self.connection.execute("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
        yield
        self.connection.execute("SELECT set_config('plan_cache_mode', 'auto', true)")

    def rows(self, row: type[R], query: Query, arguments: Mapping[str, Any], *, often: bool = False) -> list[R]:
        """Return all rows as `row`, whose fields have the names of the columns; what is asked `often` is prepared."""
        self.cancellation.check()
        with self.connection.cursor(row_factory=_rows_of(row)) as cursor:
            return cursor.execute(query, arguments, prepare=often or None).fetchall()

    def bounded(self, row: type[R], query: Query, arguments: Mapping[str, Any], *, often: bool = False) -> Bounded[R]:
        """Return as many rows as fit, the first; the query is one of `bounds.bounded`."""
        self.cancellation.check()
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(query, arguments, prepare=often or None).fetchall()
        return Bounded([row(*values[:-1]) for values in found], bool(found) and found[0][-1] > len(found))

    def dicts(self, query: Query, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.cancellation.check()
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, arguments).fetchall()


@dataclass(frozen=True, slots=True)
class Database:
    """Asks one database; no statement takes longer than `timeout` seconds. Without `pool` a connection each time.

    `cancellation` ends it all at once.
    """

    dsn: str
    timeout: float = 30.0
    scope: Scope = EVERYTHING
    pool: "Pool | None" = None
    cancellation: Cancellation = field(default_factory=Cancellation)

    @contextmanager
    def session(self) -> Generator[Session]:
        """Begin a transaction; all that is read in it is of one moment per statement.

        Raises:
            ReaderError: the database cannot be asked, also while the block runs.
            CancelledError: whoever asked has gone.
        """
        try:
            with self._connection() as connection, self.cancellation.watching(connection):
                self._begin(connection)
                yield Session(connection, self.cancellation, self.scope)
        except (psycopg.Error, PoolClosed) as error:
            raise _told(error, self.timeout) from None

    @contextmanager
    def _connection(self) -> Generator[psycopg.Connection]:
        if self.pool is not None:
            with self.pool.lend() as connection:
                yield connection
            return
        with psycopg.connect(self.dsn, connect_timeout=_CONNECT_TIMEOUT) as connection:
            _configure(connection)
            yield connection

    def _begin(self, connection: psycopg.Connection) -> None:
        arguments = {
            "timeout": str(round(self.timeout * 1000)),
            "tenants": _array(self.scope.tenants or ()),
            "role": self.scope.role,
        }
        row = connection.execute(_BEGIN, arguments, prepare=True).fetchone()
        if self.scope.tenants is not None and (row is None or row[2] is None):
            raise ReaderError(
                f"the database has no role {self.scope.role} that may read here, so nobody's data can be kept apart; "
                "`ganglion status` and docs/operations.md say how it is made"
            )


def _configure(connection: psycopg.Connection) -> None:
    connection.read_only = True
    # Only what says so is prepared: a plan that is kept knows neither the words nor the times that are asked for.
    connection.prepare_threshold = sys.maxsize
    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, _JSONLoader)


class _JSONLoader(Loader):
    """Reads JSON as `json.loads` does and several times as fast."""

    def load(self, data: Buffer) -> Any:
        try:
            return msgspec.json.decode(data)
        except msgspec.MsgspecError:  # a number beyond what it takes
            return json.loads(bytes(data))


def _rows_of(row: type[R]) -> RowFactory[R]:
    """Return what makes rows: by place where the columns stand as the fields do, which is quicker than by name."""
    names = tuple(one.name for one in fields(row))

    def chosen(cursor: psycopg.Cursor[R]) -> RowMaker[R]:
        columns = tuple(column.name for column in cursor.description or ())
        if columns != names[: len(columns)]:
            return class_row(row)(cursor)
        return lambda values: row(*values)

    return chosen


def _array(items: tuple[str, ...]) -> str:
    """Return an array of text as PostgreSQL writes it."""
    quoted = ('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return "{" + ",".join(quoted) + "}"


class Pool(ConnectionPool):
    """At most `size` connections, none of which can write. It opens at once, also where the database is away."""

    def __init__(self, dsn: str, size: int) -> None:
        self.is_away = True
        """Whether the last attempt to connect failed, or there was none yet."""
        super().__init__(
            dsn,
            min_size=1,
            max_size=size,
            max_waiting=_MOST_WAITING,
            max_idle=300,
            # The next question tries again at once, where the pool alone would wait longer and longer.
            reconnect_timeout=_RECONNECT_PATIENCE,
            reconnect_failed=_went_away,
            kwargs={"connect_timeout": _CONNECT_TIMEOUT, "application_name": "ganglion-query"},
            configure=self._prepare,
            check=ConnectionPool.check_connection,
            open=True,
            name="ganglion-query",
        )

    def _prepare(self, connection: psycopg.Connection) -> None:
        _configure(connection)
        self.is_away = False

    @contextmanager
    def lend(self) -> Generator[psycopg.Connection]:
        """Give a connection.

        Raises:
            ReaderError: there is none in time.
        """
        patience = _RECONNECT_PATIENCE if self.is_away else _POOL_PATIENCE
        try:
            connection = self.getconn(patience)
        except (PoolTimeout, TooManyRequests):
            reason = "the database does not answer" if self.is_away else "too many questions at once"
            raise ReaderError(f"{reason}; try again in a moment", busy=True) from None
        try:
            with connection:
                yield connection
        finally:
            self.putconn(connection)


def _went_away(pool: Any) -> None:
    pool.is_away = True


def open_pool(dsn: str, size: int) -> Pool:
    """Return an open pool; close it at the end."""
    return Pool(dsn, size)


def _told(error: Exception, timeout: float) -> ReaderError:
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
        return ReaderError(
            "the database holds no telemetry of this version yet; is the collector running, and does it export there?"
        )
    if isinstance(error, errors.QueryCanceled):
        reason = f"PostgreSQL took longer than {timeout:g} s; ask for less, such as a shorter --since"
        return ReaderError(reason, too_long=True)
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    reason = f"PostgreSQL: {first}; see `ganglion status`, or check GANGLION_DATABASE_URL"
    return ReaderError(reason, busy=isinstance(error, psycopg.OperationalError))
