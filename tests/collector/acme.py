"""A third party's components, as its distribution would register them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from ganglion_collector.component import (
    Batch,
    Config,
    ConnectorFactory,
    Derived,
    Duration,
    ExporterConfig,
    ExporterFactory,
    ExtensionFactory,
    ProcessorFactory,
    ReceiverFactory,
    ReceiverSettings,
    Signal,
)
from pydantic import Field, SecretStr


class AuthConfig(Config):
    authenticator: str
    """Id of the extension."""


class ProtocolConfig(Config):
    without_effect: ClassVar[dict[str, str]] = {"read_buffer_size": "buffers are the system's"}

    endpoint: str = "localhost:1234"
    """Address."""
    auth: AuthConfig | None = None
    """Who may send."""


class ProtocolsConfig(Config):
    grpc: ProtocolConfig | None = None
    """gRPC."""
    http: ProtocolConfig | None = None
    """HTTP."""


class AcmeReceiverConfig(Config):
    protocols: ProtocolsConfig = ProtocolsConfig()
    """Protocols."""


class AcmeExporterConfig(ExporterConfig):
    endpoint: str
    """Where to."""
    token: SecretStr = SecretStr("")
    """Secret."""
    dsn: str = ""
    """Secret inside."""
    headers: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    """Sent along."""
    tags: list[str] = []  # noqa: RUF012
    """Texts."""
    port: int = Field(default=1, ge=1, le=65_535)
    """Number."""
    ratio: float = 0.5
    """Number."""
    pretty: bool = False
    """Switch."""
    interval: Duration = 5.0
    """Duration."""
    mode: Literal["fast", "safe"] = "safe"
    """Choice."""
    note: str | None = None
    """May be absent."""


class AcmeExporter:
    def __init__(self, config: AcmeExporterConfig) -> None:
        self.config = config

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> None: ...

    async def shutdown(self) -> None: ...


class AcmeReceiver:
    def __init__(self, config: AcmeReceiverConfig, settings: ReceiverSettings) -> None: ...

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


class AcmeAuthConfig(Config): ...


class AcmeAuthenticator:
    def __init__(self, config: AcmeAuthConfig) -> None: ...

    @property
    def challenge(self) -> str:
        return "Acme"

    def recognise(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        return self.authenticate(headers)

    def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return headers


class AcmeConnectorConfig(Config):
    interval: Duration = 5.0
    """Seconds between two flushes."""


class AcmeConnector:
    def __init__(self, config: AcmeConnectorConfig) -> None:
        self._config = config

    @property
    def flush_interval(self) -> float:
        return self._config.interval

    def consume(self, batch: Batch) -> None: ...

    def flush(self, now: int) -> Sequence[Derived]:  # noqa: ARG002 - the contract's name
        return ()

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None: ...


class AcmeTransformConfig(Config): ...


class AcmeTransform:
    def __init__(self, config: AcmeTransformConfig) -> None: ...

    def process(self, batch: Batch) -> Batch:
        return batch


receiver = ReceiverFactory("acme", AcmeReceiverConfig, AcmeReceiver, frozenset(Signal))
exporter = ExporterFactory("acme", AcmeExporterConfig, AcmeExporter, frozenset({Signal.TRACES, Signal.LOGS}))
extension = ExtensionFactory("acme", AcmeAuthConfig, AcmeAuthenticator)
page = ExporterFactory("page", AcmeExporterConfig, AcmeExporter, frozenset(Signal), shared=True)
traces_page = ExporterFactory("traces", AcmeExporterConfig, AcmeExporter, frozenset(Signal), shared=True)
transform = ProcessorFactory("halve", AcmeTransformConfig, AcmeTransform, frozenset({Signal.METRICS}))
tally = ConnectorFactory(
    "tally",
    AcmeConnectorConfig,
    AcmeConnector,
    frozenset({(Signal.TRACES, Signal.METRICS), (Signal.LOGS, Signal.METRICS)}),
)
relay = ConnectorFactory("relay", AcmeConnectorConfig, AcmeConnector, frozenset((one, one) for one in Signal))

REGISTRATION = """\
[ganglion.receivers]
acme = tests.collector.acme:receiver

[ganglion.exporters]
acme = tests.collector.acme:exporter
broken = tests.collector.no_such_module:factory
wrong = tests.collector.acme:AcmeExporter
page = tests.collector.acme:page
traces = tests.collector.acme:traces_page

[ganglion.processors]
halve = tests.collector.acme:transform

[ganglion.connectors]
tally = tests.collector.acme:tally
relay = tests.collector.acme:relay
broken = tests.collector.no_such_module:factory

[ganglion.extensions]
acme = tests.collector.acme:extension
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these components as good as installed, by a distribution in `folder`."""
    distribution = folder / "site" / "acme-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text(REGISTRATION)
    monkeypatch.syspath_prepend(str(distribution.parent))
