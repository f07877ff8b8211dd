"""Who may ask, and for whose data: a bearer token, or any program of this machine while nothing else can connect."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ganglion_collector import log
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from ganglion_query.api.departure import until_gone
from ganglion_query.api.problems import problem
from ganglion_query.reader import EVERYTHING, Cancellation, Reader, Scope

__all__ = ["Caller", "Callers", "Guard", "is_data"]

_logger = logging.getLogger(__name__)

_DATA = ("/api/", "/jaeger/")
_OPEN = frozenset({"/api/v1/openapi.json"})
_MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's digest (`Callers.digest`), and what its bearer may see."""

    digest: bytes
    scope: Scope


@dataclass(frozen=True, slots=True)
class Callers:
    """Everybody who may ask; `known` gives them as of now, None where no token is needed."""

    known: Callable[[], Sequence[Caller]] | None

    @property
    def needed(self) -> bool:
        """Whether a token is."""
        return self.known is not None

    @staticmethod
    def digest(token: str) -> bytes:
        return hashlib.sha256(token.encode()).digest()

    def scope_of(self, authorization: str | None) -> Scope | None:
        """Return what the bearer of the header's token may see, None for a stranger."""
        if self.known is None:
            return EVERYTHING
        scheme, _, token = (authorization or "").partition(" ")
        digest = self.digest(token.strip())
        # All are compared, so that the time tells nothing.
        found = [caller.scope for caller in self.known() if hmac.compare_digest(caller.digest, digest)]
        return found[0] if found and scheme.lower() == "bearer" else None


def is_data(path: str) -> bool:
    """Tell whether what is served there comes from the database."""
    return path.startswith(_DATA)


class Guard:
    """Lets in who may ask, a bounded number at once, and gives each request the reader of what it may see.

    Once a client has gone, nothing is asked for it any more.
    """

    def __init__(self, app: ASGIApp, reader: Reader, callers: Callers) -> None:
        self._app = app
        self._reader = reader
        self._callers = callers
        self._inside = 0

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cancellation = Cancellation()
        refused = self._refusal(scope, cancellation)
        if refused is not None:
            await refused(scope, receive, send)
            return
        self._inside += 1
        try:
            async with until_gone(receive, cancellation) as heard:
                await self._app(scope, heard, send)
        except Exception as error:  # noqa: BLE001 (the application has answered, and the server goes on)
            _logger.error("a request failed unexpectedly", extra={"path": scope["path"], "stack": log.stack(error)})
        finally:
            self._inside -= 1

    def _refusal(self, scope: Connection, cancellation: Cancellation) -> ASGIApp | None:
        """Return what is answered in place of the application; else note the reader of the request."""
        headers, path = Headers(scope=scope), scope["path"]
        if not self._callers.needed and not _is_loopback(headers.get("host", "")):
            return problem(403, "without a token only this machine may ask, by the name localhost or 127.0.0.1")
        if not is_data(path) or path in _OPEN:
            return None
        if headers.get("sec-fetch-site") == "cross-site":
            return problem(403, "pages of other sites may not ask")
        seen = self._callers.scope_of(headers.get("authorization"))
        if seen is None:
            wanted = (
                "the token is not one that is known here, or is not shown as a bearer token"
                if "authorization" in headers
                else "a token is needed"
            )
            detail = f"{wanted}: Authorization: Bearer <token>"
            return problem(401, detail, headers={"www-authenticate": "Bearer"})
        if self._inside >= _MOST_AT_ONCE:
            return problem(503, "too many questions at once; try again in a moment", headers={"retry-after": "2"})
        state = scope.setdefault("state", {})
        state["reader"] = _within(self._reader, seen).until(cancellation)
        state["is_allowed"] = lambda: self._callers.scope_of(headers.get("authorization")) == seen
        return None


def _within(reader: Reader, scope: Scope) -> Reader:
    # LangSmith shows every tenant's runs to whoever it lets in.
    return reader if scope.tenants is None else replace(reader.within(scope), langsmith=None)


def _is_loopback(host: str) -> bool:
    """Tell whether a Host header names this machine: another name is a page's that had it resolved to here."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    try:
        return name.lower() == "localhost" or ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
