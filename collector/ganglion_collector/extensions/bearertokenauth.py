"""Let in who shows a bearer token (RFC 6750)."""

import hmac
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from ganglion_collector.component import Config, ExtensionFactory
from ganglion_collector.errors import UnauthenticatedError
from ganglion_collector.watched_file import WatchedFile

__all__ = ["BearerTokenAuth", "BearerTokenAuthConfig", "factory"]


class BearerTokenAuthConfig(Config):
    """The Collector's keys; one of `token`, `tokens` and `filename`."""

    scheme: str = "Bearer"
    """Word before the token; empty for none."""
    token: SecretStr = SecretStr("")
    """The token."""
    tokens: tuple[SecretStr, ...] = ()
    """Several tokens, any of which is good."""
    filename: str = ""
    """File with one token a line; read again when it changes."""
    header: str = Field(default="Authorization", pattern="^[A-Za-z0-9-]+$")
    """Header that holds scheme and token."""

    @model_validator(mode="after")
    def _one_source(self) -> "BearerTokenAuthConfig":
        given = [bool(self.token.get_secret_value()), bool(self.tokens), bool(self.filename)]
        if sum(given) != 1:
            raise ValueError("no token is given, or in several ways; set one of token, tokens and filename")
        if self.filename:
            WatchedFile(Path(self.filename), _lines)
        return self


class BearerTokenAuth:
    """Compares the header with every token, in a time that does not depend on them."""

    def __init__(self, config: BearerTokenAuthConfig) -> None:
        self._header = config.header.lower()
        self._prefix = f"{config.scheme} " if config.scheme else ""
        self._file = WatchedFile(Path(config.filename), _lines) if config.filename else None
        secrets = config.tokens or (config.token,)
        self._tokens = [secret.get_secret_value().encode() for secret in secrets]

    @property
    def challenge(self) -> str:
        return self._prefix.strip() or "Bearer"

    def recognise(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return self.authenticate(headers)

    def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return nothing more than that a token is known.

        Raises:
            UnauthenticatedError: it is missing or unknown.
        """
        value = headers.get(self._header)
        if value is None:
            raise UnauthenticatedError(f"no {self._header} header")
        scheme, token = value[: len(self._prefix)], value[len(self._prefix) :]
        tokens = self._tokens if self._file is None else self._file.content()
        matches = [hmac.compare_digest(token.encode(), known) for known in tokens]
        if scheme.lower() != self._prefix.lower() or not any(matches):
            raise UnauthenticatedError(f"the {self._header} header holds no valid token")
        return {}


def _lines(text: str) -> list[bytes]:
    tokens = [line.strip().encode() for line in text.splitlines() if line.strip()]
    if not tokens:
        raise ValueError("the file of tokens is empty; write one token a line")
    return tokens


factory = ExtensionFactory(
    component_type="bearertokenauth",
    config=BearerTokenAuthConfig,
    create=BearerTokenAuth,
)
