"""Let in who shows a user name and a password (RFC 7617), against htpasswd entries."""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import bcrypt
from pydantic import SecretStr, model_validator

from ganglion_collector.component import Config, ExtensionFactory
from ganglion_collector.errors import UnauthenticatedError
from ganglion_collector.watched_file import WatchedFile

__all__ = ["BasicAuth", "BasicAuthConfig", "factory"]

_BCRYPT = ("$2a$", "$2b$", "$2y$")
_MAX_KNOWN = 1024
_CLIENT_KEYS = "it is for exporters; set their headers::authorization"


class HtpasswdConfig(Config):
    """Users and their passwords, as the `htpasswd` command writes them: bcrypt (`-B`), SHA-1 (`-s`) or plain."""

    file: str = ""
    """File of `user:hash` lines; read again when it changes."""
    inline: SecretStr = SecretStr("")
    """Such lines in the configuration; they overrule the file's."""

    @model_validator(mode="after")
    def _entries(self) -> "HtpasswdConfig":
        if not self.file and not self.inline.get_secret_value().strip():
            raise ValueError("there are no users; set file or inline")
        if self.file:
            WatchedFile(Path(self.file), _parse)
        _parse(self.inline.get_secret_value())
        return self


class BasicAuthConfig(Config):
    """The Collector's keys for a receiver."""

    without_effect: ClassVar[Mapping[str, str]] = {"client_auth": _CLIENT_KEYS}

    htpasswd: HtpasswdConfig
    """Who may send."""


class BasicAuth:
    """Verifies a password once; afterwards a keyed digest of the header recognises it at once."""

    def __init__(self, config: BasicAuthConfig) -> None:
        self._file = WatchedFile(Path(config.htpasswd.file), _parse) if config.htpasswd.file else None
        self._inline = _parse(config.htpasswd.inline.get_secret_value())
        self._key = os.urandom(32)
        self._known: dict[bytes, tuple[str, str]] = {}
        # An unknown user costs what a known one does, so that time does not tell them apart.
        self._nobody = next((entry for entry in self._entries().values() if entry.startswith(_BCRYPT)), "{SHA}")

    @property
    def challenge(self) -> str:
        return 'Basic realm="ganglion", charset="UTF-8"'

    def recognise(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the user of a header that was verified before and whose entry is still the same.

        Raises:
            UnauthenticatedError: there is no header that could be verified.
        """
        user, _password = _credentials(headers)
        entry = self._entries().get(user, "")
        if self._known.get(self._digest(headers)) == (user, entry):
            return {"username": user}
        return None

    def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the user's name as `username`.

        Raises:
            UnauthenticatedError: user or password is wrong; it does not say which.
        """
        user, password = _credentials(headers)
        entry = self._entries().get(user)
        matches = _matches(self._nobody if entry is None else entry, password)
        if entry is None or not matches:
            raise UnauthenticatedError("user or password is wrong")
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[self._digest(headers)] = (user, entry)
        return {"username": user}

    def _entries(self) -> Mapping[str, str]:
        return self._inline if self._file is None else {**self._file.content(), **self._inline}

    def _digest(self, headers: Mapping[str, str]) -> bytes:
        return hashlib.blake2b(headers["authorization"].encode(), key=self._key).digest()


def _credentials(headers: Mapping[str, str]) -> tuple[str, bytes]:
    value = headers.get("authorization")
    if value is None:
        raise UnauthenticatedError("no authorization header")
    scheme, _, encoded = value.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        name = user.decode()
    except ValueError:
        raise UnauthenticatedError("the authorization header is not a user and a password") from None
    if scheme.lower() != "basic" or not colon:
        raise UnauthenticatedError("the authorization header is not a user and a password")
    return name, password


def _parse(text: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, entry = line.strip().partition(":")
        if not colon or not user or not entry:
            raise ValueError(f"line {number} of the htpasswd entries is not user:hash; make it with htpasswd -B")
        if entry.startswith(("$", "{")) and not entry.startswith((*_BCRYPT, "{SHA}")):
            raise ValueError(f"line {number} of the htpasswd entries has an unknown hash; make it with htpasswd -B")
        entries[user] = entry
    return entries


def _matches(entry: str, password: bytes) -> bool:
    if entry.startswith(_BCRYPT):
        try:
            # bcrypt uses the first 72 bytes; the library refuses more, others have always cut.
            return bcrypt.checkpw(password[:72], entry.encode())
        except ValueError:
            return False
    if entry.startswith("{SHA}"):
        digest = hashlib.sha1(password, usedforsecurity=False).digest()
        return hmac.compare_digest(base64.b64encode(digest), entry.removeprefix("{SHA}").encode())
    return hmac.compare_digest(password, entry.encode())


factory = ExtensionFactory(component_type="basicauth", config=BasicAuthConfig, create=BasicAuth)
