"""Prometheus and Alertmanager as programs: found on PATH, one data folder each, ended with the supervisor."""

import asyncio
import logging
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ganglion_collector.endpoint import Endpoint, free_addresses, parse_endpoint
from ganglion_collector.errors import StartError
from ganglion_collector.home import Home, reason_of
from ganglion_collector.launch import Launch
from ganglion_collector.monitoring_config import reachable
from ganglion_collector.process import Program

__all__ = ["ALERTMANAGER", "PROMETHEUS", "Kind", "Server", "end_servers"]

_PATIENCE = 15.0
_READY_PATIENCE = 600.0
"""Prometheus first reads what it had not yet written to blocks."""
_KEPT = re.compile(r"(?i)PATH|HOME|TMPDIR|(https?|no)_proxy|(PYTHON|GO|SSL_CERT_).*")
_LEVEL = re.compile(r"\blevel=(\w+)", re.IGNORECASE)
_FIELD = re.compile(r'\b(err|msg)=(?:"((?:[^"\\]|\\.)*)"|(\S+))')


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two; `programs` are its names, `package` Debian's, `data_option` where its data folder is given."""

    name: str
    title: str
    programs: Sequence[str]
    package: str
    variable: str
    data_option: str


PROMETHEUS = Kind(
    "prometheus-server",
    "Prometheus",
    ("prometheus",),
    "prometheus",
    "GANGLION_PROMETHEUS_ADDRESS",
    "--storage.tsdb.path",
)
ALERTMANAGER = Kind(
    "alertmanager",
    "Alertmanager",
    ("prometheus-alertmanager", "alertmanager"),
    "prometheus-alertmanager",
    "GANGLION_ALERTMANAGER_ADDRESS",
    "--storage.path",
)


class Server:
    """One server under a home folder."""

    def __init__(self, kind: Kind, endpoint: Endpoint, home: Home, environ: Mapping[str, str]) -> None:
        self.kind = kind
        self.version = (0, 0)
        self._endpoint = endpoint
        self._home = home
        self._environ = environ
        self._path = ""
        self._listens = ""

    @property
    def data(self) -> Path:
        return _data(self.kind, self._home)

    @property
    def files(self) -> Path:
        """Where its configuration is written."""
        return self._home.run / self.kind.name

    @property
    def address(self) -> str:
        """Where it is reached from here, once it was prepared."""
        return reachable(self._listens)

    def program(self, configure: Callable[[], Sequence[str]], on_ready: Callable[[], None]) -> Program:
        """Return how it runs.

        `configure` writes its configuration and gives the further options, before each start; `on_ready` is called
        when it answers.
        """
        options: list[str] = []

        async def prepare() -> None:
            await asyncio.to_thread(self._prepare)
            options[:] = configure()

        async def ready() -> None:
            await self._wait_ready()
            on_ready()

        return Program(
            name=self.kind.name,
            command=lambda: (self._argv(options), self._environment()),
            components=(),
            prepare=prepare,
            ready=ready,
            hint=f"; see {self._home.log}",
            reads=_read,
            patience=_PATIENCE,
        )

    def _prepare(self) -> None:
        self._path, self.version = _installed(self.kind, self._environ.get("PATH"))
        _end(self.kind, self._home)
        try:
            found = str(free_addresses(self._endpoint)[0])
        except OSError as error:
            reason = f"{error.strerror}; stop what has it (another {self.kind.title}?), or set {self.kind.variable}"
            raise StartError(reason) from None
        # Port 0: the same one after a restart, since others were told it.
        self._listens = found
        self._endpoint = parse_endpoint(found)
        try:
            for folder in (self.data, self.files):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartError(f"cannot make {error.filename}: {reason_of(error)}") from None

    def _argv(self, options: Sequence[str]) -> Sequence[str]:
        listen = [f"--web.listen-address={self._listens}", f"--web.external-url=http://{self.address}"]
        program = [self._path, f"{self.kind.data_option}={self.data}", *listen, *options]
        return Launch(death_signal=int(signal.SIGTERM)).argv(program)

    def _environment(self) -> Mapping[str, str]:
        return {name: value for name, value in self._environ.items() if _KEPT.fullmatch(name)}

    async def _wait_ready(self) -> None:
        try:
            async with asyncio.timeout(_READY_PATIENCE):
                # It tells its state to who asks, and in no other way.
                while not await _is_ready(parse_endpoint(self.address)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StartError(f"{self.kind.title} was not ready after {_READY_PATIENCE:.0f} s") from None


def end_servers(home: Home) -> None:
    """End the servers that a killed supervisor left; blocking. The caller knows that none runs any more.

    Raises:
        StartError: one cannot be ended.
    """
    for kind in (PROMETHEUS, ALERTMANAGER):
        _end(kind, home)


def _end(kind: Kind, home: Home) -> None:
    if not _data(kind, home).exists():
        return
    left = list(_running(f"{kind.data_option}={_data(kind, home)}"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        _, left = psutil.wait_procs(left, timeout=_PATIENCE)
    if left:
        numbers = ", ".join(str(process.pid) for process in left)
        raise StartError(f"{kind.title} of {home.path} cannot be ended (process {numbers}); stop it and try again")


def _data(kind: Kind, home: Home) -> Path:
    return home.path / kind.title.lower()


def _running(option: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if option in process.cmdline():
                yield process


def _installed(kind: Kind, folders: str | None) -> tuple[str, tuple[int, int]]:
    path = next((path for name in kind.programs if (path := shutil.which(name, path=folders))), None)
    if path is None:
        raise StartError(f"not installed; on Debian: apt-get install {kind.package}")
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{path} does not tell its version: {error}") from None
    version = re.search(rf"^{kind.title.lower()}, version (\d+)\.(\d+)", answer.stdout + answer.stderr, re.MULTILINE)
    if version is None:
        raise StartError(f"{path} is not {kind.title}, to judge by its --version")
    return path, (int(version[1]), int(version[2]))


async def _is_ready(endpoint: Endpoint) -> bool:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            try:
                writer.write(f"GET /-/ready HTTP/1.0\r\nHost: {endpoint}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except OSError:
        return False


def _read(line: str) -> tuple[int, str]:
    """Return the level of a line of its log (logfmt), and the reason of an error."""
    level = _LEVEL.search(line)
    match level[1].lower() if level else "":
        case "error":
            fields = {name: quoted or bare for name, quoted, bare in _FIELD.findall(line)}
            reason = fields.get("err") or fields.get("msg", "")
            return logging.ERROR, reason.replace('\\"', '"').replace("\\n", " ")
        case "warn":
            return logging.WARNING, ""
        case _:
            return logging.DEBUG, ""
