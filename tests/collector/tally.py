"""Components with a state, for tests with real processes; registered by `tally_environ`.

connectors: {tally: {interval: 100ms}}     every flush, a log `tally N`: N log records since the one before
exporters: {ledger: {}}                    shared; serves `direct tallied`, what came in itself and what tallies say
exporters: {till: {path: FILE}}            the same for one pipeline, written into FILE with each state
processors: {every_other: {}}              leaves out every second log record, across batches
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ganglion_collector import telemetry
from ganglion_collector.component import (
    Batch,
    Config,
    ConnectorFactory,
    Derived,
    Duration,
    ExporterConfig,
    ExporterFactory,
    Position,
    ProcessorFactory,
    Signal,
    Source,
)
from ganglion_collector.errors import PermanentError

from tests.collector.notebook import bodies_of, logs_payload

_ROOT = Path(__file__).parents[2]


class TallyConfig(Config):
    interval: Duration = 0.1
    """Seconds between two flushes."""
    padding: int = 0
    """Bytes that make a flush larger."""


class Tally:
    """A batch with a body that begins with `bad` is refused."""

    def __init__(self, config: TallyConfig) -> None:
        self._config = config
        self._count = 0

    @property
    def flush_interval(self) -> float:
        return self._config.interval

    def consume(self, batch: Batch) -> None:
        bodies = [body for record in batch.records for body in bodies_of(record.payload)]
        if any(body.startswith("bad") for body in bodies):
            raise PermanentError("bad")
        self._count += len(bodies)

    def flush(self, now: int) -> Sequence[Derived]:
        assert now > 0
        if not self._count:
            return ()
        payload = logs_payload(f"tally {self._count} {'x' * self._config.padding}")
        self._count = 0
        return [Derived(Signal.LOGS, 1, payload)]

    def state(self) -> bytes:
        return str(self._count).encode()

    def restore(self, state: bytes) -> None:
        self._count = int(state)


class Counts:
    """What came in itself, and what tallies say."""

    def __init__(self) -> None:
        self.direct = self.tallied = 0

    def take(self, batch: Batch) -> None:
        for record in batch.records:
            for body in bodies_of(record.payload):
                if body.startswith("tally "):
                    self.tallied += int(body.split()[1])
                else:
                    self.direct += 1

    def state(self) -> bytes:
        return f"{self.direct} {self.tallied}".encode()

    def restore(self, state: bytes) -> None:
        self.direct, self.tallied = map(int, state.split())


class LedgerConfig(ExporterConfig): ...


class Ledger(Counts):
    def __init__(self, config: LedgerConfig) -> None:
        super().__init__()
        assert config
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def export(self, batch: Batch) -> None:
        self.take(batch)

    async def shutdown(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.state())
        await writer.drain()
        writer.close()


class TillConfig(ExporterConfig):
    path: str
    """File to write."""


class Till(Counts):
    def __init__(self, config: TillConfig) -> None:
        super().__init__()
        self._path = Path(config.path)

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> None:
        self.take(batch)

    async def shutdown(self) -> None: ...

    def state(self) -> bytes:
        draft = self._path.with_suffix(".new")
        draft.write_bytes(super().state())
        draft.replace(self._path)
        return super().state()


class Keeper(Ledger):
    """Keeps the position with its data."""

    async def position(self, source: Source) -> Position | None:
        assert source
        return None


class EveryOtherConfig(Config): ...


class EveryOther:
    def __init__(self, config: EveryOtherConfig | None = None) -> None:
        assert config is None or config
        self._seen = 0

    def process(self, batch: Batch) -> Batch:
        records = []
        for record in batch.records:
            bodies = bodies_of(record.payload)
            kept = [body for number, body in enumerate(bodies, self._seen) if number % 2 == 0]
            self._seen += len(bodies)
            telemetry.count_dropped("every_other", batch.signal, len(bodies) - len(kept), "odd")
            if kept:
                records.append(replace(record, payload=logs_payload(*kept), item_count=len(kept)))
        return replace(batch, records=tuple(records))

    def state(self) -> bytes:
        return str(self._seen).encode()

    def restore(self, state: bytes) -> None:
        self._seen = int(state)


_LOGS = frozenset({Signal.LOGS})
tally = ConnectorFactory("tally", TallyConfig, Tally, frozenset({(Signal.LOGS, Signal.LOGS)}))
ledger = ExporterFactory("ledger", LedgerConfig, Ledger, _LOGS, shared=True)
keeper = ExporterFactory("keeper", LedgerConfig, Keeper, _LOGS)
till = ExporterFactory("till", TillConfig, Till, _LOGS)
every_other = ProcessorFactory("every_other", EveryOtherConfig, EveryOther, _LOGS)


def tally_environ(folder: Path) -> dict[str, str]:
    """Register the components in `folder`, as a distribution would; return the environment that sees them."""
    info = folder / "site" / "tally-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tally\nVersion: 1.0\n")
    module = "tests.collector.tally"
    (info / "entry_points.txt").write_text(
        f"[ganglion.connectors]\ntally = {module}:tally\n[ganglion.processors]\nevery_other = {module}:every_other\n"
        f"[ganglion.exporters]\nledger = {module}:ledger\nkeeper = {module}:keeper\ntill = {module}:till\n"
        "notebook = tests.collector.notebook:factory\n"
    )
    return {"PYTHONPATH": f"{info.parent}{os.pathsep}{_ROOT}"}
