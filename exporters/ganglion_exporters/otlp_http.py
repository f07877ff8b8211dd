"""Send batches on by OTLP over HTTP, as binary protobuf."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import httpx
import zstandard
from ganglion_collector.component import Batch, Config, Duration, ExporterFactory, Signal
from ganglion_collector.errors import PartialSuccess, RetryableError
from ganglion_collector.otlp_status import http_export_error, printable
from pydantic import Field, SecretStr, field_validator, model_validator

from ganglion_exporters import _otlp
from ganglion_exporters._http import checked_url, new_client

__all__ = ["CompressionParams", "OTLPHTTPConfig", "OTLPHTTPExporter", "factory"]

_CONTENT_TYPE = "application/x-protobuf"
_POOL = "an exporter has one request under way and keeps its connection"
_RESERVED = {"content-type", "content-encoding", "content-length", "transfer-encoding", "host", "connection"}


class CompressionParams(Config):
    """How hard to compress."""

    level: int | None = Field(default=None, ge=-1, le=22)
    """Level of the chosen compression; its own default if not given."""


class OTLPHTTPConfig(_otlp.OTLPExporterConfig):
    """The Collector's `otlp_http` exporter (`otlphttp` is its older name)."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "cookies": "none are kept",
        "disable_keep_alives": _POOL,
        "force_attempt_http2": "requests go out by HTTP/1.1",
        "http2_ping_timeout": "requests go out by HTTP/1.1",
        "http2_read_idle_timeout": "requests go out by HTTP/1.1",
        "idle_conn_timeout": _POOL,
        "max_conns_per_host": _POOL,
        "max_idle_conns": _POOL,
        "max_idle_conns_per_host": _POOL,
        "middlewares": "there are none",
        "profiles_endpoint": "profiles are not received",
        "read_buffer_size": "the HTTP library chooses it",
        "write_buffer_size": "the HTTP library chooses it",
    }

    timeout: Duration = Field(default=30.0, ge=0)
    """Longest time for one attempt; 0 is no limit."""
    endpoint: str = ""
    """Base URL; `/v1/traces`, `/v1/metrics` or `/v1/logs` is added."""
    traces_endpoint: str = ""
    """Whole URL for traces, instead of `endpoint`."""
    metrics_endpoint: str = ""
    """Whole URL for metrics, instead of `endpoint`."""
    logs_endpoint: str = ""
    """Whole URL for logs, instead of `endpoint`."""
    encoding: Literal["proto"] = "proto"
    """Only `proto`: requests go out as the bytes that came in."""
    compression: Literal["gzip", "zlib", "deflate", "zstd", "none", ""] = "gzip"
    """How requests are compressed."""
    compression_params: CompressionParams = CompressionParams()
    """How hard to compress."""
    proxy_url: SecretStr | None = None
    """HTTP proxy; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment hold."""

    @field_validator("encoding", mode="before")
    @classmethod
    def _explain_encoding(cls, value: Any) -> Any:
        if value == "json":
            raise ValueError("requests are forwarded as binary protobuf, which every OTLP server takes; write proto")
        return value

    @field_validator("compression", mode="before")
    @classmethod
    def _explain_compression(cls, value: Any) -> Any:
        if value in {"snappy", "x-snappy-framed", "lz4"}:
            raise ValueError("not supported; write gzip or zstd")
        return value

    @field_validator("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint")
    @classmethod
    def _check_url(cls, endpoint: str) -> str:
        if endpoint:
            checked_url(endpoint, "write scheme, host and port, such as http://tempo:4318")
        return endpoint

    @field_validator("proxy_url")
    @classmethod
    def _check_proxy(cls, proxy_url: SecretStr | None) -> SecretStr | None:
        if proxy_url is not None and not proxy_url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("not a proxy's URL; write http://host:port")
        return proxy_url

    @field_validator("headers")
    @classmethod
    def _check_reserved(cls, headers: _otlp.Headers) -> _otlp.Headers:
        for name in headers:
            if name.lower() in _RESERVED:
                raise ValueError(f"{name!r} is set by the exporter itself")
        return headers

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        level = self.compression_params.level
        if level is not None and self.compression in {"gzip", "zlib", "deflate"} and level > 9:
            raise ValueError(f"compression_params::level = {level}: {self.compression} has levels -1 to 9")
        if not (self.endpoint or self.traces_endpoint or self.metrics_endpoint or self.logs_endpoint):
            raise ValueError("endpoint is missing; write the destination's URL, such as http://tempo:4318")
        return self

    def url(self, signal: Signal) -> str:
        """Return where `signal` goes, empty where nothing says so."""
        own = {
            Signal.TRACES: self.traces_endpoint,
            Signal.METRICS: self.metrics_endpoint,
            Signal.LOGS: self.logs_endpoint,
        }
        base = self.endpoint.removesuffix("/")
        return own[signal] or (f"{base}/v1/{signal}" if base else "")


class OTLPHTTPExporter:
    """One POST for each batch, on kept-alive connections."""

    def __init__(self, config: OTLPHTTPConfig) -> None:
        self._config = config
        self._client: httpx.AsyncClient | None = None
        self._compress = _compressor(config.compression, config.compression_params.level)

    async def start(self) -> None:
        self._client = new_client(_headers(self._config), self._config.tls, self._config.proxy_url)

    async def export(self, batch: Batch) -> PartialSuccess | None:
        if self._client is None:
            raise RetryableError("the exporter is not started or already shut down")
        if not batch.records:
            return None
        url = self._config.url(batch.signal)
        if not url:
            raise RetryableError(f"no destination for {batch.signal}: set endpoint or {batch.signal}_endpoint")
        try:
            async with asyncio.timeout(self._config.timeout or None):
                status, headers, body = await self._post(self._client, url, _otlp.request_bytes(batch))
        except TimeoutError:
            raise RetryableError(f"no answer within {self._config.timeout:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            told = [type(error).__name__, str(error)]  # some of httpx's errors have no text
            raise RetryableError(printable(": ".join(filter(None, told)))) from None
        if not 200 <= status < 300:
            raise http_export_error(status, headers, body)
        return _otlp.partial_success(batch.signal, body, __name__)

    async def _post(self, client: httpx.AsyncClient, url: str, request: bytes) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and the body, empty where it is larger than any answer may be."""
        name = self._config.tls.server_name_override
        extensions = {"sni_hostname": name} if name else {}
        async with client.stream("POST", url, content=self._compress(request), extensions=extensions) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _otlp.LARGEST_RESPONSE:
                    return response.status_code, response.headers, b""
            return response.status_code, response.headers, bytes(body)

    async def shutdown(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _headers(config: OTLPHTTPConfig) -> dict[str, str]:
    headers = {"user-agent": _otlp.USER_AGENT, "content-type": _CONTENT_TYPE, "accept-encoding": "identity"}
    if config.compression not in {"none", ""}:
        headers["content-encoding"] = config.compression
    return headers | {name.lower(): value.get_secret_value() for name, value in config.headers.items()}


def _compressor(name: str, level: int | None) -> Callable[[bytes], bytes]:
    match name:
        case "gzip":
            return lambda data: gzip.compress(data, 6 if level is None else level, mtime=0)
        case "zlib" | "deflate":
            return lambda data: zlib.compress(data, -1 if level is None else level)
        case "zstd":
            return zstandard.ZstdCompressor(level=3 if level is None else level).compress
        case _:
            return lambda data: data


factory = ExporterFactory(
    component_type="otlp_http",
    config=OTLPHTTPConfig,
    create=OTLPHTTPExporter,
    signals=frozenset(Signal),
)
