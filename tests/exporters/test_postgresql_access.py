"""Who may read what the exporter wrote: everything, only a tenant's own, or nothing."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from tests.exporters.batches import log, logs_batch, span, spans_batch
from tests.exporters.databases import Open, rows
from tests.fix_postgresql import fresh_database
from tests.query.telemetry import Sent, store
from tests.query.telemetry import log as told
from tests.query.telemetry import span as seen

SOURCE = logs_batch([]).source
ACME, GLOBEX, SHARED, NOBODY = (uuid4().hex for _ in range(4))
NOW = datetime.now(UTC) - timedelta(minutes=1)


async def fill(dsn: str) -> None:
    """A request of each tenant, one that both are named in, and one that names none; each has rows without a tenant."""
    traces: list[tuple[str, Sequence[dict[str, Any]]]] = [
        (ACME, [{}, {"tenant_id": "acme"}]),
        (GLOBEX, [{}, {"tenant_id": "globex"}]),
        (SHARED, [{}, {"tenant_id": "acme"}, {"tenant_id": "globex"}]),
        (NOBODY, [{}]),
    ]
    sent = [
        Sent(
            f"service-{trace[:4]}",
            [seen(f"span {n}", n + 1, at=NOW, trace_id=trace, **of) for n, of in enumerate(found)],
            [told(f"log {n}", n + 1, at=NOW, trace_id=trace, **of) for n, of in enumerate(found)],
        )
        for trace, found in traces
    ]
    await store(dsn, *sent)


@pytest.fixture(scope="module")
def filled(postgresql_server: str) -> Iterator[str]:
    """A database that is only read."""
    with fresh_database(postgresql_server) as dsn:
        asyncio.run(fill(dsn))
        yield dsn


class Asked:
    """A session as the read side begins it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def __call__(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, parameters).fetchall()

    def refused(self, query: LiteralString) -> bool:
        with pytest.raises(errors.InsufficientPrivilege), self._connection.transaction():
            self._connection.execute(query)
        return True


@contextmanager
def session(dsn: str, role: str, tenants: str | None = None, trace: str = "") -> Iterator[Asked]:
    with psycopg.connect(dsn) as connection:
        if tenants is not None:
            connection.execute("SELECT set_config('ganglion.tenants', %s, true)", (tenants,))
        connection.execute("SELECT set_config('ganglion.trace', %s, true)", (trace,))
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        yield Asked(connection)
        connection.rollback()


def counts(asked: Asked) -> tuple[int, int, int]:
    (found,) = asked(
        "SELECT (SELECT count(*) FROM logs), (SELECT count(*) FROM spans), (SELECT count(*) FROM resources)"
    )
    return found[0], found[1], found[2]


def test_a_reader_sees_everything_and_changes_nothing(filled: str) -> None:
    with session(filled, "ganglion_reader") as asked:
        assert counts(asked) == (8, 8, 4)
        for table in ("logs", "spans", "resources"):
            assert asked.refused(f"DELETE FROM {table}")
            assert asked.refused(f"UPDATE {table} SET service_name = ''")
        assert asked.refused("INSERT INTO resources (id, attributes) VALUES (1, '{}')")
        assert asked.refused("SELECT * FROM ganglion_positions")


def test_a_tenant_sees_its_rows_and_no_others(filled: str) -> None:
    with session(filled, "ganglion_tenant_reader", "{acme}") as asked:
        assert asked("SELECT DISTINCT tenant_id FROM logs UNION SELECT tenant_id FROM spans") == [("acme",)]
        assert counts(asked) == (2, 2, 2)
        assert asked("SELECT * FROM logs WHERE tenant_id = 'globex' OR true AND tenant_id <> 'acme'") == []
        assert asked("SELECT * FROM spans WHERE tenant_id IS NULL") == []
        services = {name for (name,) in asked("SELECT service_name FROM resources")}
        assert services == {f"service-{ACME[:4]}", f"service-{SHARED[:4]}"}


def test_several_tenants_are_seen_together(filled: str) -> None:
    with session(filled, "ganglion_tenant_reader", '{acme,"globex"}', SHARED) as asked:
        assert counts(asked)[:2] == (5, 5)  # of the named trace also what names nobody


@pytest.mark.parametrize("tenants", [None, "", "{}", "{nobody}"])
def test_without_tenants_nothing_is_seen(filled: str, tenants: str | None) -> None:
    for trace in ("", ACME, NOBODY):
        with session(filled, "ganglion_tenant_reader", tenants, trace) as asked:
            assert counts(asked) == (0, 0, 0)


def test_tenants_that_cannot_be_read_are_refused(filled: str) -> None:
    with session(filled, "ganglion_tenant_reader", "acme") as asked, pytest.raises(psycopg.Error):
        counts(asked)


