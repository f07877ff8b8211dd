"""The PostgreSQL exporter against a real server: once, whatever happens to the line."""

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from ganglion_collector.component import Batch, KeepsPosition, Position, Signal
from ganglion_collector.errors import PermanentError, RetryableError
from ganglion_exporters.postgresql import PostgreSQLConfig, PostgreSQLExporter, factory
from ganglion_exporters.postgresql.positions import claim, move

from tests.exporters.batches import batch, log, logs_batch, logs_payload, span, spans_batch
from tests.exporters.databases import Open, rows
from tests.fix_postgresql import PostgreSQLProxy


def messages(dsn: str) -> list[str]:
    return [message for (message,) in rows(dsn, "SELECT message FROM logs ORDER BY message")]


async def until_stored(exporter: PostgreSQLExporter, item: Batch) -> None:
    """Do what the worker does: after a retryable error ask for the position, and try again."""
    while (await positioned(exporter, item)) != item.end:
        try:
            await exporter.export(item)
        except RetryableError:
            continue


async def positioned(exporter: PostgreSQLExporter, item: Batch) -> Position | None:
    for _ in range(10):
        try:
            return await exporter.position(item.source)
        except RetryableError:
            continue
    raise AssertionError("no position")


async def test_logs_and_position_are_stored(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    item = logs_batch([log("one"), log("two")])
    assert await exporter.position(item.source) is None
    await exporter.export(item)
    assert messages(postgresql) == ["one", "two"]
    assert await exporter.position(item.source) == item.end
    assert isinstance(exporter, KeepsPosition)


async def test_batch_that_is_stored_changes_nothing(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    item = logs_batch([log("one")])
    await exporter.export(item)
    await exporter.export(item)
    assert messages(postgresql) == ["one"]


async def test_batch_from_another_position_is_refused_for_now(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    await exporter.export(logs_batch([log("one")], sequence=3))
    with pytest.raises(RetryableError, match=r"at 4\.0, not at 5\.0"):
        await exporter.export(logs_batch([log("two")], sequence=5))
    assert messages(postgresql) == ["one"]


async def test_empty_batch_only_moves_the_position(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    item = replace(logs_batch([log("bad")]), records=())
    await exporter.export(item)
    assert await exporter.position(item.source) == item.end
    assert messages(postgresql) == []


@pytest.mark.parametrize("sequence", [0, 1], ids=["first", "later"])
async def test_two_exporters_at_one_position_store_once(postgresql: str, exporter_on: Open, sequence: int) -> None:
    await exporter_on(postgresql).export(replace(logs_batch([]), end=Position(sequence)))
    item = logs_batch([log(str(number)) for number in range(2000)], sequence)
    exporters = [exporter_on(postgresql) for _ in range(4)]
    await asyncio.gather(*(exporter.export(item) for exporter in exporters))
    assert len(messages(postgresql)) == 2000


async def test_exporter_that_hangs_in_its_transaction_gives_way(postgresql: str, exporter_on: Open) -> None:
    hanging, successor = exporter_on(postgresql, timeout="3s"), exporter_on(postgresql)
    await successor.export(logs_batch([log("0")]))
    item = logs_batch([log("1")], sequence=1)

    async def hang() -> None:
        async with hanging._use() as connection, hanging._connection.transaction(connection):
            assert await claim(connection, "public", item)
            await successor.export(item)
            await move(connection, "public", item)

    with pytest.raises(RetryableError):
        await hang()
    assert messages(postgresql) == ["0", "1"]


async def test_span_sent_again_is_stored_once(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    first, second, third = span("first"), span("second"), span("third")
    await exporter.export(spans_batch([first, second]))
    await exporter.export(spans_batch([second, third, third], sequence=1))
    assert rows(postgresql, "SELECT name FROM spans ORDER BY span_id") == [("first",), ("second",), ("third",)]


async def test_spans_sent_again_by_many_at_once_are_stored_once(postgresql: str, exporter_on: Open) -> None:
    spans = [span(str(number)) for number in range(500)]
    items = [
        replace(item, source=replace(item.source, reader=str(n))) for n, item in enumerate([spans_batch(spans)] * 3)
    ]
    await asyncio.gather(*(until_stored(exporter_on(postgresql), item) for item in items))
    assert rows(postgresql, "SELECT count(*) FROM spans") == [(500,)]


@pytest.mark.parametrize("delivered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "statement",
    [b"BEGIN", b"set_config", b"FOR UPDATE", b"COPY", b"INSERT INTO", b"UPDATE", b"COMMIT"],
    ids=bytes.decode,
)
async def test_line_cut_at_a_statement_loses_and_doubles_nothing(
    postgresql: str, postgresql_proxy: PostgreSQLProxy, exporter_on: Open, statement: bytes, delivered: bool
) -> None:
    exporter = exporter_on(postgresql_proxy.dsn)
    await exporter.export(logs_batch([log("0")]))
    postgresql_proxy.cut_at(statement, delivered=delivered)
    record = log("1")
    payload = logs_payload([record], {"service.name": "new"})
    await until_stored(exporter, batch(Signal.LOGS, payload, 1, sequence=1))
    assert postgresql_proxy.reached.is_set()
    assert messages(postgresql) == ["0", "1"]


@pytest.mark.parametrize("size", [50, 500, 3_000, 20_000, 150_000, 300_000])
async def test_line_cut_after_some_bytes_loses_and_doubles_nothing(
    postgresql: str, postgresql_proxy: PostgreSQLProxy, exporter_on: Open, size: int
) -> None:
    exporter = exporter_on(postgresql_proxy.dsn)
    await exporter.export(logs_batch([log("0")]))
    postgresql_proxy.cut_after(size)
    await until_stored(exporter, logs_batch([log("1" * 100) for _ in range(2_000)], sequence=1))
    assert postgresql_proxy.reached.is_set()
    assert len(messages(postgresql)) == 2_001


@pytest.mark.parametrize("locked", ["ganglion_positions", "logs", "resources"])
async def test_batch_cancelled_on_a_dead_line_ends_at_once_and_can_be_sent_again(
    postgresql: str, postgresql_proxy: PostgreSQLProxy, exporter_on: Open, locked: str
) -> None:
    exporter = exporter_on(postgresql_proxy.dsn)
    await exporter.export(logs_batch([log("0")]))
    with psycopg.connect(postgresql) as connection:
        # Somebody else holds what the statement needs, so that no answer comes.
        connection.execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE".encode())
        exporting = asyncio.create_task(exporter.export(unseen_resource("1")))
        await until_waiting(postgresql)
        postgresql_proxy.hold()
        exporting.cancel()
        begin = asyncio.get_running_loop().time()
        with pytest.raises(asyncio.CancelledError):
            await exporting
        assert asyncio.get_running_loop().time() - begin < 2
    postgresql_proxy.resume()
    await until_stored(exporter, unseen_resource("1"))
    assert messages(postgresql) == ["0", "1"]


def unseen_resource(message: str) -> Batch:
    return batch(Signal.LOGS, logs_payload([log(message)], {"service.name": "unseen"}), 1, sequence=1)


async def until_waiting(dsn: str) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while rows(dsn, query) == [(0,)]:  # noqa: ASYNC110 (the server has no event to wait for)
            await asyncio.sleep(0.01)


async def test_ended_session_is_replaced(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    await exporter.export(logs_batch([log("0")]))
    # Of this database: collectors that other tests share have sessions at the same server.
    ours = "datname = current_database() AND application_name = 'ganglion'"
    rows(postgresql, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
    with pytest.raises(RetryableError, match=r"57P01|closed"):
        await exporter.export(logs_batch([log("1")], sequence=1))
    await exporter.export(logs_batch([log("1")], sequence=1))
    assert messages(postgresql) == ["0", "1"]


async def test_record_that_postgresql_refuses_is_permanent(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    await exporter.export(logs_batch([log("0")]))
    with psycopg.connect(postgresql) as connection:
        connection.execute("ALTER TABLE logs ADD CONSTRAINT no_secrets CHECK (message <> 'secret')")
    with pytest.raises(PermanentError, match="no_secrets") as raised:
        await exporter.export(logs_batch([log("secret")], sequence=1))
    assert "secret'" not in str(raised.value)
    assert messages(postgresql) == ["0"]


async def test_span_without_ids_is_permanent(postgresql: str, exporter_on: Open) -> None:
    with pytest.raises(PermanentError, match="16 bytes"):
        await exporter_on(postgresql).export(spans_batch([span(trace_id=b"")]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong-secret", "user": "nobody-here"}, "nobody-here"),
        ({"dbname": "not_there"}, "not_there"),
        ({"host": "127.0.0.1", "port": 1}, "refused"),
    ],
    ids=["role", "database", "server"],
)
async def test_unusable_server_is_retryable_and_its_secret_unsaid(
    postgresql: str, exporter_on: Open, change: dict[str, Any], reason: str
) -> None:
    exporter = exporter_on(psycopg.conninfo.make_conninfo(postgresql, **{"password": "wrong-secret", **change}))
    with pytest.raises(RetryableError, match=reason) as raised:
        await exporter.export(logs_batch([log()]))
    assert "wrong-secret" not in str(raised.value)


async def test_export_after_shutdown_is_refused(postgresql: str, exporter_on: Open) -> None:
    exporter = exporter_on(postgresql)
    await exporter.shutdown()
    await exporter.shutdown()
    with pytest.raises(RetryableError, match="shut down"):
        await exporter.export(logs_batch([log()]))


def test_missing_dsn_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="ganglion up"):
        PostgreSQLConfig.model_validate({"dsn": None})
    with pytest.raises(ValueError, match="GANGLION_DATABASE_URL"):
        factory.config.model_validate({})


def test_malformed_dsn_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="not a connection string") as raised:
        PostgreSQLConfig.model_validate({"dsn": "host=x passwrd=hunter2"})
    assert "hunter2" not in str(raised.value)
