import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from ganglion_collector.embedded import EmbeddedPostgreSQL, database_url, postgresql_port
from ganglion_collector.errors import StartError
from ganglion_collector.home import Home
from ganglion_collector.instance import InstanceLock
from ganglion_collector.postmaster import server_processes

_ROOT = os.geteuid() == 0
_QUICK = {"fsync": "off"}


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database is made, but never ran."""
    home = tmp_path_factory.mktemp("made") / "home"
    EmbeddedPostgreSQL(home, settings=_QUICK).prepare()
    return home


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return tmp_path / "empty home"


@pytest.fixture
def home(tmp_path: Path, made: Path) -> Path:
    subprocess.run(["cp", "-a", made, tmp_path / "a home"], check=True)
    return tmp_path / "a home"


@contextmanager
def _running(server: EmbeddedPostgreSQL) -> Iterator[subprocess.Popen[bytes]]:
    server.prepare()
    command = server.command()
    with subprocess.Popen(command.argv, env=command.env, stderr=subprocess.DEVNULL) as process:
        try:
            asyncio.run(server.wait_ready(15))
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def _ask(dsn: str, question: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return str(row[0])


def test_server_runs_and_keeps_its_data_and_its_folders_are_closed(empty: Path) -> None:
    server = EmbeddedPostgreSQL(empty, settings=_QUICK)
    with _running(server):
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS a")
        assert (
            _ask(server.dsn, "SELECT current_setting('listen_addresses') || current_setting('server_encoding')")
            == "UTF8"
        )
    with _running(server):
        assert _ask(server.dsn, "SELECT a FROM t") == "1"
    assert {path.stat().st_mode & 0o777 for path in (server.data, server.socket_folder, server.logs)} == {0o700}
    assert any(server.logs.iterdir())


def test_server_is_never_root_even_where_others_may_not_pass(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgreSQL(closed / "home", settings=_QUICK)
    with _running(server) as process:
        assert psutil.Process(process.pid).uids().effective != 0
        assert _ask(server.dsn, "SELECT 1") == "1"
    assert closed.stat().st_mode & 0o777 == 0o700


def test_root_without_capabilities_is_told_what_to_do_and_others_need_none(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    code = "import sys; from pathlib import Path; from ganglion_collector.embedded import EmbeddedPostgreSQL\n"
    code += "EmbeddedPostgreSQL(Path(sys.argv[1]) / 'home').command()"
    argv = [sys.executable, "-c", code, str(closed)]
    if _ROOT:
        argv = ["setpriv", "--bounding-set=-dac_read_search,-dac_override", "--inh-caps=-all", *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    said = "may not pass through" in done.stderr and "run as another user than root" in done.stderr
    assert said is _ROOT, done.stderr


def test_tcp_wants_the_password(home: Path, free_port: int) -> None:
    server = EmbeddedPostgreSQL(home, free_port, settings=_QUICK)
    with _running(server):
        assert server.tcp_dsn is not None
        assert _ask(server.tcp_dsn, "SELECT inet_server_addr()") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://ganglion@127.0.0.1:{free_port}/ganglion")
    assert server.password_file.stat().st_mode & 0o777 == 0o600


def test_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedPostgreSQL(tmp_path / ("long" * 30), settings=_QUICK)
    assert not server.socket_folder.is_relative_to(tmp_path)
    with _running(server):
        assert _ask(server.dsn, "SELECT 1") == "1"


def test_socket_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = EmbeddedPostgreSQL(tmp_path / ("long" * 30))
    server.socket_folder.symlink_to("/etc")
    with pytest.raises(StartError, match="belongs to user"):
        server.prepare()


def test_server_ends_with_its_parent_and_the_next_start_waits_for_it(home: Path) -> None:
    code = (
        "import asyncio, os, subprocess, sys; from pathlib import Path\n"
        "from ganglion_collector.embedded import EmbeddedPostgreSQL\n"
        "server = EmbeddedPostgreSQL(Path(sys.argv[1])); server.prepare(); command = server.command()\n"
        "subprocess.Popen(command.argv, env=command.env, stderr=subprocess.DEVNULL)\n"
        "asyncio.run(server.wait_ready(15)); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home)], check=False)
    assert killed.returncode == -9
    server = EmbeddedPostgreSQL(home, settings=_QUICK)
    with _running(server) as process:
        assert _ask(server.dsn, "SELECT 1") == "1"
        assert _parents(server.data) == {os.getpid(), process.pid}


def _parents(data: Path) -> set[int]:
    """Return whose children the server's processes are; that of a connection may end while they are looked at."""
    found: set[int] = set()
    for one in server_processes(data):
        with suppress(psutil.NoSuchProcess):
            found.add(one.ppid())
    return found


