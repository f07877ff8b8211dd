"""TLS by the Collector's keys, for servers and clients, gRPC and HTTP.

Certificates are read when the configuration is checked, so that a missing or wrong file is found before anything
starts, and again when a connection is set up. Each function raises ValueError with the key, the file and the reason,
never a content.
"""

import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import grpc
from pydantic import SecretStr, model_validator

from ganglion_collector.component import Config

__all__ = [
    "TLSClientConfig",
    "TLSServerConfig",
    "channel_credentials",
    "client_context",
    "server_context",
    "server_credentials",
]

TLSVersion = Literal["1.2", "1.3"]
_NO_RELOAD = "certificates are read at start; restart the collector when they have changed"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class _TLSConfig(Config):
    without_effect: ClassVar[Mapping[str, str]] = {
        "cipher_suites": "the TLS library's own list is in force",
        "curve_preferences": "the TLS library's own list is in force",
        "reload_interval": _NO_RELOAD,
        "tpm": "keys come from files or the configuration",
    }

    cert_file: str = ""
    """Certificate, PEM; the chain may follow it."""
    cert_pem: str = ""
    """The certificate itself instead of a file."""
    key_file: str = ""
    """Private key of the certificate, PEM."""
    key_pem: SecretStr = SecretStr("")
    """The private key itself instead of a file."""
    min_version: TLSVersion = "1.2"
    """Oldest version of TLS."""
    max_version: TLSVersion | Literal[""] = ""
    """Newest version of TLS; empty for the newest there is."""

    @model_validator(mode="after")
    def _one_of_each(self) -> "_TLSConfig":
        if self.cert_file and self.cert_pem:
            raise ValueError("both cert_file and cert_pem are set; keep one")
        if self.key_file and self.key_pem.get_secret_value():
            raise ValueError("both key_file and key_pem are set; keep one")
        if self._has_certificate != self._has_key:
            raise ValueError("a certificate needs its key; set cert_file and key_file (or the _pem keys)")
        return self

    @property
    def _has_certificate(self) -> bool:
        return bool(self.cert_file or self.cert_pem)

    @property
    def _has_key(self) -> bool:
        return bool(self.key_file or self.key_pem.get_secret_value())

    def certificate(self) -> bytes:
        return _pem("cert_file", self.cert_file, self.cert_pem)

    def key(self) -> bytes:
        return _pem("key_file", self.key_file, self.key_pem.get_secret_value())


class TLSServerConfig(_TLSConfig):
    """A server's certificate, and whose clients it lets in."""

    without_effect: ClassVar[Mapping[str, str]] = {"client_ca_file_reload": _NO_RELOAD}

    client_ca_file: str = ""
    """Certificate authority of the clients, PEM; set it and a client must show a certificate (mutual TLS)."""

    @model_validator(mode="after")
    def _certificate_needed(self) -> "TLSServerConfig":
        if not self._has_certificate:
            raise ValueError("a server needs cert_file and key_file (or cert_pem and key_pem)")
        server_context(self)
        return self

    def client_ca(self) -> bytes | None:
        return _pem("client_ca_file", self.client_ca_file, "") if self.client_ca_file else None


class TLSClientConfig(_TLSConfig):
    """How a client knows its server, and what certificate it shows."""

    insecure: bool = False
    """Do not use TLS at all (unless the endpoint begins with https)."""
    insecure_skip_verify: bool = False
    """Use TLS but believe any certificate."""
    ca_file: str = ""
    """Certificate authority of the server, PEM; empty for the system's."""
    ca_pem: str = ""
    """The authority's certificate itself instead of a file."""
    include_system_ca_certs_pool: bool = False
    """Trust the system's authorities besides `ca_file`."""
    server_name_override: str = ""
    """Name that the server's certificate must have, instead of the endpoint's."""

    @model_validator(mode="after")
    def _readable(self) -> "TLSClientConfig":
        if not self.insecure:
            client_context(self)
        return self

    def authority(self) -> bytes | None:
        return _pem("ca_file", self.ca_file, self.ca_pem) if self.ca_file or self.ca_pem else None


def server_context(config: TLSServerConfig, protocols: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """Make the context of an HTTP server; `protocols` are offered by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_versions(context, config)
    context.set_alpn_protocols(list(protocols))
    _load_chain(context, config)
    authority = config.client_ca()
    if authority is not None:
        _trust(context, "client_ca_file", config.client_ca_file, authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(config: TLSClientConfig) -> ssl.SSLContext:
    """Make the context of an HTTP client; not to be called when `config.insecure` decides for plain HTTP."""
    authority = config.authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_versions(context, config)
    if authority is not None:
        _trust(context, "ca_file", config.ca_file, authority)
    if authority is None or config.include_system_ca_certs_pool:
        context.load_default_certs()
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate():
        _load_chain(context, config)
    return context


def server_credentials(config: TLSServerConfig) -> grpc.ServerCredentials:
    """Make the credentials of a gRPC server, which always offers TLS 1.2 and 1.3."""
    authority = config.client_ca()
    return grpc.ssl_server_credentials(
        [(config.key(), config.certificate())],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def channel_credentials(config: TLSClientConfig) -> grpc.ChannelCredentials:
    """Make the credentials of a gRPC client; `server_name_override` goes into its channel options.

    Raises:
        ValueError: a file is wrong, or `insecure_skip_verify` is set, which gRPC's library does not offer.
    """
    if config.insecure_skip_verify:
        raise ValueError("insecure_skip_verify: gRPC's library always verifies; set ca_file or server_name_override")
    return grpc.ssl_channel_credentials(
        root_certificates=config.authority(),
        private_key=config.key() or None,
        certificate_chain=config.certificate() or None,
    )


def _pem(key: str, file: str, text: str) -> bytes:
    if not file:
        return text.encode()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{key} = {file!r} cannot be read: {error.strerror}; name a PEM file") from None


def _set_versions(context: ssl.SSLContext, config: _TLSConfig) -> None:
    context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]


def _load_chain(context: ssl.SSLContext, config: _TLSConfig) -> None:
    certificate, key = config.certificate(), config.key()
    try:
        if config.cert_file and config.key_file:
            context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
            return
        # The ssl module reads a chain from files only.
        with tempfile.NamedTemporaryFile() as chain:
            chain.write(certificate + b"\n" + key)
            chain.flush()
            context.load_cert_chain(chain.name, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        where = config.cert_file or "cert_pem"
        raise ValueError(f"{where!r} and its key do not fit or are not PEM: {_reason(error)}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; give it without a pass phrase")


def _trust(context: ssl.SSLContext, key: str, file: str, authority: bytes) -> None:
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"{key} = {file or 'ca_pem'!r} is not a PEM certificate: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    reason: str | None = getattr(error, "reason", None)
    return reason or str(error)
