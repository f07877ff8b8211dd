"""Who may ask, and for whose data: a bearer token, or any program of this machine while nothing else can connect."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ganglion_collector import log
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from ganglion_query.api.departure import until_gone
from ganglion_query.api.problems import BusyError, problem, response_of
from ganglion_query.api.turns import Room, Turns
from ganglion_query.reader import EVERYTHING, Cancellation, Reader, Scope

__all__ = ["Caller", "Callers", "Guard", "is_data"]

_logger = logging.getLogger(__name__)

_DATA = ("/api/", "/jaeger/")
_OPEN = frozenset({"/api/v1/openapi.json"})
_MOST_AT_ONCE = 100
_CONNECTIONS = 8
"""How many questions PostgreSQL is asked at once where each has a connection of its own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's digest (`Callers.digest`; None where none is needed), and what its bearer may see."""

    digest: bytes | None
    scope: Scope


_ANYBODY = Caller(None, EVERYTHING)


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

    def caller_of(self, authorization: str | None) -> Caller | None:
        """Return whose token the header shows, None for a stranger's."""
        if self.known is None:
            return _ANYBODY
        scheme, _, token = (authorization or "").partition(" ")
        digest = self.digest(token.strip())
        # All are compared, so that the time tells nothing.
        found = [caller for caller in self.known() if hmac.compare_digest(caller.digest or b"", digest)]
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
        self._room = Room(_MOST_AT_ONCE, "too many questions at once")
        self._turns = Turns(_CONNECTIONS if reader.pool is None else reader.pool.max_size)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = self._admitted(scope)
        except _RefusedError as refused:
            await refused.answer(scope, receive, send)
            return
        try:
            if caller is None:
                await self._app(scope, receive, send)
            else:
                await self._ask(caller, scope, receive, send)
        except Exception as error:  # noqa: BLE001 (the application has answered, and the server goes on)
            _logger.error("a request failed unexpectedly", extra={"path": scope["path"], "stack": log.stack(error)})

    async def _ask(self, caller: Caller, scope: Connection, receive: Receive, send: Send) -> None:
        authorization, cancellation = Headers(scope=scope).get("authorization"), Cancellation()
        state = scope.setdefault("state", {})
        state["caller"] = caller
        state["reader"] = _within(self._reader, caller.scope).until(cancellation)
        state["is_allowed"] = lambda: self._callers.caller_of(authorization) == caller
        try:
            with self._room.entered(caller.digest):
                async with until_gone(receive, cancellation) as heard, self._turns.taken(caller.digest, send) as told:
                    await self._app(scope, heard, told)
        except BusyError as error:
            await response_of(error)(scope, receive, send)

    def _admitted(self, scope: Connection) -> Caller | None:
        """Return who asks for data, None for what anybody may have.

        Raises:
            _RefusedError: whoever it is may not.
        """
        headers, path = Headers(scope=scope), scope["path"]
        if not self._callers.needed and not _is_loopback(headers.get("host", "")):
            raise _RefusedError(403, "without a token only this machine may ask, by the name localhost or 127.0.0.1")
        if not is_data(path) or path in _OPEN:
            return None
        if headers.get("sec-fetch-site") == "cross-site":
            raise _RefusedError(403, "pages of other sites may not ask")
        caller = self._callers.caller_of(headers.get("authorization"))
        if caller is None:
            wanted = (
                "the token is not one that is known here, or is not shown as a bearer token"
                if "authorization" in headers
                else "a token is needed"
            )
            raise _RefusedError(401, f"{wanted}: Authorization: Bearer <token>", {"www-authenticate": "Bearer"})
        return caller


class _RefusedError(Exception):
    """Carries what is answered in place of the application."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.answer = problem(status, detail, headers=headers)


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
