"""Take OTLP in, over gRPC and HTTP, and acknowledge what is durable."""

import asyncio

from ganglion_collector.component import Authenticator, ReceiverFactory, ReceiverSettings, Signal
from ganglion_collector.errors import ConfigError
from ganglion_collector.receivers.otlp.config import AuthConfig, OTLPConfig
from ganglion_collector.receivers.otlp.grpc_server import GrpcServer
from ganglion_collector.receivers.otlp.http_server import HttpServer
from ganglion_collector.receivers.otlp.reception import Reception

__all__ = ["OTLPConfig", "OTLPReceiver", "factory"]

_GRACE = 10.0
_MEMORY_LIMIT = 256 * 1024 * 1024


class OTLPReceiver:
    """One receiver with a server for each protocol."""

    def __init__(self, config: OTLPConfig, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._reception = Reception(settings, _MEMORY_LIMIT)
        grpc, http = config.protocols.grpc, config.protocols.http
        self._grpc = None if grpc is None else GrpcServer(grpc, self._reception, self._authenticator("grpc", grpc.auth))
        self._http = None if http is None else HttpServer(http, self._reception, self._authenticator("http", http.auth))

    async def start(self) -> None:
        """Listen with every protocol, or with none: OSError names the endpoint that cannot be had."""
        try:
            for name, server in (("grpc", self._grpc), ("http", self._http)):
                if server is not None:
                    self._settings.announce(f"{self._settings.component_id}/{name}", str(await server.start()))
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> None:
        """Stop listening and answer what is in flight, for 10 seconds at most."""
        servers = [server for server in (self._grpc, self._http) if server is not None]
        await asyncio.gather(*(server.shutdown(_GRACE) for server in servers))
        self._reception.close()

    def _authenticator(self, protocol: str, auth: AuthConfig | None) -> Authenticator | None:
        if auth is None:
            return None
        found = self._settings.authenticators.get(auth.authenticator)
        if found is None:
            path = f"receivers::{self._settings.component_id}::protocols::{protocol}::auth::authenticator"
            hint = "name an extension such as bearertokenauth or basicauth, and list it in service::extensions"
            raise ConfigError(path, auth.authenticator, "there is no such authenticator", hint)
        return found


factory = ReceiverFactory(
    component_type="otlp",
    config=OTLPConfig,
    create=OTLPReceiver,
    signals=frozenset(Signal),
)
