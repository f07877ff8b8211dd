"""The supervisor: starts the collector's processes in order, keeps them running, stops them in the reverse order.

    PostgreSQL (embedded) ─▶ workers ─▶ receivers ─▶ Alertmanager ─▶ Prometheus      start
    PostgreSQL ◀─ workers ◀─ receivers ◀─ Alertmanager ◀─ Prometheus                 stop
    The query process starts and stops beside workers and receivers: none of them waits for another.

SIGTERM and SIGINT stop it, a second one at once; SIGHUP reads the configuration again.
"""

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ganglion_collector import config, log
from ganglion_collector.board import Board
from ganglion_collector.config import CollectorConfig
from ganglion_collector.embedded import EmbeddedPostgreSQL
from ganglion_collector.errors import CollectorError, InvalidConfigError
from ganglion_collector.generation import Generation
from ganglion_collector.home import Home
from ganglion_collector.instance import InstanceLock, wait_for_orphans
from ganglion_collector.monitoring import Monitoring, MonitoringSettings
from ganglion_collector.process import SupervisedProcess
from ganglion_collector.programs import postgresql_program
from ganglion_collector.readiness import Readiness

__all__ = ["SupervisorSettings", "run"]

_logger = logging.getLogger(__name__)

_STATUS_BYTES = 16_384
"""Room taken for the status from the start, so that a full disk does not make it untrue."""


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """What to supervise.

    `uris` and `sets` name the configuration, `environ` is what it and the children see. With `embedded` a PostgreSQL
    of our own runs, on TCP too if `postgresql_port` is given, and is GANGLION_DATABASE_URL. With `monitoring`
    Prometheus and Alertmanager run too, where they are installed. `readiness_fd`: see `ganglion_collector.readiness`.
    """

    uris: Sequence[str]
    home: Path
    environ: Mapping[str, str]
    sets: Sequence[str] = ()
    embedded: bool = False
    monitoring: bool = False
    postgresql_port: int | None = None
    readiness_fd: int | None = None


async def run(settings: SupervisorSettings) -> int:
    """Run the collector until it is told to stop; return the exit code.

    0 after an orderly stop; 1 if it could not start, with the reason on standard error, or was stopped by force.
    """
    board = Board()
    readiness = Readiness(settings.readiness_fd, board)
    log.configure("info", "json", "supervisor")
    try:
        return await _Supervisor(settings, board, readiness).run()
    except (CollectorError, OSError) as error:
        for line in str(error).splitlines():
            _say_failure(line)
        readiness.failed(str(error))
        return 1


def _say_failure(reason: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"ganglion: {reason}\n")
    else:
        _logger.error("cannot start", extra={"reason": reason})


