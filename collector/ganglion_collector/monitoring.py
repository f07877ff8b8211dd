"""Prometheus and Alertmanager beside the collector: optional, started where they are installed.

Nothing of the collector waits for them, and it is healthy without them.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganglion_collector.board import Board
from ganglion_collector.config import CollectorConfig
from ganglion_collector.endpoint import Endpoint, parse_endpoint
from ganglion_collector.errors import StartError
from ganglion_collector.home import Home, reason_of
from ganglion_collector.monitoring_config import alertmanager_config, prometheus_config, targets
from ganglion_collector.monitoring_servers import ALERTMANAGER, PROMETHEUS, Server
from ganglion_collector.process import SupervisedProcess

__all__ = ["Monitoring", "MonitoringSettings"]

_logger = logging.getLogger(__name__)

_PATIENCE = 15.0
"""Seconds that a start waits for them; a Prometheus that reads much from its disk goes on after that."""
_RETENTION = "15d"
_FEATURES = "exemplar-storage,native-histograms"


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """Where they listen, and a user's own configurations."""

    prometheus: Endpoint
    alertmanager: Endpoint
    prometheus_config: Path | None = None
    alertmanager_config: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "MonitoringSettings | None":
        """Return what the environment says, None with GANGLION_PROMETHEUS=off.

        Raises:
            StartError: it says something that cannot be.
        """
        if (wanted := environ.get("GANGLION_PROMETHEUS") or "on") not in ("on", "off"):
            raise StartError(f"GANGLION_PROMETHEUS is {wanted!r}; write on or off")
        if wanted == "off":
            return None
        return cls(
            _endpoint(environ, PROMETHEUS.variable, "localhost:9090"),
            _endpoint(environ, ALERTMANAGER.variable, "localhost:9093"),
            _file(environ, "GANGLION_PROMETHEUS_CONFIG"),
            _file(environ, "GANGLION_ALERTMANAGER_CONFIG"),
        )


def _endpoint(environ: Mapping[str, str], name: str, default: str) -> Endpoint:
    text = environ.get(name) or default
    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise StartError(f"{name} is {text!r}: {error}") from None


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    return Path(text).expanduser().absolute() if text else None


class Monitoring:
    """The two servers of one supervisor."""

    def __init__(self, settings: MonitoringSettings, home: Home, environ: Mapping[str, str], board: Board) -> None:
        self._settings = settings
        self._board = board
        self._alertmanager = Server(ALERTMANAGER, settings.alertmanager, home, environ)
        self._prometheus = Server(PROMETHEUS, settings.prometheus, home, environ)
        self._processes = [
            self._supervised(self._alertmanager, self._configure_alertmanager),
            self._supervised(self._prometheus, self._configure_prometheus),
        ]
        self._starting: asyncio.Task[None] | None = None
        self._has_alertmanager = False
        self._config: CollectorConfig | None = None
        self._targets: Mapping[str, Sequence[str]] = {}

    async def start(self, config: CollectorConfig) -> None:
        """Return when both are ready or have said why not, or after a while; the board has what came of it."""
        self._config = config
        for process in self._processes:
            self._board.process(process.program.name).optional = True
        self._board.on_change(self._write_targets)
        self._starting = asyncio.create_task(self._start())
        await asyncio.wait([self._starting], timeout=_PATIENCE)

    def follow(self, config: CollectorConfig) -> None:
        """Scrape what this configuration has."""
        self._config = config
        self._write_targets()

    async def stop(self) -> None:
        """End both. Safe twice, and without start."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        for process in reversed(self._processes):
            await process.stop()

    async def _start(self) -> None:
        alertmanager, prometheus = self._processes
        self._has_alertmanager = await _has_started(alertmanager)
        await _has_started(prometheus)

    def _supervised(self, server: Server, configure: Callable[[], Sequence[str]]) -> SupervisedProcess:
        program = server.program(configure, lambda: self._board.address(server.kind.name, server.address))
        return SupervisedProcess(program, self._board)

    def _configure_alertmanager(self) -> Sequence[str]:
        path = self._settings.alertmanager_config
        if path is None:
            path = _written(self._alertmanager.files / "alertmanager.yml", alertmanager_config())
        return [f"--config.file={path}", "--cluster.listen-address="]

    def _configure_prometheus(self) -> Sequence[str]:
        server, path = self._prometheus, self._settings.prometheus_config
        if path is None:
            receiver = self._alertmanager.address if self._has_alertmanager else None
            text = prometheus_config(server.address, receiver, server.files, server.version)
            path = _written(server.files / "prometheus.yml", text)
        self._targets = {}
        self._write_targets()
        return [
            f"--config.file={path}",
            f"--storage.tsdb.retention.time={_RETENTION}",
            f"--enable-feature={_FEATURES}",
            # No consoles: the folders are not there. No page of another origin may read from it.
            f"--web.console.templates={server.files}/consoles",
            f"--web.console.libraries={server.files}/consoles",
            "--web.cors.origin=^$",
        ]

    def _write_targets(self) -> None:
        if self._config is None or not self._prometheus.files.is_dir():
            return
        found = targets(self._config, self._board.status()["addresses"])
        if found == self._targets:
            return
        self._targets = found
        for job, addresses in found.items():
            text = json.dumps([{"targets": list(addresses)}])
            try:
                _written(self._prometheus.files / f"{job}.json", text)
            except StartError as error:
                _logger.warning("Prometheus is not told what to scrape", extra={"reason": str(error)})


async def _has_started(process: SupervisedProcess) -> bool:
    try:
        await process.start()
    except StartError as error:
        _logger.warning("goes on without", extra={"program": process.program.name, "reason": str(error)})
        return False
    return True


def _written(path: Path, text: str) -> Path:
    """Write a file that another process may read at any time."""
    new = path.with_suffix(".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise StartError(f"cannot write {path}: {reason_of(error)}") from None
    return path
