"""Schema, partitions, and the SQL that people are promised."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import time_ns
from uuid import UUID

import psycopg
import pytest
from ganglion_collector.errors import RetryableError
from ganglion_exporters.postgresql.schema import migrations
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from psycopg.conninfo import make_conninfo

from tests.exporters.batches import TRACE_ID, log, logs_batch, span, spans_batch
from tests.exporters.databases import Open, rows

DAY = 86_400 * 10**9
SOURCE = logs_batch([]).source


def run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def partitions(dsn: str, table: str) -> list[str]:
    query = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1"
    return [name for (name,) in rows(dsn, query)]


def name_of(table: str, time: int) -> str:
    return f"{table}_{datetime.fromtimestamp(time // 10**9, UTC):%Y%m%d}"


async def test_many_at_once_migrate_a_database_once(postgresql: str, exporter_on: Open) -> None:
    await asyncio.gather(*(exporter_on(postgresql).position(SOURCE) for _ in range(6)))
    await exporter_on(postgresql).position(SOURCE)
    applied = rows(postgresql, "SELECT version, name FROM ganglion_migrations ORDER BY version")
    assert applied == [(migration.version, migration.name) for migration in migrations()]


async def test_database_of_the_first_version_is_brought_up_with_its_rows(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).export(spans_batch([span()]))
    run(postgresql, "DROP INDEX spans_failed, spans_operation, logs_created_at, logs_costs, logs_scores")
    run(postgresql, "DELETE FROM ganglion_migrations WHERE version > 1")
    await exporter_on(postgresql).position(SOURCE)
    assert rows(postgresql, "SELECT to_regclass('spans_failed')::text, count(*) FROM spans") == [("spans_failed", 1)]


async def test_tables_go_to_the_schema_that_is_set(postgresql: str, exporter_on: Open) -> None:
    run(postgresql, "CREATE TABLE logs (theirs int)")
    exporter = exporter_on(postgresql, schema='Odd "schema"')
    await exporter.export(logs_batch([log()]))
    await exporter.export(spans_batch([span()], sequence=1))
    assert rows(postgresql, 'SELECT count(*) FROM "Odd ""schema""".logs') == [(1,)]
    assert rows(postgresql, "SELECT count(*) FROM logs") == [(0,)]


async def test_table_of_somebody_else_is_left_alone(postgresql: str, exporter_on: Open) -> None:
    run(postgresql, "CREATE TABLE logs (theirs int)")
    with pytest.raises(RetryableError, match=r'"logs" that is not Ganglion.*`schema:`'):
        await exporter_on(postgresql).export(logs_batch([log()]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("INSERT INTO ganglion_migrations VALUES (9999, 'future', now(), '')", "has version 9999.*install a newer"),
        ("UPDATE ganglion_migrations SET checksum = 'x' WHERE version = 1", "migration 1 is not that of"),
    ],
    ids=["newer", "different"],
)
async def test_database_of_another_version_is_left_alone(
    postgresql: str, exporter_on: Open, change: str, reason: str
) -> None:
    await exporter_on(postgresql).position(SOURCE)
    run(postgresql, change)
    with pytest.raises(RetryableError, match=reason):
        await exporter_on(postgresql).export(logs_batch([log()]))


async def test_failed_migration_leaves_nothing_and_is_done_later(postgresql: str, exporter_on: Open) -> None:
    run(postgresql, "CREATE FUNCTION log_words(text, text, text) RETURNS tsvector LANGUAGE sql RETURN NULL::tsvector")
    with pytest.raises(RetryableError, match="42723"):
        await exporter_on(postgresql).position(SOURCE)
    assert rows(postgresql, "SELECT to_regclass('logs'), to_regclass('ganglion_migrations')") == [(None, None)]
    run(postgresql, "DROP FUNCTION log_words")
    assert await exporter_on(postgresql).position(SOURCE) is None