@dataclass(slots=True)
class _Wishes:
    """What signals asked for since it was last looked at."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stop: bool = False
    reload: bool = False


class _Supervisor:
    def __init__(self, settings: SupervisorSettings, board: Board, readiness: Readiness) -> None:
        self._settings = settings
        self._board = board
        self._readiness = readiness
        self._home = Home(settings.home)
        self._environ = dict(settings.environ)
        self._postgresql: SupervisedProcess | None = None
        self._generation: Generation | None = None
        self._monitoring: Monitoring | None = None
        self._metrics: Path | None = None
        self._wishes = _Wishes()

    async def run(self) -> int:
        self._prepare_database()
        loaded = self._load()
        self._home.make()
        self._prepare_monitoring()
        with InstanceLock(self._home.lock):
            await asyncio.to_thread(wait_for_orphans, self._home.status)
            self._board.on_change(self._write_status)
            self._listen_to_signals()
            starting = asyncio.create_task(self._start(loaded))
            try:
                if await self._is_started(starting):
                    self._readiness.started()
                    await self._follow_wishes()
                return 0
            finally:
                await self._stop()
                self._home.status.unlink(missing_ok=True)
                if self._metrics is not None:
                    shutil.rmtree(self._metrics, ignore_errors=True)

    def _prepare_database(self) -> None:
        if not self._settings.embedded:
            return
        server = EmbeddedPostgreSQL(self._settings.home, self._settings.postgresql_port)
        self._environ["GANGLION_DATABASE_URL"] = server.dsn
        self._postgresql = SupervisedProcess(postgresql_program(server), self._board)

    def _prepare_monitoring(self) -> None:
        settings = MonitoringSettings.of(self._environ) if self._settings.monitoring else None
        if settings is not None:
            self._monitoring = Monitoring(settings, self._home, self._environ, self._board)

    def _load(self) -> CollectorConfig:
        loaded = config.load(self._settings.uris, sets=self._settings.sets, environ=self._environ)
        logs = loaded.telemetry.logs
        log.configure(logs.level, cast("log.Encoding", logs.encoding), "supervisor")
        for warning in loaded.warnings:
            _logger.warning("configuration", extra={"reason": warning})
        return loaded

    async def _start(self, loaded: CollectorConfig) -> None:
        metrics = self._metrics = self._home.make_metrics()
        self._board.update("supervisor", "running", pid=os.getpid())
        self._generation = Generation(loaded, self._environ, self._settings.home, metrics, self._board)
        await self._generation.start_servers()
        if self._postgresql is not None:
            await self._postgresql.start()
        await self._generation.start()
        if self._monitoring is not None:
            await self._monitoring.start(loaded)
        self._board.enter("running")

    async def _is_started(self, starting: asyncio.Task[None]) -> bool:
        """Wait for the start; False if a signal ended it."""
        wish = asyncio.create_task(self._wishes.changed.wait())
        await asyncio.wait([starting, wish], return_when=asyncio.FIRST_COMPLETED)
        wish.cancel()
        if self._wishes.stop:
            starting.cancel()
            with suppress(asyncio.CancelledError, CollectorError):
                await starting
            return False
        await starting
        return True

    async def _follow_wishes(self) -> None:
        _logger.info("everything is ready", extra={"addresses": self._board.status()["addresses"]})
        while not self._wishes.stop:
            await self._wishes.changed.wait()
            self._wishes.changed.clear()
            if self._wishes.reload and not self._wishes.stop:
                self._wishes.reload = False
                await self._reload()

    async def _reload(self) -> None:
        assert self._generation is not None
        try:
            loaded = self._load()
        except InvalidConfigError as error:
            _logger.error("the new configuration is not valid; the old one stays", extra={"errors": str(error)})
            return
        _logger.info("the configuration has changed; children restart with it")
        self._generation = await self._generation.replace(loaded)
        if self._monitoring is not None:
            self._monitoring.follow(loaded)

    async def _stop(self) -> None:
        self._board.enter("stopping")
        if self._monitoring is not None:
            await self._monitoring.stop()
        if self._generation is not None:
            await self._generation.stop()
        if self._postgresql is not None:
            await self._postgresql.stop()
        if self._generation is not None:
            await self._generation.stop_servers()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)

    def _on_stop(self) -> None:
        if self._wishes.stop:
            _logger.warning("stopped by force")
            # The children end with this process: the system kills them, and their input ends.
            os._exit(1)
        self._wishes.stop = True
        self._wishes.changed.set()

    def _on_reload(self) -> None:
        self._wishes.reload = True
        self._wishes.changed.set()

    def _write_status(self) -> None:
        path = self._home.status
        new = path.with_suffix(".new")
        status = json.dumps({"pid": os.getpid(), **self._board.status()}).encode().ljust(_STATUS_BYTES)
        try:
            new.write_bytes(status)
            new.replace(path)
        except OSError as error:
            _logger.warning("cannot write the status", extra={"reason": error.strerror})
            _overwrite(path, status)


def _overwrite(path: Path, content: bytes) -> None:
    """Write over what is there, which a full disk allows; else remove it: better no word than an old one."""
    try:
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
    except OSError:
        with suppress(OSError):
            path.unlink()
