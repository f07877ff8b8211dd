"""Everything that runs by one configuration: its servers, workers and receivers."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

from ganglion_collector.board import DISABLED, Board
from ganglion_collector.config import CollectorConfig
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.derived import DerivedReader
from ganglion_collector.doorbell import make_doorbell
from ganglion_collector.endpoint import Endpoint
from ganglion_collector.errors import CollectorError, StartError
from ganglion_collector.extensions.health_check import HealthCheckConfig
from ganglion_collector.health import health_answer, metrics_answer
from ganglion_collector.journal.store import unconfigured_readers
from ganglion_collector.metrics_page import MetricsPage, ReaderPosition
from ganglion_collector.pipeline import (
    Route,
    Way,
    disabled_exporters,
    journal_readers,
    open_track_reader,
    places,
    routes,
    ways,
)
from ganglion_collector.process import Program, SupervisedProcess
from ganglion_collector.programs import ChildFactory
from ganglion_collector.query_program import disabled_queries, query_component, query_programs
from ganglion_collector.small_server import SmallServer
from ganglion_collector.state_file import states_left_behind

__all__ = ["Generation"]

_logger = logging.getLogger(__name__)


class Generation:
    """Starts and stops what one configuration asks for."""

    def __init__(
        self, config: CollectorConfig, environ: Mapping[str, str], home: Path, metrics: Path, board: Board
    ) -> None:
        self._config = config
        self._environ = environ
        self._home = home
        self._metrics = metrics
        self._board = board
        self._places = places(config, home)
        self._letters = DeadLetters(self._places.dead_letters)
        self._servers = dict(self._make_servers())
        self._bells = {route: make_doorbell() for route in routes(config)}
        factory = ChildFactory(config, environ, home, metrics)
        self._workers = [
            SupervisedProcess(factory.worker(route, reading, self._stream_bells(route)), board)
            for route, (reading, _) in self._bells.items()
        ]
        self._receiver = SupervisedProcess(factory.receiver([writing for _, writing in self._bells.values()]), board)
        self._queries = [SupervisedProcess(program, board) for program in query_programs(config, environ, home)]

    async def start_servers(self) -> None:
        """Serve health and metrics. Raises StartError if an address cannot be had."""
        for name, server in self._servers.items():
            self._board.address(name, await server.start())

    async def start(self) -> None:
        """Return when workers, then the receivers, and meanwhile queries are ready.

        Raises:
            StartError: one cannot start.
        """
        self._say_disabled()
        self._say_unconfigured()
        await _all(self._start_intake(), *(query.start() for query in self._queries))

    async def _start_intake(self) -> None:
        await _all(*(worker.start() for worker in self._workers))
        await self._receiver.start()

    async def replace(self, config: CollectorConfig) -> Self:
        """Stop, and return what is launched by `config` instead."""
        await self.stop()
        await self.stop_servers()
        following = type(self)(config, self._environ, self._home, self._metrics, self._board)
        try:
            await following.start_servers()
        except StartError as error:
            _logger.error("no health or metrics from here on", extra={"reason": str(error)})
        following.launch()
        self._board.forget(self.programs.keys() - following.programs.keys(), self.components - following.components)
        return following

    def launch(self) -> None:
        """Start the processes without waiting; what cannot start yet is tried again and again."""
        self._say_disabled()
        self._say_unconfigured()
        for process in self._processes:
            process.launch()

    async def stop(self) -> None:
        """Stop receivers, then the workers, and meanwhile queries. Safe twice, and without start."""
        await asyncio.gather(self._stop_intake(), *(query.stop() for query in self._queries))
        for pair in self._bells.values():
            for end in pair:
                os.close(end)
        self._bells = {}

    async def _stop_intake(self) -> None:
        await self._receiver.stop()
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    async def stop_servers(self) -> None:
        for server in self._servers.values():
            await server.shutdown()
        self._letters.close()

    @property
    def programs(self) -> Mapping[str, Program]:
        """Every program by its name."""
        return {process.program.name: process.program for process in self._processes}

    @property
    def components(self) -> frozenset[str]:
        """Every component that a program answers for, or that is disabled."""
        answered = {component for program in self.programs.values() for component in program.components}
        return frozenset(answered | self._disabled.keys())

    @property
    def _processes(self) -> Sequence[SupervisedProcess]:
        return (*self._workers, self._receiver, *self._queries)

    @property
    def _disabled(self) -> Mapping[str, str]:
        exporters = {f"exporter:{id_}": reason for id_, reason in disabled_exporters(self._config).items()}
        queries = disabled_queries(self._config, self._environ)
        return exporters | {query_component(id_): reason for id_, reason in queries.items()}

    def _make_servers(self) -> Iterator[tuple[str, SmallServer]]:
        for extension in self._config.extensions.values():
            if isinstance(health := extension.config, HealthCheckConfig):
                setting = f"extensions::{extension.id}::endpoint"
                yield "health", SmallServer(health.endpoint, health.path, health_answer(self._board), setting)
        metrics = self._config.telemetry.metrics
        if metrics.level != "none":
            page = MetricsPage(self._metrics, self._board, self._letters.count, self._positions)
            endpoint = str(Endpoint(metrics.host, metrics.port))
            setting = "service::telemetry::metrics::readers"
            yield "metrics", SmallServer(endpoint, "/metrics", metrics_answer(page), setting)

    def _stream_bells(self, connector: Route) -> Sequence[int]:
        """Return the ends to ring for those who read what `connector` makes."""
        name = connector.exporter
        return [
            writing
            for route, (_, writing) in self._bells.items()
            if any(way.stream == name for way in ways(self._config, route))
        ]

    def _positions(self) -> Iterator[ReaderPosition]:
        for route in routes(self._config):
            for way in ways(self._config, route):
                with suppress(CollectorError):  # a stream's file may be in use
                    yield self._position(route, way)

    def _position(self, route: Route, way: Way) -> ReaderPosition:
        data_type = self._config.pipelines[way.pipeline].signal.value
        with closing(open_track_reader(self._places, route, way)) as reader:
            position = reader.position() or reader.oldest()
            waiting = reader.waiting(position) if isinstance(reader, DerivedReader) else None
        return ReaderPosition(route.reader(way.pipeline), route.exporter, data_type, position.sequence, waiting)

    def _say_disabled(self) -> None:
        for component, reason in self._disabled.items():
            self._board.component(component, DISABLED, reason)
            _logger.info("disabled", extra={"component": component, "reason": reason})

    def _say_unconfigured(self) -> None:
        for reader in unconfigured_readers(self._places.journal, journal_readers(self._config)):
            _logger.warning("a reader left the configuration; nothing is kept for it", extra={"reader": reader})
        configured = [f"{route.key}.sqlite" for route in routes(self._config)]
        for folder in sorted(self._places.state.glob("*.d")):
            if folder.stem not in {route.key for route in routes(self._config)} and any(folder.iterdir()):
                text = "an exporter with files of its own left the configuration or is disabled; they are kept"
                _logger.warning(text, extra={"folder": str(folder)})
        for component, records in states_left_behind(self._places.state, configured):
            fields = {"component": component, "waiting_records": records, "folder": str(self._places.state)}
            _logger.warning(
                "a component with a state left the configuration; its state and output are kept", extra=fields
            )


async def _all(*starts: Coroutine[Any, Any, None]) -> None:
    """Return when all have started or failed; raise the first failure."""
    for outcome in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
