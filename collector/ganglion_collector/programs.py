"""The programs that the supervisor runs: the embedded PostgreSQL, a worker for each route, the receivers."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from ganglion_collector.child import ChildSettings
from ganglion_collector.config import CollectorConfig
from ganglion_collector.embedded import EmbeddedPostgreSQL
from ganglion_collector.errors import StartError
from ganglion_collector.log import Encoding
from ganglion_collector.metrics_page import forget_gauges
from ganglion_collector.pipeline import Route
from ganglion_collector.process import Program
from ganglion_collector.telemetry import PROCESS_VARIABLE

__all__ = ["ChildFactory", "postgresql_program"]

_POSTGRESQL = "postgresql"
_POSTGRESQL_PATIENCE = 60.0


def postgresql_program(server: EmbeddedPostgreSQL) -> Program:
    """Return how the embedded PostgreSQL runs; a fast shutdown ends it."""

    def command() -> tuple[Sequence[str], Mapping[str, str]]:
        found = server.command()
        return found.argv, found.env

    def prepare() -> None:
        server.prepare()
        # After it, since it ends a left-over server that may hold the port.
        if server.port is not None:
            _check_free(server.port)

    return Program(
        name=_POSTGRESQL,
        command=command,
        components=(f"process:{_POSTGRESQL}",),
        prepare=lambda: asyncio.to_thread(prepare),
        ready=server.wait_ready,
        hint=f"; see {server.logs}",
        stop_signal=signal.SIGINT,
        patience=_POSTGRESQL_PATIENCE,
    )


def _check_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = f"cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}; change GANGLION_POSTGRES_PORT"
        raise StartError(reason) from None


@dataclass(frozen=True, slots=True)
class ChildFactory:
    """Makes the programs of one configuration; `metrics` is the folder where children count."""

    config: CollectorConfig
    environ: Mapping[str, str]
    home: Path
    metrics: Path

    def receiver(self, bells: Sequence[int]) -> Program:
        """Return the receiver process, which rings `bells`."""
        components = [f"receiver:{name}" for name in self.config.receivers]
        return self._child(_Child("receiver", tuple(bells)), components)

    def worker(self, route: Route, bell: int, bells: Sequence[int]) -> Program:
        """Return the worker of `route`, which waits on `bell`; `bells` are those who read what its connector makes."""
        child = _Child(f"worker:{route.name}", tuple(bells), route, bell)
        return self._child(child, [route.component])

    def _child(self, child: "_Child", components: Sequence[str]) -> Program:
        name = child.name
        # Its metric files carry the key, where the metrics library splits at "_".
        key = child.route.key if child.route else name
        environ = {**self.environ, "PROMETHEUS_MULTIPROC_DIR": str(self.metrics), PROCESS_VARIABLE: key}
        argv = [sys.executable, "-P", "-m", "ganglion_collector.child", name]
        return Program(
            name=name,
            command=lambda: (argv, environ),
            components=components,
            settings=partial(self._settings, child),
            inherited=child.bells if child.route is None else (child.bell, *child.bells),
            cleanup=lambda: forget_gauges(self.metrics, key),
        )

    def _settings(self, child: "_Child", status: int) -> bytes:
        logs = self.config.telemetry.logs
        return ChildSettings(
            name=child.name,
            parent=os.getpid(),
            raw=self.config.raw,
            home=str(self.home),
            status=status,
            bells=child.bells,
            log_level=logs.level,
            log_encoding=cast("Encoding", logs.encoding),
            route=child.route.name if child.route else None,
            bell=child.bell,
        ).line()


@dataclass(frozen=True, slots=True)
class _Child:
    """`route` is None for the receiver; the others are those of `ChildSettings`."""

    name: str
    bells: tuple[int, ...]
    route: Route | None = None
    bell: int = -1
