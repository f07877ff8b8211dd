"""What a user writes for the OTLP receiver; keys and, where not said otherwise, defaults of the Collector."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from pydantic import Field, field_validator, model_validator

from ganglion_collector.component import Config, Duration
from ganglion_collector.endpoint import EndpointText
from ganglion_collector.tls import TLSServerConfig

__all__ = [
    "AuthConfig",
    "CorsConfig",
    "GrpcConfig",
    "HttpConfig",
    "KeepaliveConfig",
    "OTLPConfig",
    "ProtocolsConfig",
]

MEBIBYTE = 1024 * 1024
_BUFFERS = "the gRPC library sizes its buffers by itself"
_METADATA = "no component here reads a request's headers"
_MIDDLEWARES = "there are no middlewares"
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


class AuthConfig(Config):
    """Who may send."""

    without_effect: ClassVar[Mapping[str, str]] = {"request_params": "authenticators see headers only"}

    authenticator: str
    """Id of the extension that checks credentials, such as `bearertokenauth`."""


class KeepaliveEnforcementConfig(Config):
    """Which clients ping too often."""

    min_time: Duration = Field(default=300.0, ge=0)
    """Shortest time between a client's pings."""
    permit_without_stream: bool = False
    """Allow pings while no request is open."""


class KeepaliveServerConfig(Config):
    """How long a connection lives."""

    max_connection_idle: Duration = Field(default=0.0, ge=0)
    """Close a connection without a request after this long; 0 never."""
    max_connection_age: Duration = Field(default=0.0, ge=0)
    """Close a connection after this long; 0 never."""
    max_connection_age_grace: Duration = Field(default=0.0, ge=0)
    """How long requests of such a connection may still take; 0 without limit."""
    time: Duration = Field(default=7200.0, ge=0)
    """Ping an idle client after this long."""
    timeout: Duration = Field(default=20.0, ge=0)
    """Close the connection when a ping is not answered within this."""


class KeepaliveConfig(Config):
    """gRPC keep-alive."""

    server_parameters: KeepaliveServerConfig = KeepaliveServerConfig()
    """What the server does."""
    enforcement_policy: KeepaliveEnforcementConfig = KeepaliveEnforcementConfig()
    """What it asks of clients."""


