"""Settings of the query process, which serves the read side: API and page."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from ganglion_collector.component import Config, Duration, ExtensionFactory
from ganglion_collector.endpoint import EndpointText, parse_endpoint
from ganglion_collector.tls import TLSServerConfig
from ganglion_collector.watched_file import WatchedFile

__all__ = ["QueryConfig", "QueryTokenConfig", "factory", "is_loopback", "parse_tokens"]


_LEAST_LENGTH = 16


class QueryTokenConfig(Config):
    """One token and whose data its bearer may see."""

    model_config = ConfigDict(hide_input_in_errors=True)

    token: SecretStr
    """The token, as it is shown in `Authorization: Bearer <token>`; at least 16 characters, better 32 random ones."""
    tenants: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Only data of these tenants (`tenant.id`), kept apart by PostgreSQL; everybody's unless set."""

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < _LEAST_LENGTH:
            empty = "" if token.get_secret_value() else "; it is empty: is its environment variable set?"
            raise ValueError(f"a token has at least {_LEAST_LENGTH} characters{empty}")
        return token

    @field_validator("tenants")
    @classmethod
    def _names(cls, tenants: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any(not tenant or "\0" in tenant for tenant in tenants or ()):
            raise ValueError("a tenant has no name; write its tenant.id")
        return tenants


def _different(tokens: tuple[QueryTokenConfig, ...]) -> tuple[QueryTokenConfig, ...]:
    """Refuse a token that stands twice: it would be unclear whose data it opens."""
    if len({one.token.get_secret_value() for one in tokens}) < len(tokens):
        raise ValueError("a token stands there twice; name all its tenants in one place")
    return tokens


_Tokens = Annotated[tuple[QueryTokenConfig, ...], AfterValidator(_different)]


class QueryConfig(Config):
    """Our own addition to the Collector's grammar: a process that answers questions about what PostgreSQL holds."""

    endpoint: EndpointText = "localhost:8484"
    """Address to listen on, `host:port`. Any other than this machine's own needs tokens."""
    dsn: SecretStr = SecretStr("")
    """The database to read; `GANGLION_DATABASE_URL` unless set. A login of its own limits what this process can do."""
    tokens: _Tokens = ()
    """Who may ask; without any, every program of this machine."""
    tokens_file: str = ""
    """File with such a list in YAML, in place of or besides `tokens`; read again when it changes."""
    timeout: Duration = Field(default=15.0, ge=0.1, le=3600)
    """Longest time for one statement."""
    connections: int = Field(default=8, ge=1, le=100)
    """Most connections to the database."""
    tls: TLSServerConfig | None = None
    """Serve HTTPS; plain HTTP unless set."""

    @model_validator(mode="after")
    def _guarded(self) -> "QueryConfig":
        if self.tokens_file:
            WatchedFile(Path(self.tokens_file), parse_tokens)
        if not self.has_tokens and not is_loopback(self.endpoint):
            raise ValueError(
                f"endpoint {self.endpoint!r} can be reached from other machines and there are no tokens; "
                "set tokens or tokens_file, or endpoint to localhost:8484"
            )
        return self

    @property
    def has_tokens(self) -> bool:
        return bool(self.tokens or self.tokens_file)


_list: TypeAdapter[tuple[QueryTokenConfig, ...]] = TypeAdapter(_Tokens)


def parse_tokens(text: str) -> tuple[QueryTokenConfig, ...]:
    """Return the tokens of a file.

    Raises:
        ValueError: it holds none, or something else; the message repeats nothing of it.
    """
    try:
        document: Any = yaml.safe_load(text)
        found = _list.validate_python(document)
    except yaml.YAMLError:
        raise ValueError("the file of tokens is not YAML; write a list of token and tenants") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = "::".join(map(str, first["loc"])) or "the file of tokens"
        raise ValueError(f"{place}: {first['msg']}; write a list of token and tenants") from None
    if not found:
        raise ValueError("the file of tokens is empty; write a list of token and tenants")
    return found


def is_loopback(endpoint: str) -> bool:
    """Tell whether only programs of this machine can connect there."""
    host = parse_endpoint(endpoint).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


factory = ExtensionFactory(component_type="query", config=QueryConfig)
