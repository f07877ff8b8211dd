"""What a user writes for the LangSmith exporter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from ganglion_collector.component import Config, Duration, ExporterConfig
from ganglion_collector.errors import ConfigError
from ganglion_collector.prices import load_prices
from ganglion_collector.tls import TLSClientConfig
from pydantic import ConfigDict, Field, SecretStr, field_validator

from ganglion_exporters._http import checked_url

__all__ = ["AssemblyConfig", "LangSmithConfig", "RateLimitConfig", "SpoolConfig", "why_disabled"]

_MINUTE, _HOUR = 60.0, 3600.0
_SERVICE = "https://api.smith.langchain.com"


class RateLimitConfig(Config):
    """How much is sent at most, below LangSmith's own limits (6000 requests in 10 seconds for a key)."""

    runs_per_second: float = Field(default=0.0, ge=0)
    """Runs in a second; 0 is no limit."""
    requests_per_second: float = Field(default=200.0, ge=0)
    """Requests in a second; 0 is no limit."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Requests under way at once."""


class AssemblyConfig(Config):
    """When a trace is put together and sent. Later spans of it are sent as they come and find their place."""

    settle: Duration = Field(default=2.0, ge=0)
    """A trace whose root span is there goes when nothing of it has come for this long."""
    idle_timeout: Duration = Field(default=30.0, ge=0)
    """A trace whose root span is missing goes when nothing of it has come for this long; it gets a root of its own."""
    max_age: Duration = Field(default=5 * _MINUTE, gt=0)
    """A trace is not held back for longer than this."""
    max_spans: int = Field(default=5000, ge=1)
    """A trace with more spans goes in parts, which find their places."""
    max_size_mib: int = Field(default=16, ge=1)
    """A trace with more than this, compressed, goes in parts too."""
    max_depth: int = Field(default=100, ge=2)
    """Runs further down hang side by side, since each one's place names all runs above it."""
    remember: Duration = Field(default=12 * _HOUR, ge=0)
    """For how long it is known what was sent, so that late spans find their place."""


class SpoolConfig(Config):
    """What waits for its trace, or for LangSmith, on disk in the home folder."""

    quota_mib: int = Field(default=1024, ge=1)
    """Most that waits; more stays in the journal, and health says so."""


class LangSmithConfig(ExporterConfig):
    """Traces as LangSmith runs, each complete and once, in their trees. Without `api_key` it is disabled."""

    model_config = ConfigDict(hide_input_in_errors=True)

    without_effect: ClassVar[Mapping[str, str]] = {}

    timeout: Duration = Field(default=30.0, ge=0)
    """Longest time for one request; 0 is no limit."""
    endpoint: str = _SERVICE
    """LangSmith's API; a server of one's own has it at `https://host/api/v1`."""
    api_key: SecretStr = SecretStr("")
    """The key, usually `${env:LANGSMITH_API_KEY}`."""
    workspace_id: str = ""
    """The workspace, needed where the key is an organisation's."""
    project: str = "default"
    """The project of runs whose span and resource name none; LangSmith makes it."""
    mode: Literal["runs", "otlp"] = "runs"
    """`runs` makes runs and follows each; `otlp` passes spans on as they are to LangSmith's own OTLP endpoint."""
    only_llm: bool = False
    """Only spans about models, tools, retrieval, chains and agents, each below the nearest one that is sent too."""
    root_ids: Literal["trace", "time"] = "trace"
    """`trace`: a trace's id in LangSmith is OpenTelemetry's; `time`: it begins with the time, as all other ids do."""
    old_spans: Literal["isolate", "shift", "dead_letter"] = "isolate"
    """Spans outside LangSmith's time window: sent in requests of their own, moved to now (their times are kept in the
    metadata), or set aside."""
    window: Duration = Field(default=23.5 * _HOUR, gt=0)
    """How long ago a span may have started for LangSmith to take it."""
    keep_resource: bool = True
    """Put the resource's attributes into each run's metadata."""
    prices: str = ""
    """A file of prices that goes before the built-in table (docs/langsmith.md)."""
    compression: Literal["auto", "zstd", "gzip", "none"] = "auto"
    """How requests are compressed; `auto` as the server says that it can."""
    assembly: AssemblyConfig = AssemblyConfig()
    """When a trace is put together and sent."""
    spool: SpoolConfig = SpoolConfig()
    """What waits on disk."""
    rate_limit: RateLimitConfig = RateLimitConfig()
    """How much is sent at most."""
    tls: TLSClientConfig = TLSClientConfig()
    """How LangSmith is authenticated."""
    proxy_url: SecretStr | None = None
    """HTTP proxy; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment hold."""

    @field_validator("endpoint", mode="before")
    @classmethod
    def _default_endpoint(cls, endpoint: Any) -> Any:
        """An unset environment variable is no endpoint."""
        return endpoint or _SERVICE

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        url = checked_url(endpoint, "write https://api.smith.langchain.com, or https://host/api/v1")
        if url.userinfo:
            raise ValueError("holds a user or password, which LangSmith does not take; use api_key")
        return endpoint

    @field_validator("api_key", mode="before")
    @classmethod
    def _no_key(cls, api_key: Any) -> Any:
        return "" if api_key is None else api_key

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, api_key: SecretStr) -> SecretStr:
        text = api_key.get_secret_value().strip()
        if not (text.isascii() and (not text or text.isprintable())):
            raise ValueError("holds characters that a header cannot carry")
        return SecretStr(text)

    @field_validator("workspace_id", "project", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("workspace_id")
    @classmethod
    def _check_workspace(cls, workspace_id: str) -> str:
        if not (workspace_id.isascii() and (not workspace_id or workspace_id.isprintable())):
            raise ValueError("not a workspace's id; LangSmith shows it in the settings of the workspace")
        return workspace_id.strip()

    @field_validator("project")
    @classmethod
    def _default_project(cls, project: str) -> str:
        return project.strip() or "default"

    @field_validator("prices")
    @classmethod
    def _check_prices(cls, prices: str) -> str:
        if prices:
            try:
                load_prices(Path(prices))
            except ConfigError as error:
                raise ValueError(f"{error.reason}; {error.hint}") from None
        return prices

    @field_validator("proxy_url")
    @classmethod
    def _check_proxy(cls, proxy_url: SecretStr | None) -> SecretStr | None:
        if proxy_url is not None and not proxy_url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("not a proxy's URL; write http://host:port")
        return proxy_url


def why_disabled(config: LangSmithConfig) -> str | None:
    """Return why nothing goes to LangSmith, None where it does."""
    if config.api_key.get_secret_value():
        return None
    return "no api_key: set LANGSMITH_API_KEY to send LLM traces to LangSmith"