class GrpcConfig(Config):
    """OTLP over gRPC. Compression: gzip and deflate (the gRPC library knows no other)."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "read_buffer_size": _BUFFERS,
        "write_buffer_size": _BUFFERS,
        "include_metadata": _METADATA,
        "middlewares": _MIDDLEWARES,
    }

    endpoint: EndpointText = "localhost:4317"
    """Where to listen, `host:port`; without a host on every interface."""
    transport: str = Field(default="tcp", pattern="^tcp[46]?$")
    """Only tcp."""
    tls: TLSServerConfig | None = None
    """Certificate of the server; without it the connection is plain."""
    auth: AuthConfig | None = None
    """Who may send; without it everybody."""
    max_recv_msg_size_mib: int = Field(default=64, ge=1, le=1024)
    """Largest request after decompression (OTLP recommends 64; the Collector's default is 4)."""
    max_concurrent_streams: int = Field(default=0, ge=0)
    """Most requests at a time on one connection; 0 sets no limit."""
    keepalive: KeepaliveConfig | None = None
    """Keep-alive of connections."""

    @field_validator("tls")
    @classmethod
    def _enforceable(cls, tls: TLSServerConfig | None) -> TLSServerConfig | None:
        if tls is not None and (tls.min_version == "1.3" or tls.max_version == "1.2"):
            raise ValueError("gRPC's library always offers TLS 1.2 and 1.3; remove min_version and max_version")
        return tls


class CorsConfig(Config):
    """Which web pages may send."""

    allowed_origins: tuple[str, ...] = ()
    """Origins such as `https://app.example.com`; `*` stands for any text, as in `https://*.example.com`."""
    allowed_headers: tuple[str, ...] = ()
    """Request headers allowed besides the simple ones and Content-Type; `*` allows all."""
    exposed_headers: tuple[str, ...] = ()
    """Response headers that pages may read."""
    max_age: int = Field(default=0, ge=0)
    """Seconds that a browser may remember the answer; 0 leaves it to the browser."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return _without_nulls(value)


class HttpConfig(Config):
    """OTLP over HTTP, protobuf and JSON. Compression: gzip, deflate or zlib, zstd."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "transport": "only tcp is served",
        "compression_algorithms": "none, gzip, deflate, zlib and zstd are always taken",
        "write_timeout": "an answer is small and is written at once",
        "read_header_timeout": "a header costs no memory worth a limit",
        "include_metadata": _METADATA,
        "middlewares": _MIDDLEWARES,
    }

    endpoint: EndpointText = "localhost:4318"
    """Where to listen, `host:port`; without a host on every interface."""
    traces_url_path: str = Field(default="/v1/traces", pattern="^/")
    """Path for traces."""
    metrics_url_path: str = Field(default="/v1/metrics", pattern="^/")
    """Path for metrics."""
    logs_url_path: str = Field(default="/v1/logs", pattern="^/")
    """Path for logs."""
    tls: TLSServerConfig | None = None
    """Certificate of the server; without it the connection is plain."""
    auth: AuthConfig | None = None
    """Who may send; without it everybody."""
    cors: CorsConfig | None = None
    """Which web pages may send; without it none."""
    cors_allowed_origins: tuple[str, ...] = ()
    """Older spelling of `cors::allowed_origins`."""
    cors_allowed_headers: tuple[str, ...] = ()
    """Older spelling of `cors::allowed_headers`."""
    max_request_body_size: int = Field(default=64 * MEBIBYTE, ge=0, le=1024 * MEBIBYTE)
    """Largest body in bytes after decompression; 0 is the default of 64 MiB (the Collector's is 20 MiB)."""
    response_headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Headers added to every response."""
    read_timeout: Duration = Field(default=60.0, ge=0)
    """Longest time for a body to arrive; 0 is no limit (the Collector's default)."""
    idle_timeout: Duration = Field(default=60.0, ge=0)
    """Close a kept connection after this long without a request."""
    keep_alives_enabled: bool = True
    """Keep connections open between requests."""

    @field_validator("response_headers")
    @classmethod
    def _printable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not (_HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
                raise ValueError("a name or a value cannot stand in a header; use letters, digits and hyphens")
        return headers

    @property
    def allowed(self) -> CorsConfig | None:
        """`cors`, or what its older spelling says."""
        if self.cors is not None or not self.cors_allowed_origins:
            return self.cors
        return CorsConfig(allowed_origins=self.cors_allowed_origins, allowed_headers=self.cors_allowed_headers)

    @property
    def max_bytes(self) -> int:
        return self.max_request_body_size or 64 * MEBIBYTE


class ProtocolsConfig(Config):
    """Which of the two protocols to serve; `grpc:` alone enables one with its defaults."""

    grpc: GrpcConfig | None = None
    """OTLP over gRPC."""
    http: HttpConfig | None = None
    """OTLP over HTTP."""

    @model_validator(mode="before")
    @classmethod
    def _null_enables(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        blocks = cast("dict[str, Any]", value)
        empty: dict[str, Any] = {}
        return {key: empty if inner is None else inner for key, inner in blocks.items()}

    @model_validator(mode="after")
    def _at_least_one(self) -> "ProtocolsConfig":
        if self.grpc is None and self.http is None:
            raise ValueError("no protocol is enabled; write grpc: or http: or both")
        return self


class OTLPConfig(Config):
    """Takes traces, metrics and logs in by OTLP."""

    protocols: ProtocolsConfig
    """Which protocols to serve."""


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {key: inner for key, inner in fields.items() if inner is not None}
