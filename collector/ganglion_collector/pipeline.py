"""The whole flow, made from a configuration: what the receiver process holds, and what each worker holds.

    receivers ─▶ admission ─▶ group commit ─▶ journal ─▶ tracks ─▶ delivery ─▶ exporter or connector
                                    └─▶ doorbells ─────────▲           └─▶ dead letters      │
                                                           └────────── derived stream ◀──────┘

Only this module knows all of these parts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from ganglion_collector import telemetry
from ganglion_collector.attempts import Attempts
from ganglion_collector.checkpoint import Checkpoint
from ganglion_collector.component import (
    Admission,
    Authenticator,
    Batch,
    BatchBounds,
    Buries,
    Connector,
    Exporter,
    ExporterConfig,
    KeepsFiles,
    KeepsPosition,
    Position,
    Receiver,
    ReceiverSettings,
    Record,
    Reports,
    Signal,
    Source,
    Stateful,
    Transform,
)
from ganglion_collector.config import CollectorConfig, Pipeline
from ganglion_collector.dead_letters import DeadLetters
from ganglion_collector.delivery import Delivery, DeliverySettings, Health
from ganglion_collector.derived import DerivedReader
from ganglion_collector.doorbell import Bells, Doorbell
from ganglion_collector.errors import StartError
from ganglion_collector.extensions.journal import JournalConfig
from ganglion_collector.intake import Intake, JournalSettings
from ganglion_collector.joined_health import JoinedHealth
from ganglion_collector.journal import JournalReader
from ganglion_collector.journal.store import open_reader
from ganglion_collector.memory import ConnectorEnd, Flushing, Memory
from ganglion_collector.set_aside import SetAside
from ganglion_collector.track import Track, TrackSettings
from ganglion_collector.worker import Worker

__all__ = [
    "Places",
    "Route",
    "Way",
    "WorkerParts",
    "WorkerSettings",
    "disabled_exporters",
    "exporter_bounds",
    "journal_config",
    "journal_readers",
    "make_intake",
    "make_receivers",
    "make_worker",
    "open_track_reader",
    "places",
    "routes",
    "stream_readers",
    "ways",
]

_BURIED = UUID("3a1de1f6-6c1b-4c5c-8f6d-0d1f6f1a7c52")
"""Names the journal, which there is none of, that buried items are said to come from."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one collector: the journal's (dead letters beside it), for what a process notes, for states."""

    journal: Path
    run: Path
    state: Path

    @property
    def dead_letters(self) -> Path:
        return self.journal.parent / "dead-letters.sqlite"


@dataclass(frozen=True, slots=True)
class Route:
    """One exporter or connector with what leads to it: what a worker serves.

    An exporter has a route for each pipeline that names it; a `shared` one, and a connector, one for all of them.
    """

    pipelines: tuple[str, ...]
    exporter: str
    kind: str = "exporter"
    shared: bool = False

    @property
    def name(self) -> str:
        return self.exporter if self.shared else self.reader(self.pipelines[0])

    @property
    def key(self) -> str:
        """A short file name: ids may be long and hold anything."""
        return _key(self.name)

    @property
    def component(self) -> str:
        """What health calls it."""
        own = f"{self.kind}:{self.exporter}"
        return own if self.shared else f"pipeline:{self.pipelines[0]}/{own}"

    def reader(self, pipeline: str) -> str:
        """Return the name of its reader in the journal, and in derived streams, for one of its pipelines."""
        return f"{pipeline}/{self.exporter}"


@dataclass(frozen=True, slots=True)
class Way:
    """How a pipeline's items come to a route: from the journal, or from what the connector `stream` makes."""

    pipeline: str
    stream: str | None


def routes(config: CollectorConfig) -> tuple[Route, ...]:
    """Return a route for each worker, in the configuration's order; a disabled exporter has none."""
    found: dict[str, Route] = {}
    disabled = disabled_exporters(config)
    for pipeline in config.pipelines.values():
        for end in pipeline.exporters:
            if end in disabled:
                continue
            route = _route(config, pipeline.id, end)
            known = found.get(route.name)
            if known:
                route = replace(known, pipelines=(*known.pipelines, pipeline.id))
            found[route.name] = route
    return tuple(found.values())


def disabled_exporters(config: CollectorConfig) -> Mapping[str, str]:
    """Return which exporters are switched off by what is configured, each with the reason."""
    asked = {
        id_: component.factory.disabled(component.config)
        for id_, component in config.exporters.items()
        if component.factory.disabled is not None
    }
    return {id_: reason for id_, reason in asked.items() if reason}


def _route(config: CollectorConfig, pipeline: str, end: str) -> Route:
    if end in config.connectors:
        return Route((pipeline,), end, "connector", shared=True)
    return Route((pipeline,), end, shared=config.exporters[end].factory.shared)


