"""A child process of the supervisor: the receivers with the journal's writer, or one worker.

Run as `python -m ganglion_collector.child`. Its settings, which may hold secrets, come as the first line of standard
input; the end of that input is the end of the supervisor and, at once, of this process. What it has to tell goes as
JSON lines to the descriptor that the settings name.
"""

import asyncio
import gc
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from ganglion_collector import config, log, pipeline
from ganglion_collector.component import Listens
from ganglion_collector.doorbell import Doorbell
from ganglion_collector.errors import CollectorError
from ganglion_collector.intake import Intake
from ganglion_collector.parent import Channel, Report

__all__ = ["ChildSettings", "main"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What a child needs to know.

    `route` is a worker's name, None for the receiver process; `status` the descriptor to report on; `bells` are the
    descriptors to ring; a worker waits on `bell`.
    """

    name: str
    parent: int
    raw: Mapping[str, Any]
    home: str
    status: int
    bells: tuple[int, ...]
    log_level: str
    log_encoding: log.Encoding
    route: str | None = None
    bell: int = -1

    def line(self) -> bytes:
        """Return the settings as the first line of a child's standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "ChildSettings":
        fields: dict[str, Any] = json.loads(line)
        bells = tuple(fields.pop("bells"))
        return cls(**fields, bells=bells)


class _ReportedHealth:
    """A worker's health, told when it changes."""

    def __init__(self, report: Report, component: str) -> None:
        self._report = report
        self._component = component
        self._reason: str | None = None

    def ok(self) -> None:
        self._tell("")

    def failing(self, reason: str) -> None:
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        if reason != self._reason:
            self._reason = reason
            self._report.health([self._component], reason)


def main() -> None:
    """Run a child until SIGTERM, or the end of its supervisor."""
    channel = Channel()
    settings = ChildSettings.of(channel.first_line())
    channel.end_with(settings.parent)
    log.configure(settings.log_level, settings.log_encoding, settings.name)
    report = Report(settings.status)
    try:
        loaded = config.from_mapping(settings.raw)
        uvloop.run(_receive(settings, loaded, report) if settings.route is None else _work(settings, loaded, report))
    except (CollectorError, OSError) as error:
        report.failed(str(error))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 (said, and the process ends)
        _logger.error("failed unexpectedly", extra={"stack": log.stack(error)})
        report.failed(f"unexpected {type(error).__qualname__}")
        sys.exit(1)


async def _receive(settings: ChildSettings, loaded: config.CollectorConfig, report: Report) -> None:
    stop = asyncio.Event()
    _on_terminate(stop.set)
    where = pipeline.places(loaded, Path(settings.home))
    components = [f"receiver:{name}" for name in loaded.receivers]
    intake = pipeline.make_intake(loaded, where, settings.bells, lambda reason: report.health(components, reason))
    try:
        await intake.start()
        receivers = pipeline.make_receivers(loaded, intake, report.address)
        for name, receiver in receivers.items():
            await intake.start_receiver(receiver)
            report.health([f"receiver:{name}"], "")
        _ready(report)
        await _stopped_or_lost(stop, intake)
    finally:
        await intake.shutdown()


async def _stopped_or_lost(stop: asyncio.Event, intake: Intake) -> None:
    """Return at `stop`; raise JournalLostError when there is nothing to write into any more."""
    stopping, losing = asyncio.create_task(stop.wait()), asyncio.create_task(intake.watch())
    await asyncio.wait([stopping, losing], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if losing.done():
        losing.result()
    losing.cancel()


async def _work(settings: ChildSettings, loaded: config.CollectorConfig, report: Report) -> None:
    route = next(route for route in pipeline.routes(loaded) if route.name == settings.route)
    where = pipeline.places(loaded, Path(settings.home))
    wanted = pipeline.WorkerSettings(loaded, where, route, settings.bells)
    parts = pipeline.make_worker(wanted, Doorbell(settings.bell), _ReportedHealth(report, route.component))
    _on_terminate(parts.worker.stop)
    try:
        if parts.memory:
            parts.memory.restore()
        await parts.exporter.start()
        if isinstance(parts.exporter, Listens):
            report.address(route.exporter, parts.exporter.address)
        _ready(report)
        await parts.worker.run()
    finally:
        await parts.exporter.shutdown()
        parts.close()


def _ready(report: Report) -> None:
    # What is there now stays: the collector of garbage need not look at it again and again.
    gc.collect()
    gc.freeze()
    report.send(event="ready")


def _on_terminate(stop: Callable[[], None]) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)


if __name__ == "__main__":
    main()
