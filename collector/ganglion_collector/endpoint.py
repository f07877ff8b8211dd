"""Endpoints as the Collector writes them, and the socket addresses they stand for."""

import errno
import socket
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["Endpoint", "EndpointText", "free_addresses", "listening_sockets", "parse_endpoint"]

_ABSENT_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_FORM = "write host:port, such as localhost:4317, 0.0.0.0:4317, [::1]:4317 or :4317"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen; an empty `host` or `::` is every interface, port 0 any free port."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        return self.host in ("", "::")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read `host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is not of that form.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or "/" in text or (":" in host and not bracketed):
        raise ValueError(f"not an endpoint; {_FORM}")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ValueError(f"no port between 0 and 65535; {_FORM}")
    return Endpoint(host[1:-1] if bracketed else host, int(port))


def _checked(value: Any) -> Any:
    if isinstance(value, str):
        parse_endpoint(value)
    return value


EndpointText = Annotated[str, BeforeValidator(_checked)]
"""`host:port`, checked when the configuration is read."""


def listening_sockets(endpoint: Endpoint) -> list[socket.socket]:
    """Bind and listen on every address of `endpoint`, all on one port.

    `localhost` is 127.0.0.1 and, where it exists, ::1.

    Raises:
        OSError: an address is taken or unknown; the endpoint is in its text. Nothing stays bound.
    """
    sockets: list[socket.socket] = []
    port = endpoint.port
    for family, host in _resolve(endpoint):
        try:
            sockets.append(_listen(family, host, port))
        except OSError as error:
            if error.errno in _ABSENT_FAMILY and family == socket.AF_INET6:
                continue
            for bound in sockets:
                bound.close()
            raise OSError(error.errno, f"cannot listen on {endpoint}: {error.strerror}") from error
        port = int(sockets[0].getsockname()[1])
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {endpoint}: no such address here")
    return sockets


def free_addresses(endpoint: Endpoint) -> list[Endpoint]:
    """Return the numeric addresses of `endpoint`, having seen that each one can be listened on.

    For servers that bind by themselves and would be content with a part. Raises OSError as `listening_sockets`.
    """
    sockets = listening_sockets(endpoint)
    addresses = [Endpoint(bound.getsockname()[0], int(bound.getsockname()[1])) for bound in sockets]
    for bound in sockets:
        bound.close()
    return addresses


def _resolve(endpoint: Endpoint) -> list[tuple[int, str]]:
    try:
        host = None if endpoint.is_wildcard else endpoint.host
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {endpoint}: {error.strerror}") from error
    ordered = sorted({(int(family), str(address[0])) for family, _, _, _, address in found})
    if endpoint.host == "localhost" and (int(socket.AF_INET6), "::1") not in ordered:
        ordered.append((int(socket.AF_INET6), "::1"))
    return ordered


def _listen(family: int, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(1024)
        bound.setblocking(False)  # noqa: FBT003 (the socket module's own signature)
    except OSError:
        bound.close()
        raise
    return bound
