"""The whole flow, made from a configuration: what the receiver process holds, and what each worker holds.

    receivers ─▶ admission ─▶ group commit ─▶ journal ─▶ reader ─▶ worker ─▶ delivery ─▶ exporter
                                    └─▶ doorbells ──────────────────▲            └─▶ dead letters

Only this module knows all of these parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from ganglion_collector import telemetry
from ganglion_collector.attempts import Attempts
from ganglion_collector.component import (
    Admission,
    Authenticator,
    BatchBounds,
    Exporter,
    ExporterConfig,
    KeepsPosition,
    Receiver,
    ReceiverSettings,
    Signal,
)
from ganglion_collector.config import CollectorConfig, Pipeline
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.delivery import Delivery, DeliverySettings, Health
from ganglion_collector.doorbell import Bells, Doorbell
from ganglion_collector.extensions.journal import JournalConfig
from ganglion_collector.intake import Intake, JournalSettings
from ganglion_collector.journal.store import open_reader
from ganglion_collector.set_aside import SetAside
from ganglion_collector.worker import Worker, WorkerSettings

__all__ = [
    "Places",
    "Route",
    "WorkerParts",
    "exporter_bounds",
    "journal_config",
    "make_intake",
    "make_receivers",
    "make_worker",
    "places",
    "routes",
]


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one collector: the journal's (dead letters beside it), and one for what a process notes."""

    journal: Path
    run: Path

    @property
    def dead_letters(self) -> Path:
        return self.journal.parent / "dead-letters.sqlite"


@dataclass(frozen=True, slots=True)
class Route:
    """One exporter of one pipeline: what a worker serves. Its name is that of its reader in the journal."""

    pipeline: str
    exporter: str

    @property
    def name(self) -> str:
        return f"{self.pipeline}/{self.exporter}"

    @property
    def key(self) -> str:
        """A short file name: ids may be long and hold anything."""
        return sha256(self.name.encode()).hexdigest()[:16]

    @property
    def component(self) -> str:
        """What health calls it."""
        return f"pipeline:{self.pipeline}/exporter:{self.exporter}"


def routes(config: CollectorConfig) -> tuple[Route, ...]:
    """Return a route for each exporter of each pipeline, in the configuration's order."""
    return tuple(
        Route(pipeline.id, exporter) for pipeline in config.pipelines.values() for exporter in pipeline.exporters
    )


def journal_config(config: CollectorConfig) -> JournalConfig:
    """Return the journal extension's configuration, its defaults where it is not configured."""
    found = (extension.config for extension in config.extensions.values())
    return next((one for one in found if isinstance(one, JournalConfig)), JournalConfig())


def places(config: CollectorConfig, home: Path) -> Places:
    directory = journal_config(config).directory
    return Places(Path(directory) if directory else home / "journal", home / "run")


def make_intake(
    config: CollectorConfig, where: Places, bells: Sequence[int], tell_refusing: Callable[[str], None]
) -> Intake:
    """Return the receiver process's inside; `bells` are in the order of `routes`. Receivers: `make_receivers`.

    `tell_refusing` is told why the journal refuses requests, and "" when it no longer does.
    """
    journal = journal_config(config)
    settings = JournalSettings(
        directory=where.journal,
        quota_bytes=journal.quota_mib * 1024 * 1024,
        deduplication_window=journal.deduplication_window,
        readers=tuple(route.name for route in routes(config)),
        bells=_bells(config, bells),
    )
    return Intake(settings, _admissions(config), tell_refusing)


def _bells(config: CollectorConfig, ends: Sequence[int]) -> Bells:
    by_signal: dict[Signal, list[int]] = {}
    for route, end in zip(routes(config), ends, strict=False):
        by_signal.setdefault(Signal(config.pipelines[route.pipeline].signal), []).append(end)
    return Bells(by_signal)