async def test_database_in_another_encoding_is_refused_before_anything_is_stored(
    postgresql: str, exporter_on: Open
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(postgresql)["dbname"]
    latin = f"{name}_latin"
    run(postgresql, f"CREATE DATABASE {latin} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    try:
        with pytest.raises(RetryableError, match=r"LATIN1.*UTF8"):
            await exporter_on(make_conninfo(postgresql, dbname=latin)).position(SOURCE)
    finally:
        run(postgresql, f"DROP DATABASE {latin} WITH (FORCE)")


async def test_partitions_are_there_ahead(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql, partitions_ahead=2).export(logs_batch([log()]))
    today = time_ns()
    assert partitions(postgresql, "logs") == [name_of("logs", today + day * DAY) for day in range(3)]


async def test_late_and_early_records_get_their_days_within_bounds(postgresql: str, exporter_on: Open) -> None:
    now = time_ns()
    times = [now, now - 30 * DAY, now - 399 * DAY, now - 401 * DAY, now + DAY, now + 3 * DAY, 0, 2**64 - 1]
    exporter = exporter_on(postgresql, partitions_ahead=0)
    await exporter.export(logs_batch([log(time_unix_nano=time) for time in times]))
    await exporter.export(spans_batch([span(start_time_unix_nano=time) for time in times], sequence=1))
    wanted = {now, now - 30 * DAY, now - 399 * DAY, now + DAY}
    for table in ("logs", "spans"):
        assert partitions(postgresql, table) == sorted(name_of(table, time) for time in wanted)
        assert rows(postgresql, f"SELECT count(*) FROM {table}") == [(len(times),)]


async def test_many_at_once_make_the_same_days(postgresql: str, exporter_on: Open) -> None:
    now = time_ns()
    records = [log(time_unix_nano=now - number * DAY) for number in range(10)]
    items = []
    for number in range(4):
        item = logs_batch(records)
        items.append(
            type(item)(item.signal, item.records, type(item.source)(UUID(int=number), "r"), item.start, item.end)
        )
    await asyncio.gather(*(exporter_on(postgresql).export(item) for item in items))
    assert rows(postgresql, "SELECT count(*) FROM logs") == [(40,)]


async def test_day_that_was_dropped_is_made_again(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    await exporter.export(logs_batch([log()]))
    run(postgresql, f"DROP TABLE {name_of('logs', time_ns())}")
    with pytest.raises(RetryableError, match="no partition"):
        await exporter.export(logs_batch([log()], sequence=1))
    await exporter.export(logs_batch([log("again")], sequence=1))
    assert rows(postgresql, "SELECT message FROM logs") == [("again",)]


async def test_role_without_rights_says_what_it_lacks(postgresql: str, exporter_on: Open) -> None:
    role = f"r{time_ns()}"
    await exporter_on(postgresql).export(logs_batch([log()]))
    run(postgresql, f"CREATE ROLE {role} LOGIN")
    try:
        dsn = make_conninfo(postgresql, options=f"-c role={role}")
        with pytest.raises(RetryableError, match=r"42501.*permission denied for table ganglion_migrations"):
            await exporter_on(dsn).export(logs_batch([log()], sequence=1))
        tables = "logs, spans, resources, ganglion_positions"
        run(postgresql, f"GRANT SELECT ON ganglion_migrations TO {role}")
        run(postgresql, f"GRANT SELECT, INSERT, UPDATE ON {tables} TO {role}")
        await exporter_on(dsn).export(logs_batch([log()], sequence=1))
    finally:
        run(postgresql, f"DROP OWNED BY {role}")
        run(postgresql, f"DROP ROLE {role}")


async def test_read_only_database_is_retryable(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).export(logs_batch([log()]))
    dsn = make_conninfo(postgresql, options="-c default_transaction_read_only=on")
    with pytest.raises(RetryableError, match="25006"):
        await exporter_on(dsn).export(logs_batch([log()], sequence=1))


async def test_resources_are_stored_once_and_found_from_every_row(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql).export(logs_batch([log()]))
    await exporter_on(postgresql).export(spans_batch([span()], sequence=1))
    assert rows(postgresql, "SELECT count(*) FROM resources") == [(1,)]
    assert rows(postgresql, "SELECT count(*) FROM logs JOIN resources r ON r.id = resource_id") == [(1,)]
    assert rows(postgresql, "SELECT count(*) FROM spans JOIN resources r ON r.id = resource_id") == [(1,)]


_HOURS_AGO = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
PROMISED = {
    "trace, 32 digits": (3, f"SELECT * FROM logs WHERE trace_id = '{TRACE_ID.hex()}' ORDER BY timestamp"),
    "trace, hyphens": (3, f"SELECT * FROM logs WHERE trace_id = '{UUID(bytes=TRACE_ID)}' ORDER BY timestamp"),
    "errors": (1, "SELECT error FROM logs WHERE level='ERROR' LIMIT 100"),
    "cost": (1, f"SELECT sum(cost_usd) FROM logs WHERE trace_id = '{TRACE_ID.hex()}' HAVING sum(cost_usd) = 0.75"),
    "rate": (
        1,
        """SELECT date_trunc('day', timestamp), count(*), avg((level = 'ERROR')::int)
           FROM logs GROUP BY 1""",
    ),
    "percentiles": (
        2,
        """SELECT message, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms)
           FROM logs WHERE duration_ms IS NOT NULL GROUP BY message""",
    ),
    "correlation": (
        2,
        f"""SELECT logger, level, count(*), avg(duration_ms) FROM logs
            WHERE timestamp BETWEEN '{_HOURS_AGO}' AND now() + interval '1 minute' GROUP BY logger, level""",
    ),
    "user": (
        1,
        """SELECT * FROM logs WHERE user_id = 'user-123' AND level IN ('ERROR', 'CRITICAL')
           AND timestamp > now() - interval '24 hours' ORDER BY timestamp DESC""",
    ),
    "words": (
        1,
        """SELECT * FROM logs
           WHERE log_words(message, error, stack_trace) @@ websearch_to_tsquery('simple', 'frobnicate')""",
    ),
    "context": (1, "SELECT * FROM logs WHERE context->>'model' = 'm' AND (metrics->>'tokens')::int > 10"),
    "slow": (1, "SELECT name FROM spans WHERE duration_ms >= 100 ORDER BY duration_ms DESC LIMIT 20"),
}


@pytest.mark.parametrize(("count", "query"), PROMISED.values(), ids=PROMISED)
async def test_promised_sql_runs_as_written(postgresql: str, exporter_on: Open, count: int, query: str) -> None:
    records = [
        log("embed", {"cost_usd": 0.25, "duration_ms": 3.0, "model": "m", "tokens": 11}),
        log("search", {"cost_usd": 0.5, "duration_ms": 4}),
        log("failed", {"user.id": "user-123", "exception.type": "E", "exception.stacktrace": "in frobnicate()"}),
    ]
    records[2].severity_number = SeverityNumber.SEVERITY_NUMBER_ERROR
    exporter = exporter_on(postgresql)
    await exporter.export(logs_batch(records))
    await exporter.export(spans_batch([span(end_time_unix_nano=time_ns() + 10**9)], sequence=1))
    assert len(rows(postgresql, query)) == count


INDEXED = {
    "logs_trace_id": f"SELECT 1 FROM logs WHERE trace_id = '{TRACE_ID.hex()}'",
    "logs_user_id": "SELECT 1 FROM logs WHERE user_id = 'u' ORDER BY timestamp DESC LIMIT 100",
    "logs_request_id": "SELECT 1 FROM logs WHERE request_id = 'r'",
    "logs_words": "SELECT 1 FROM logs WHERE log_words(message, error, stack_trace) @@ to_tsquery('simple', 'x')",
    "spans_pkey": f"SELECT 1 FROM spans WHERE trace_id = '{TRACE_ID.hex()}'",
    "spans_failed": "SELECT 1 FROM spans WHERE status = 'ERROR' ORDER BY start_time DESC LIMIT 50",
    "spans_slow": "SELECT 1 FROM spans WHERE duration_ms >= 500 ORDER BY duration_ms DESC LIMIT 5",
}


async def test_queries_can_use_their_indexes(postgresql: str, exporter_on: Open) -> None:
    await exporter_on(postgresql, partitions_ahead=0).export(logs_batch([log()]))
    await exporter_on(postgresql, partitions_ahead=0).export(spans_batch([span()], sequence=1))
    with psycopg.connect(postgresql) as connection:
        connection.execute("SET enable_seqscan = off")
        for index, query in INDEXED.items():
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}".encode()))
            assert "Seq Scan" not in plan, (index, plan)
