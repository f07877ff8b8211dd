"""Send batches on by OTLP over gRPC."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import grpc
import grpc.aio
from ganglion_collector.component import Batch, Config, Duration, ExporterFactory, Signal
from ganglion_collector.errors import ExportError, PartialSuccess, RetryableError
from ganglion_collector.otlp_status import STATUS_DETAILS_KEY, grpc_export_error
from ganglion_collector.tls import TLSClientConfig, channel_credentials
from pydantic import Field, field_validator

from ganglion_exporters import _otlp

__all__ = ["KeepaliveConfig", "OTLPGRPCConfig", "OTLPGRPCExporter", "factory"]

_METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_COMPRESSIONS = {
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
    "zlib": grpc.Compression.Deflate,
    "none": grpc.Compression.NoCompression,
    "": grpc.Compression.NoCompression,
}
_Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")


class KeepaliveConfig(Config):
    """Pings that find a dead connection."""

    time: Duration = Field(default=0.0, ge=0)
    """Ping after this long without traffic; 0 never does."""
    timeout: Duration = Field(default=20.0, ge=0)
    """Close the connection when a ping is not answered within this time."""
    permit_without_stream: bool = False
    """Ping also while nothing is being sent."""


class OTLPGRPCConfig(_otlp.OTLPExporterConfig):
    """The Collector's `otlp_grpc` exporter (`otlp` is its older name)."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "balancer_name": "there is one connection, to the first address that answers",
        "middlewares": "there are none",
        "read_buffer_size": "gRPC's library chooses it",
        "wait_for_ready": "an attempt that finds no connection fails and is made again by retry_on_failure",
        "write_buffer_size": "gRPC's library chooses it",
    }

    endpoint: str
    """`host:port`, `https://host:port` (TLS), `http://host:port` (none unless `tls` is set), or `unix:/path`."""
    compression: Literal["gzip", "deflate", "zlib", "none", ""] = "gzip"
    """How requests are compressed."""
    keepalive: KeepaliveConfig | None = None
    """Pings on a quiet connection."""
    authority: str = ""
    """Value of the `:authority` header, instead of the endpoint."""

    @field_validator("compression", mode="before")
    @classmethod
    def _explain_compression(cls, value: Any) -> Any:
        if value in {"zstd", "snappy"}:
            raise ValueError("Python's gRPC has gzip and deflate only; write gzip")
        return value

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        target = _target(endpoint)
        if target.startswith(("unix:", "dns:")) or re.fullmatch(r"(\[[^\]\s]+\]|[^\s:/\[\]]+):\d{1,5}", target):
            return endpoint
        raise ValueError("not an address; write host:port, such as tempo:4317")

    @field_validator("headers")
    @classmethod
    def _check_metadata(cls, headers: _otlp.Headers) -> _otlp.Headers:
        for name in headers:
            if not _METADATA_KEY.fullmatch(name.lower()) or name.lower().startswith("grpc-"):
                raise ValueError(f"{name!r} cannot be gRPC metadata")
            if name.lower().endswith("-bin"):
                raise ValueError(f"{name!r} would be binary metadata, which is not supported")
        return headers

    @field_validator("tls")
    @classmethod
    def _check_verification(cls, tls: TLSClientConfig) -> TLSClientConfig:
        if tls.insecure_skip_verify:
            raise ValueError("Python's gRPC cannot skip verification; set tls::ca_file or tls::server_name_override")
        return tls

    @property
    def is_plain(self) -> bool:
        """Whether the connection has no TLS. `https://` overrules `tls::insecure`, as in the Collector."""
        if self.endpoint.startswith("https://"):
            return False
        if self.endpoint.startswith("http://") and "tls" not in self.model_fields_set:
            return True
        return self.tls.insecure or self.endpoint.startswith("unix:")


def _target(endpoint: str) -> str:
    return endpoint.removeprefix("http://").removeprefix("https://").removesuffix("/")


class OTLPGRPCExporter:
    """One unary call for each batch, on one connection."""

    def __init__(self, config: OTLPGRPCConfig) -> None:
        self._config = config
        self._channel: grpc.aio.Channel | None = None
        self._is_suspect = False
        self._metadata = [(name.lower(), value.get_secret_value()) for name, value in config.headers.items()]

    async def start(self) -> None:
        self._channel = _open_channel(self._config)

    async def export(self, batch: Batch) -> PartialSuccess | None:
        if self._channel is None:
            raise RetryableError("the exporter is not started or already shut down")
        if not batch.records:
            return None
        if self._is_suspect:
            await self._channel.close()
            self._channel = _open_channel(self._config)
        # A call without an answer, cut off by its deadline or by the worker, may be on a connection that leads nowhere.
        self._is_suspect = True
        body = await self._call(self._channel.unary_unary(_METHODS[batch.signal]), _otlp.request_bytes(batch))
        self._is_suspect = False
        return _otlp.partial_success(batch.signal, body, __name__)

    async def shutdown(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _call(self, call: _Call, request: bytes) -> bytes:
        try:
            return await call(request, timeout=self._config.timeout or None, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            self._is_suspect = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            raise _export_error(error) from None


def _open_channel(config: OTLPGRPCConfig) -> grpc.aio.Channel:
    options = _channel_options(config)
    compression = _COMPRESSIONS[config.compression]
    target = _target(config.endpoint)
    if config.is_plain:
        return grpc.aio.insecure_channel(target, options=options, compression=compression)
    credentials = channel_credentials(config.tls)
    return grpc.aio.secure_channel(target, credentials, options=options, compression=compression)


def _channel_options(config: OTLPGRPCConfig) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", _otlp.USER_AGENT),
        ("grpc.max_receive_message_length", _otlp.LARGEST_RESPONSE),
        ("grpc.max_send_message_length", -1),
        # The worker decides when to try again; the channel only has to be ready for it.
        ("grpc.enable_retries", 0),
        # Else a new channel may be given the connection of the one just closed.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 250),
        ("grpc.max_reconnect_backoff_ms", 5000),
    ]
    if config.tls.server_name_override:
        options.append(("grpc.ssl_target_name_override", config.tls.server_name_override))
    if config.authority:
        options.append(("grpc.default_authority", config.authority))
    if config.keepalive is not None and config.keepalive.time:
        options += [
            ("grpc.keepalive_time_ms", round(config.keepalive.time * 1000)),
            ("grpc.keepalive_timeout_ms", round(config.keepalive.timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", int(config.keepalive.permit_without_stream)),
        ]
    return options


def _export_error(error: grpc.aio.AioRpcError) -> ExportError:
    details = dict(error.trailing_metadata() or ()).get(STATUS_DETAILS_KEY, b"")
    return grpc_export_error(error.code(), error.details() or "", details if isinstance(details, bytes) else b"")


factory = ExporterFactory(
    component_type="otlp_grpc",
    config=OTLPGRPCConfig,
    create=OTLPGRPCExporter,
    signals=frozenset(Signal),
)