def ways(config: CollectorConfig, route: Route) -> Iterator[Way]:
    """Yield every way to `route`."""
    for pipeline in route.pipelines:
        receivers = config.pipelines[pipeline].receivers
        if any(receiver not in config.connectors for receiver in receivers):
            yield Way(pipeline, None)
        yield from (Way(pipeline, receiver) for receiver in receivers if receiver in config.connectors)


def journal_readers(config: CollectorConfig) -> tuple[str, ...]:
    """Return the names of those who read the journal."""
    return _readers(config, None)


def stream_readers(config: CollectorConfig, connector: str) -> tuple[str, ...]:
    """Return the names of those who read what `connector` makes."""
    return _readers(config, connector)


def _readers(config: CollectorConfig, stream: str | None) -> tuple[str, ...]:
    return tuple(
        route.reader(way.pipeline) for route in routes(config) for way in ways(config, route) if way.stream == stream
    )


def _key(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:16]


def journal_config(config: CollectorConfig) -> JournalConfig:
    """Return the journal extension's configuration, its defaults where it is not configured."""
    found = (extension.config for extension in config.extensions.values())
    return next((one for one in found if isinstance(one, JournalConfig)), JournalConfig())


def places(config: CollectorConfig, home: Path) -> Places:
    directory = journal_config(config).directory
    return Places(Path(directory) if directory else home / "journal", home / "run", home / "state")


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
        readers=journal_readers(config),
        bells=_bells(config, bells),
    )
    return Intake(settings, _admissions(config), tell_refusing)


def _bells(config: CollectorConfig, ends: Sequence[int]) -> Bells:
    by_signal: dict[Signal, list[int]] = {}
    for route, end in zip(routes(config), ends, strict=False):
        for signal in {config.pipelines[way.pipeline].signal for way in ways(config, route) if way.stream is None}:
            by_signal.setdefault(signal, []).append(end)
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
    """A worker and what has to be started before it and shut down after it; `memory` is restored first."""

    worker: Worker
    exporter: Exporter
    memory: Memory | None
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What `make_worker` makes: `bells` are the ends of those who read what this worker's connector makes."""

    config: CollectorConfig
    where: Places
    route: Route
    bells: Sequence[int] = ()


def make_worker(settings: WorkerSettings, bell: Doorbell, health: Health) -> WorkerParts:
    """Return the worker of a route, ready to be started.

    Raises:
        StartError: a state cannot be opened, or these components do not go together.
    """
    return _Workshop(settings, health).make(bell)


