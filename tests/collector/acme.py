"""A third party's components, as its distribution would register them."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from ganglion_collector.component import (
    Batch,
    Config,
    Duration,
    ExporterConfig,
    ExporterFactory,
    ExtensionFactory,
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


receiver = ReceiverFactory("acme", AcmeReceiverConfig, AcmeReceiver, frozenset(Signal))
exporter = ExporterFactory("acme", AcmeExporterConfig, AcmeExporter, frozenset({Signal.TRACES, Signal.LOGS}))
extension = ExtensionFactory("acme", AcmeAuthConfig, AcmeAuthenticator)

REGISTRATION = """\
[ganglion.receivers]
acme = tests.collector.acme:receiver

[ganglion.exporters]
acme = tests.collector.acme:exporter
broken = tests.collector.no_such_module:factory
wrong = tests.collector.acme:AcmeExporter

[ganglion.extensions]
acme = tests.collector.acme:extension
"""
