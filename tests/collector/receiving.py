"""An OTLP receiver on free ports, with an acceptor that remembers or refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import grpc.aio
from ganglion_collector.component import Authenticator, ReceiverSettings, Signal
from ganglion_collector.otlp import Request, parse_request
from ganglion_collector.receivers.otlp import OTLPReceiver, factory

METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


@dataclass
class Accepted:
    signal: Signal
    payload: bytes
    item_count: int
    context: Mapping[str, str]

    @property
    def request(self) -> Request:
        return parse_request(self.signal, self.payload)


@dataclass
class RunningReceiver:
    """A started receiver; `accepted` is what it handed over, `failure` what its acceptor raises."""

    receiver: OTLPReceiver
    addresses: dict[str, str]
    accepted: list[Accepted] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def grpc(self) -> str:
        return self.addresses["otlp/grpc"]

    @property
    def port(self) -> int:
        return int(self.addresses["otlp/http"].rpartition(":")[2])

    @property
    def http(self) -> str:
        return f"http://{self.addresses['otlp/http']}"

    async def accept(self, signal: Signal, payload: bytes, item_count: int, context: Mapping[str, str]) -> None:
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.accepted.append(Accepted(signal, payload, item_count, context))

    async def export(self, signal: Signal, message: bytes, **options: Any) -> bytes:
        """Call Export over gRPC with raw bytes."""
        async with grpc.aio.insecure_channel(self.grpc) as channel:
            call: Callable[..., Any] = channel.unary_unary(METHODS[signal])
            answer: bytes = await call(message, timeout=10, **options)
            return answer


async def closed(port: int) -> None:
    """Wait until nobody listens on `port` any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def running_receiver(
    grpc_config: Mapping[str, Any] | None = None,
    http_config: Mapping[str, Any] | None = None,
    *,
    only: str = "",
    signals: frozenset[Signal] = frozenset(Signal),
    authenticators: Mapping[str, Authenticator] | None = None,
) -> AsyncIterator[RunningReceiver]:
    """Run a receiver with both protocols, or with `only` one."""
    protocols = {
        name: {"endpoint": "127.0.0.1:0", **(config or {})}
        for name, config in (("grpc", grpc_config), ("http", http_config))
        if only in ("", name)
    }
    config = factory.config.model_validate({"protocols": protocols})
    addresses: dict[str, str] = {}
    # The receiver and its acceptor know each other: the acceptor is looked up when it is called.
    running: RunningReceiver

    async def accept(signal: Signal, payload: bytes, item_count: int, context: Mapping[str, str]) -> None:
        await running.accept(signal, payload, item_count, context)

    settings = ReceiverSettings("otlp", signals, accept, authenticators or {}, addresses.__setitem__)
    receiver = OTLPReceiver(config, settings)
    running = RunningReceiver(receiver, addresses)
    await receiver.start()
    try:
        yield running
    finally:
        await receiver.shutdown()


grpc_receiver = partial(running_receiver, only="grpc")
http_receiver = partial(running_receiver, only="http")