def test_killed_server_leaves_nothing_in_the_way_of_the_next(home: Path) -> None:
    server = EmbeddedPostgreSQL(home, settings=_QUICK)
    with _running(server) as process, psycopg.connect(server.dsn) as busy:
        stuck = psutil.Process(busy.info.backend_pid)
        stuck.suspend()
        process.kill()
        process.wait()
        with _running(server):
            assert _ask(server.dsn, "SELECT 1") == "1"
        assert not stuck.is_running()


def test_process_number_of_somebody_else_does_not_stop_the_start(home: Path) -> None:
    server = EmbeddedPostgreSQL(home, settings=_QUICK)
    server.prepare()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    with _running(server):
        assert _ask(server.dsn, "SELECT 1") == "1"


def test_half_made_data_folder_is_not_used(empty: Path) -> None:
    (empty / "postgresql.new" / "base").mkdir(parents=True)
    empty.chmod(0o711)
    server = EmbeddedPostgreSQL(empty, settings=_QUICK)
    with _running(server):
        assert _ask(server.dsn, "SELECT 1") == "1"
    assert not (empty / "postgresql.new").exists()


def test_data_of_another_version_is_not_touched(empty: Path) -> None:
    data = empty / "postgresql"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match=r"was made by PostgreSQL 17, this is 18; take the data over with pg_upgrade"):
        EmbeddedPostgreSQL(empty).prepare()


def test_folder_that_is_no_database_is_not_touched(empty: Path) -> None:
    (empty / "postgresql").mkdir(parents=True)
    with pytest.raises(StartError, match="is not a PostgreSQL data folder"):
        EmbeddedPostgreSQL(empty).prepare()


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "5432.0"])
def test_wrong_port_is_refused(text: str) -> None:
    with pytest.raises(StartError, match=r"GANGLION_POSTGRES_PORT is '.*'; write a port from 1 to 65535"):
        postgresql_port({"GANGLION_POSTGRES_PORT": text})


def test_database_in_use_is_the_given_one_else_the_running_embedded_one(home: Path) -> None:
    environ = {"GANGLION_HOME": str(home)}
    assert database_url({**environ, "GANGLION_DATABASE_URL": "postgresql://x"}) == "postgresql://x"
    with pytest.raises(StartError, match=r"was never started; run `ganglion up`"):
        database_url({"GANGLION_HOME": str(home / "none")})
    server = EmbeddedPostgreSQL(home, settings=_QUICK)
    with _running(server):
        assert database_url(environ) == server.dsn
    with pytest.raises(StartError, match=r"does not run; run `ganglion up`"):
        database_url(environ)
    with InstanceLock(Home(home).lock), pytest.raises(StartError, match=r"is not ready; `ganglion status` says why"):
        database_url(environ)


def test_home_is_made_once_and_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    home.make()
    home.make()
    assert (home.journal.stat().st_mode & 0o077, home.is_running()) == (0, False)
    (tmp_path / "f").touch()
    with pytest.raises(StartError, match=r"is in the way: not a folder"):
        Home(tmp_path / "f").make()


def test_home_is_the_variable_else_beside_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.of({}).path == tmp_path / ".ganglion"
    assert Home.of({"GANGLION_HOME": "x"}).path == tmp_path / "x"
    assert Home.of({"GANGLION_HOME": "~/x"}).path == Path.home() / "x"