@pytest.mark.parametrize(
    ("trace", "visible"),
    [(ACME, 2), (GLOBEX, 0), (SHARED, 1), (NOBODY, 0), (uuid4().hex, 0)],
    ids=["own", "another's", "shared", "nobody's", "unknown"],
)
def test_one_trace_is_seen_whole_where_nobody_else_is_named_in_it(filled: str, trace: str, visible: int) -> None:
    with session(filled, "ganglion_tenant_reader", "{acme}", trace) as asked:
        for table in ("logs", "spans"):
            query = sql.SQL("SELECT count(*) FROM {} WHERE trace_id = {}::uuid").format(sql.Identifier(table), trace)
            assert asked._connection.execute(query).fetchone() == (visible,)
        assert len(asked("SELECT * FROM resources")) == min(visible, 1)


def test_a_tenant_changes_nothing_and_reads_nothing_else(filled: str) -> None:
    partition = rows(filled, "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'logs'::regclass")
    with session(filled, "ganglion_tenant_reader", "{acme}") as asked:
        for table in ("logs", "spans", "resources"):
            assert asked.refused(f"DELETE FROM {table}")
            assert asked.refused(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            assert asked.refused(f"DROP POLICY ganglion_own ON {table}")
        assert asked.refused("INSERT INTO logs (timestamp, resource_id, level, message) VALUES (now(), 1, '', '')")
        assert asked.refused(f"SELECT * FROM {partition[0][0]}")
        assert asked.refused("SELECT * FROM ganglion_positions")
        assert asked.refused("CREATE TABLE public.mine (x int)")
        assert asked("SELECT * FROM pg_stats WHERE schemaname = 'public'") == []
        query = "SELECT has_function_privilege('ganglion_reader', 'ganglion_own_trace()', 'EXECUTE')"
        assert asked(query) == [(False,)]


def test_a_login_of_a_tenant_reader_alone_is_no_other_role(filled: str) -> None:
    login = f"t{time_ns()}"
    with psycopg.connect(filled, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN IN ROLE ganglion_tenant_reader")
    try:
        with psycopg.connect(make_conninfo(filled, user=login)) as connection:
            asked = Asked(connection)
            asked("SELECT set_config('ganglion.tenants', '{acme}', true)")
            assert counts(asked) == (2, 2, 2)
            for role in ("ganglion_reader", "ganglion"):
                assert asked.refused(f"SET ROLE {role}")
            connection.execute("RESET ROLE")
            assert counts(asked) == (2, 2, 2)
    finally:
        with psycopg.connect(filled, autocommit=True) as admin:
            admin.execute(f"DROP ROLE {login}")


def plan(dsn: str, role: str, query: LiteralString) -> str:
    with session(dsn, role, "{acme}") as asked:
        asked._connection.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(line for (line,) in asked("EXPLAIN " + query))


@pytest.mark.parametrize("role", ["ganglion_reader", "ganglion_tenant_reader"])
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM logs WHERE trace_id = gen_random_uuid()", "trace_id_idx"),
        ("SELECT * FROM spans WHERE trace_id = '4bf92f3577b34da6a3ce929d0e0e4736'", "pkey"),
        ("SELECT * FROM logs WHERE user_id = 'u' ORDER BY timestamp DESC LIMIT 10", "user_id_idx"),
        ("SELECT * FROM logs WHERE timestamp > now() - interval '1 hour'", "timestamp_idx"),
        ("SELECT * FROM spans WHERE duration_ms >= 5000", "duration_ms_idx"),
        ("SELECT * FROM logs WHERE level IN ('ERROR') AND timestamp > now() - interval '1 day'", "level_timestamp_idx"),
    ],
)
def test_policies_do_not_keep_from_indexes(filled: str, role: str, query: LiteralString, index: str) -> None:
    assert index in plan(filled, role, query)


def test_full_text_of_everything_is_found_by_its_index(filled: str) -> None:
    query = "SELECT * FROM logs WHERE log_words(message, error, stack_trace) @@ websearch_to_tsquery('simple', 'x')"
    assert "log_words_idx" in plan(filled, "ganglion_reader", query)


def words_of(asked: Asked, words: str = "log") -> list[tuple[Any, ...]]:
    found = "SELECT l.tenant_id FROM ganglion_own_logs(%s, NULL, NULL) AS own JOIN logs l ON l.ctid = own.place"
    return asked(found + " AND l.timestamp = own.time", words)


def test_words_are_found_in_the_logs_of_the_tenants_alone(filled: str) -> None:
    with session(filled, "ganglion_tenant_reader", "{acme}") as asked:
        assert words_of(asked) == [("acme",)] * 2
        assert words_of(asked, "0") == []  # of the logs 0 none names a tenant
        assert asked("SELECT count(*) FROM ganglion_own_logs('log', NULL, NULL)") == [(2,)]
        day, moment = timedelta(days=1), timedelta(microseconds=1)
        for since, until in [(NOW, NOW + moment), (NOW - day, NOW + moment), (NOW, NOW + day), (NOW, None)]:
            assert asked("SELECT count(*) FROM ganglion_own_logs('log', %s, %s)", since, until) == [(2,)]
        for since, until in [(NOW - moment, NOW), (NOW - day, NOW), (NOW + moment, NOW + day), (NOW + moment, None)]:
            assert asked("SELECT count(*) FROM ganglion_own_logs('log', %s, %s)", since, until) == [(0,)]
    with session(filled, "ganglion_tenant_reader", "{acme,globex}", SHARED) as asked:
        assert sorted(words_of(asked)) == [("acme",)] * 2 + [("globex",)] * 2
    for tenants in (None, "", "{}", "{nobody}"):
        with session(filled, "ganglion_tenant_reader", tenants) as asked:
            assert asked("SELECT * FROM ganglion_own_logs('log', NULL, NULL)") == []