def make_receivers(
    config: CollectorConfig, intake: Intake, announce: Callable[[str, str], None]
) -> Mapping[str, Receiver]:
    """Return every receiver by its id; `announce(name, address)` gets the addresses listened on."""
    authenticators = _authenticators(config)
    made: dict[str, Receiver] = {}
    for component in config.receivers.values():
        settings = ReceiverSettings(
            component_id=component.id,
            signals=_signals_wanted(config, component.id),
            accept=intake.acceptor(component.id),
            authenticators=authenticators,
            announce=announce,
        )
        made[component.id] = component.factory.create(component.config, settings)
    return made


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """A worker and what has to be started before it and shut down after it."""

    worker: Worker
    exporter: Exporter
    close: Callable[[], None]


def make_worker(config: CollectorConfig, where: Places, route: Route, bell: Doorbell, health: Health) -> WorkerParts:
    """Return the worker of `route`, ready to be started."""
    pipeline = config.pipelines[route.pipeline]
    signal = Signal(pipeline.signal)
    component = config.exporters[route.exporter]
    exporter = component.factory.create(component.config)
    common = component.config if isinstance(component.config, ExporterConfig) else ExporterConfig()
    settings = WorkerSettings(
        reader=route.name,
        exporter=route.exporter,
        signal=signal,
        receivers=frozenset(pipeline.receivers),
        bounds=exporter_bounds(common, _processors(config, pipeline, BatchBounds)),
        keeps_position=isinstance(exporter, KeepsPosition),
    )
    reader = open_reader(where.journal, route.name)
    letters = DeadLetters(where.dead_letters)
    attempts = Attempts(where.run / f"attempt-{route.key}", settings.bounds.max_items)
    how = DeliverySettings(signal, route.exporter, common.timeout, common.retry_on_failure)
    delivery = Delivery(how, exporter, attempts, SetAside(letters), health)
    telemetry.prepare_exporter(signal, route.exporter)

    def close() -> None:
        reader.close()
        attempts.close()
        letters.close()

    return WorkerParts(Worker(settings, reader, delivery, attempts, bell), exporter, close)


def exporter_bounds(exporter: ExporterConfig, processors: Sequence[BatchBounds]) -> BatchBounds:
    """Return how batches are cut: the smallest of all maxima, the longest wait for the largest minimum."""
    batch = exporter.sending_queue.batch
    own = BatchBounds(batch.max_size, batch.max_size_bytes, batch.min_size, batch.flush_timeout)
    all_bounds = (own, *processors)
    return replace(
        own,
        max_items=min(bounds.max_items for bounds in all_bounds),
        max_bytes=min(bounds.max_bytes for bounds in all_bounds),
        min_items=max(bounds.min_items for bounds in all_bounds),
        timeout=max(bounds.timeout for bounds in all_bounds),
    )


def _signals_wanted(config: CollectorConfig, receiver: str) -> frozenset[Signal]:
    return frozenset(
        Signal(pipeline.signal) for pipeline in config.pipelines.values() if receiver in pipeline.receivers
    )


def _admissions(config: CollectorConfig) -> Mapping[tuple[str, Signal], Sequence[Admission]]:
    """Return who decides on requests, by receiver and signal; one processor is one decider wherever it is used."""
    found: dict[tuple[str, Signal], list[Admission]] = {}
    made = {id_: made for id_, made in _made_processors(config).items() if not isinstance(made, BatchBounds)}
    for pipeline in config.pipelines.values():
        for receiver in pipeline.receivers:
            deciders = found.setdefault((receiver, Signal(pipeline.signal)), [])
            deciders.extend(made[id_] for id_ in pipeline.processors if id_ in made and made[id_] not in deciders)
    return found


def _processors(config: CollectorConfig, pipeline: Pipeline, kind: type[BatchBounds]) -> Sequence[BatchBounds]:
    made = _made_processors(config)
    return [bounds for id_ in pipeline.processors if isinstance(bounds := made[id_], kind)]


def _made_processors(config: CollectorConfig) -> Mapping[str, BatchBounds | Admission]:
    return {id_: component.factory.create(component.config) for id_, component in config.processors.items()}


def _authenticators(config: CollectorConfig) -> Mapping[str, Authenticator]:
    return {
        id_: component.factory.create(component.config)
        for id_, component in config.extensions.items()
        if component.factory.create is not None
    }
