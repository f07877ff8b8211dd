"""The fixtures themselves: what a fault test relies on must be true."""

import threading

import psycopg
import pytest

from tests.fix_postgresql import PostgreSQLProxy


def _count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
        assert row is not None
        return int(row[0])


def _copy_rows(cursor: psycopg.Cursor, count: int) -> None:
    with cursor.copy("COPY t FROM STDIN") as copy:
        for number in range(count):
            copy.write_row((number,))


@pytest.fixture
def table(postgresql: str) -> str:
    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE TABLE t (a int)")
    return postgresql


def test_each_test_has_an_empty_database_in_utf8(postgresql: str) -> None:
    with psycopg.connect(postgresql) as connection:
        row = connection.execute("SELECT count(*), current_setting('server_encoding') FROM pg_stat_user_tables")
        assert row.fetchone() == (0, "UTF8")


@pytest.mark.parametrize(("delivered", "stored"), [(False, 0), (True, 1)])
def test_proxy_cuts_before_or_after_the_server_has_committed(
    table: str, postgresql_proxy: PostgreSQLProxy, delivered: bool, stored: int
) -> None:
    with psycopg.connect(postgresql_proxy.dsn, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (1)")
        postgresql_proxy.cut_at(b"COMMIT", delivered=delivered)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("COMMIT")
    assert postgresql_proxy.reached.wait(5)
    assert _count(table) == stored
    assert _count(postgresql_proxy.dsn) == stored


def test_proxy_cuts_after_so_many_bytes(table: str, postgresql_proxy: PostgreSQLProxy) -> None:
    with psycopg.connect(postgresql_proxy.dsn) as connection, connection.cursor() as cursor:
        postgresql_proxy.cut_after(100_000)
        with pytest.raises(psycopg.OperationalError):
            _copy_rows(cursor, 1_000_000)
    assert _count(table) == 0


def test_proxy_holds_traffic_until_it_resumes(table: str, postgresql_proxy: PostgreSQLProxy) -> None:
    answered = threading.Event()

    def ask() -> None:
        assert _count(postgresql_proxy.dsn) == 0
        answered.set()

    postgresql_proxy.hold()
    asking = threading.Thread(target=ask)
    asking.start()
    assert not answered.wait(0.2)
    postgresql_proxy.resume()
    asking.join(5)
    assert answered.is_set()
    assert table


def test_proxy_refuses_and_cuts(postgresql_proxy: PostgreSQLProxy) -> None:
    with psycopg.connect(postgresql_proxy.dsn) as connection:
        postgresql_proxy.refuse()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgresql_proxy.dsn)
        postgresql_proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgresql_proxy.refuse(refusing=False)
    psycopg.connect(postgresql_proxy.dsn).close()