def test_words_are_looked_for_in_the_tables_of_the_schema_alone(filled: str) -> None:
    """The function has the rights of the tables' owner."""
    with session(filled, "ganglion_tenant_reader", "{acme}") as asked:
        asked._connection.execute("CREATE TEMPORARY TABLE logs (LIKE public.logs)")
        assert asked("SELECT count(*) FROM ganglion_own_logs('log', NULL, NULL)") == [(2,)]
    with session(filled, "ganglion_reader") as asked:
        assert asked.refused("SELECT * FROM ganglion_own_logs('log', NULL, NULL)")


async def test_a_role_that_was_granted_more_goes_on_with_it(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).export(logs_batch([log()]))
    role = f"r{time_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON logs, spans, resources TO {role}")
        try:
            with psycopg.connect(make_conninfo(postgresql, user=role)) as theirs:
                assert theirs.execute("SELECT count(*) FROM logs").fetchone() == (1,)
                assert theirs.execute("UPDATE logs SET level = 'WARNING'").rowcount == 1
                assert theirs.execute("DELETE FROM logs").rowcount == 1
        finally:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


async def test_access_is_made_once(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).position(SOURCE)
    before = rows(postgresql, "SELECT oid FROM pg_policy ORDER BY oid")
    await exporter_on(postgresql).position(SOURCE)
    assert rows(postgresql, "SELECT oid FROM pg_policy ORDER BY oid") == before
    assert len(before) == 6


async def test_access_of_another_version_is_made_anew(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).position(SOURCE)
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute("DROP POLICY ganglion_own ON logs")
        admin.execute("COMMENT ON FUNCTION ganglion_own_trace() IS 'older'")
    await exporter_on(postgresql).position(SOURCE)
    assert len(rows(postgresql, "SELECT oid FROM pg_policy")) == 6


async def test_collectors_of_several_databases_give_access_at_once(
    postgresql_server: str, postgresql: str, exporter_on: Open
) -> None:
    with fresh_database(postgresql_server) as another:
        await asyncio.gather(*(exporter_on(dsn).position(SOURCE) for dsn in (postgresql, another) * 3))
        for dsn in (postgresql, another):
            with session(dsn, "ganglion_tenant_reader", "{acme}") as asked:
                assert counts(asked) == (0, 0, 0)


async def test_an_odd_schema_has_access_of_its_own(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql, schema='Odd "schema"')
    await exporter.export(logs_batch([log()]))
    await exporter.export(spans_batch([span()], sequence=1))
    with session(postgresql, "ganglion_reader") as asked:
        assert asked('SELECT count(*) FROM "Odd ""schema""".logs') == [(1,)]


async def test_a_role_that_may_make_no_roles_says_what_an_administrator_runs(
    postgresql: str, exporter_on: Open, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"w{time_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        dsn = make_conninfo(postgresql, user=role)
        try:
            with caplog.at_level(logging.WARNING):
                exporter = exporter_on(dsn)
                await exporter.export(logs_batch([log()]))
            (record,) = caplog.records
            said = record.__dict__["sql"]
            assert f"GRANT ganglion_reader TO {role};" in said.replace('"', "")
            assert rows(postgresql, "SELECT count(*) FROM logs") == [(1,)]
            admin.execute(said)
            await exporter_on(dsn).position(SOURCE)
            with session(dsn, "ganglion_reader") as asked:
                assert counts(asked) == (1, 0, 1)
        finally:
            admin.execute(f"DROP OWNED BY {role} CASCADE")
            admin.execute(f"DROP ROLE {role}")


async def test_a_login_that_is_no_superuser_takes_the_roles_it_makes(postgresql: str, exporter_on: Open) -> None:
    role = f"c{time_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT ganglion_reader, ganglion_tenant_reader TO {role} WITH INHERIT FALSE")
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        dsn = make_conninfo(postgresql, user=role)
        try:
            await exporter_on(dsn).export(logs_batch([log()]))
            assert rows(dsn, "SELECT count(*) FROM logs") == [(1,)]
            with session(dsn, "ganglion_tenant_reader", "{acme}") as asked:
                assert counts(asked) == (0, 0, 0)
        finally:
            admin.execute(f"DROP OWNED BY {role} CASCADE")
            admin.execute(f"DROP ROLE {role}")
