"""OTLP over gRPC: raw bytes in, raw bytes out, on asyncio.

gRPC's library would decompress a message as a whole before it looks at the limit, so its decompression is switched
off and ours, which is bounded, takes over. It knows gzip and deflate; a client that compresses with zstd is refused by
the library itself, before any code of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio

from ganglion_collector.component import Authenticator, Signal
from ganglion_collector.endpoint import Endpoint, free_addresses, parse_endpoint
from ganglion_collector.otlp_status import STATUS_DETAILS_KEY, grpc_status
from ganglion_collector.receivers.otlp.config import MEBIBYTE, GrpcConfig, KeepaliveConfig
from ganglion_collector.receivers.otlp.decompression import sniff
from ganglion_collector.receivers.otlp.reception import Body, Reception
from ganglion_collector.receivers.otlp.responses import encode_protobuf
from ganglion_collector.tls import server_credentials

__all__ = ["GrpcServer"]

_TRANSPORT = "grpc"
_METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": Signal.TRACES,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": Signal.METRICS,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Signal.LOGS,
}
_NEVER_MS = 2**31 - 1

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class GrpcServer:
    """Serves the Export method of every signal that is wanted."""

    def __init__(self, config: GrpcConfig, reception: Reception, authenticator: Authenticator | None) -> None:
        self._config = config
        self._handlers = _Handlers(reception, authenticator, config.max_recv_msg_size_mib * MEBIBYTE)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> Endpoint:
        """Listen; return the endpoint with the port that is really listened on."""
        endpoint = parse_endpoint(self._config.endpoint)
        addresses = free_addresses(endpoint)
        server = grpc.aio.server(options=_options(self._config))
        server.add_generic_rpc_handlers((self._handlers,))
        try:
            for address in _bindable(endpoint, addresses):
                self._add_port(server, str(address))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {endpoint}: the gRPC library could not bind it") from error
        await server.start()
        self._server = server
        return Endpoint(endpoint.host, addresses[0].port)

    async def shutdown(self, grace: float) -> None:
        """Stop listening, answer what is in flight within `grace` seconds. Safe twice, and without start."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace)

    def _add_port(self, server: grpc.aio.Server, address: str) -> None:
        if self._config.tls is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, server_credentials(self._config.tls))


def _bindable(endpoint: Endpoint, addresses: list[Endpoint]) -> list[Endpoint]:
    # The library serves IPv4 and IPv6 from one wildcard address and then cannot bind the other.
    both = [address for address in addresses if endpoint.is_wildcard and address.host == "::"]
    return both or addresses


def _options(config: GrpcConfig) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.per_message_decompression", 0),
        ("grpc.max_receive_message_length", config.max_recv_msg_size_mib * MEBIBYTE),
    ]
    if config.max_concurrent_streams:
        options.append(("grpc.max_concurrent_streams", config.max_concurrent_streams))
    return options + ([] if config.keepalive is None else _keepalive_options(config.keepalive))


def _keepalive_options(config: KeepaliveConfig) -> list[tuple[str, int]]:
    server, policy = config.server_parameters, config.enforcement_policy
    return [
        ("grpc.max_connection_idle_ms", _milliseconds(server.max_connection_idle)),
        ("grpc.max_connection_age_ms", _milliseconds(server.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(server.max_connection_age_grace)),
        ("grpc.keepalive_time_ms", _milliseconds(server.time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(server.timeout)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(policy.min_time * 1000)),
        ("grpc.keepalive_permit_without_calls", int(policy.permit_without_stream)),
    ]


def _milliseconds(seconds: float) -> int:
    return min(_NEVER_MS, round(seconds * 1000)) if seconds else _NEVER_MS


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler for a method: raw bytes, no message objects."""

    def __init__(self, reception: Reception, authenticator: Authenticator | None, limit: int) -> None:
        self._reception = reception
        self._authenticator = authenticator
        self._limit = limit
        self._methods = {
            method: self._handler(signal) for method, signal in _METHODS.items() if signal in reception.signals
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "_MethodHandler | None":
        """Return the method's handler, None (UNIMPLEMENTED) for one that no pipeline wants."""
        return self._methods.get(handler_call_details.method)

    def _handler(self, signal: Signal) -> _MethodHandler:
        if self._authenticator is None:

            async def export(message: bytes, context: _Context) -> bytes:
                return await self._answer(signal, message, {}, context)

            return cast("_MethodHandler", grpc.unary_unary_rpc_method_handler(export))
        guarded = self._guarded(signal, self._authenticator)
        return cast("_MethodHandler", grpc.stream_unary_rpc_method_handler(guarded))

    def _guarded(self, signal: Signal, authenticator: Authenticator) -> Any:
        # As a stream the message is not read before it is asked for: without credentials never.
        async def export(messages: AsyncIterator[bytes], context: _Context) -> bytes:
            try:
                sender = await self._reception.authenticate(authenticator, _headers(context))
            except Exception as error:  # noqa: BLE001 (every error becomes a status)
                return await self._abort(error, context)
            async for message in messages:
                return await self._answer(signal, message, sender, context)
            return await self._answer(signal, b"", sender, context)

        return export

    async def _answer(self, signal: Signal, message: bytes, sender: Mapping[str, str], context: _Context) -> bytes:
        body = Body(message, sniff(message), json=False, limit=self._limit)
        try:
            with self._reception.memory.hold() as hold:
                hold.take(len(message))
                partial = await self._reception.take(signal, _TRANSPORT, body, sender, hold)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (every error becomes a status)
            return await self._abort(error, context)
        self._reception.tell(_TRANSPORT, None)
        return encode_protobuf(signal, partial)

    async def _abort(self, error: Exception, context: _Context) -> bytes:
        self._reception.tell(_TRANSPORT, error)
        code, status = grpc_status(error)
        metadata = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
        await context.abort(code, status.message, metadata)
        raise AssertionError("abort raises")


def _headers(context: _Context) -> Mapping[str, str]:
    metadata = context.invocation_metadata() or ()
    return {key: value for key, value in metadata if isinstance(value, str)}