class _Workshop:
    """Makes one worker's parts."""

    def __init__(self, settings: WorkerSettings, health: Health) -> None:
        config, route = settings.config, settings.route
        self._config = config
        self._where = settings.where
        self._route = route
        self._bells = settings.bells
        self._health = health
        self._connector: Connector | None = None
        self._common = ExporterConfig(timeout=0)
        if route.kind == "connector":
            component = config.connectors[route.exporter]
            self._connector = component.factory.create(component.config)
            self._end: Exporter = ConnectorEnd(self._connector)
        else:
            exporter = config.exporters[route.exporter]
            self._end = exporter.factory.create(exporter.config)
            self._common = exporter.config if isinstance(exporter.config, ExporterConfig) else ExporterConfig()
        self._processors = {id_: _made_processors(config, config.pipelines[id_]) for id_ in route.pipelines}
        self._closing: list[Callable[[], None]] = []
        self._letters = DeadLetters(self._where.dead_letters)
        self._equip(self._end)

    def make(self, bell: Doorbell) -> WorkerParts:
        remembering = self._remembering()
        self._check(remembering)
        tracks = [self._track(way, remembered=bool(remembering)) for way in ways(self._config, self._route)]
        memory = self._memory(remembering) if remembering else None
        closing = [*self._closing, self._letters.close]

        def close() -> None:
            for one in closing:
                one()

        return WorkerParts(Worker(tracks, bell, memory), self._end, memory, close)

    def _equip(self, exporter: Exporter) -> None:
        """Give the exporter what it asks for besides batches."""
        if isinstance(exporter, KeepsFiles):
            exporter.keep_in(_own_folder(self._where, self._route))
        if isinstance(exporter, Buries):
            exporter.bury_with(self._bury)
        if isinstance(exporter, Reports):
            self._health = joined = JoinedHealth(self._health)
            exporter.report_to(joined.report)

    async def _bury(self, record: Record, reason: str) -> None:
        pipelines = [self._config.pipelines[id_] for id_ in self._route.pipelines]
        pipeline = next(one for one in pipelines if one.signal is record.signal)
        journal = uuid5(_BURIED, sha256(record.payload).hexdigest())
        source = Source(journal, self._route.reader(pipeline.id))
        SetAside(self._letters).put(Batch(record.signal, (record,), source, Position(), Position(1)), reason)
        telemetry.count_dead_lettered(record.signal, self._route.exporter, record.item_count, "refused")

    def _remembering(self) -> Mapping[str, Stateful]:
        """Return what has a state, by the name that it is saved under."""
        end: object = self._connector or self._end
        found: dict[str, Stateful] = {self._route.exporter: end} if isinstance(end, Stateful) else {}
        for pipeline, processors in self._processors.items():
            for id_, processor in processors.items():
                if isinstance(processor, Stateful):
                    found[f"{pipeline} {id_}"] = processor
        return found

    def _check(self, remembering: Mapping[str, Stateful]) -> None:
        if not isinstance(self._end, KeepsPosition):
            return
        changing = [
            id_ for made in self._processors.values() for id_, one in made.items() if isinstance(one, Transform)
        ]
        if changing or remembering:
            # Its position would count items that are not in the journal in this number and order.
            what = changing[0] if changing else next(iter(remembering))
            reason = f"{self._route.exporter} keeps the position in the journal with its data and cannot follow {what}"
            raise StartError(f"{self._route.name}: {reason}; take {what} out of the pipeline")

    def _track(self, way: Way, *, remembered: bool) -> Track:
        config, route = self._config, self._route
        pipeline = config.pipelines[way.pipeline]
        processors = self._processors[way.pipeline].values()
        settings = TrackSettings(
            reader=route.reader(pipeline.id),
            exporter=route.exporter,
            signal=pipeline.signal,
            receivers={way.stream} if way.stream else frozenset(pipeline.receivers) - config.connectors.keys(),
            bounds=exporter_bounds(self._common, [one for one in processors if isinstance(one, BatchBounds)]),
            keeps_position=isinstance(self._end, KeepsPosition),
            remembered=remembered,
        )
        journal = open_track_reader(self._where, route, way)
        name = settings.reader if way.stream is None else f"{settings.reader} {way.stream}"
        attempts = Attempts(self._where.run / f"attempt-{_key(name)}", settings.bounds.max_items)
        self._closing += [journal.close, attempts.close]
        delivery = self._delivery(pipeline.signal, attempts)
        transforms = [one for one in processors if isinstance(one, Transform)]
        return Track(settings, journal, delivery, attempts, transforms)

    def _delivery(self, signal: Signal, attempts: Attempts) -> Delivery:
        id_, common, connects = self._route.exporter, self._common, self._connector is not None
        how = DeliverySettings(signal, id_, common.timeout, common.retry_on_failure, connects)
        prepare = telemetry.prepare_connector if connects else telemetry.prepare_exporter
        prepare(signal, id_)
        return Delivery(how, self._end, attempts, SetAside(self._letters), self._health)

    def _memory(self, remembering: Mapping[str, Stateful]) -> Memory:
        path, id_ = _state_path(self._where, self._route.name), self._route.exporter
        if self._connector is None:
            checkpoint = Checkpoint(path, self._route.name)
            self._closing.append(checkpoint.close)
            return Memory(checkpoint, remembering, self._health)
        quota = journal_config(self._config).derived_quota_mib * 1024 * 1024
        readers = stream_readers(self._config, id_)
        checkpoint = Checkpoint(path, self._route.name, quota_bytes=quota, readers=readers)
        self._closing.append(checkpoint.close)
        return Memory(checkpoint, remembering, self._health, Flushing(id_, self._connector, quota, self._bells))


def _state_path(where: Places, name: str) -> Path:
    return where.state / f"{_key(name)}.sqlite"


def _own_folder(where: Places, route: Route) -> Path:
    folder = where.state / f"{route.key}.d"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{route.name}: cannot make {folder}: {error.strerror}") from error
    return folder


def open_track_reader(where: Places, route: Route, way: Way) -> JournalReader:
    """Open what `way` reads, at the reader of `route`."""
    reader = route.reader(way.pipeline)
    if way.stream is None:
        return open_reader(where.journal, reader)
    return DerivedReader(_state_path(where, way.stream), way.stream, reader)


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
    made = {id_: component.factory.create(component.config) for id_, component in config.processors.items()}
    admitting = {id_: one for id_, one in made.items() if isinstance(one, Admission)}
    for pipeline in config.pipelines.values():
        for receiver in pipeline.receivers:
            deciders = found.setdefault((receiver, Signal(pipeline.signal)), [])
            named = [admitting[id_] for id_ in pipeline.processors if id_ in admitting]
            deciders.extend(one for one in named if one not in deciders)
    return found


def _made_processors(config: CollectorConfig, pipeline: Pipeline) -> Mapping[str, Any]:
    """Return the processors of a pipeline, made anew, by id and in order."""
    components = [config.processors[id_] for id_ in pipeline.processors]
    return {component.id: component.factory.create(component.config) for component in components}


def _authenticators(config: CollectorConfig) -> Mapping[str, Authenticator]:
    return {
        id_: component.factory.create(component.config)
        for id_, component in config.extensions.items()
        if component.factory.create is not None
    }
