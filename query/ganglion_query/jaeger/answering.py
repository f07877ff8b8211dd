"""How Jaeger's query service answers: JSON in an envelope, and errors in it too, under the statuses of Jaeger."""

from collections.abc import Callable, Coroutine
from typing import Any, TypedDict

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from ganglion_query.jaeger.parsing import ParameterError
from ganglion_query.model import NotFoundError
from ganglion_query.reader import ReaderError

__all__ = [
    "Envelope",
    "JaegerRoute",
    "NotSupportedError",
    "StructuredError",
    "as_json",
    "envelope",
    "failure",
    "status_of",
]


class StructuredError(TypedDict, total=False):
    """What went wrong, of one trace or of the whole request."""

    code: int
    msg: str
    traceID: str


class Envelope(TypedDict):
    """What every answer is put into."""

    data: Any
    total: int
    limit: int
    offset: int
    errors: list[StructuredError] | None


class NotSupportedError(Exception):
    """Jaeger can do this with other parts of it; we cannot."""


_KNOWN = (ParameterError, NotFoundError, NotSupportedError, ReaderError)


def as_json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def envelope(data: Any, total: int = 0, errors: list[StructuredError] | None = None) -> Response:
    return as_json(Envelope(data=data, total=total, limit=0, offset=0, errors=errors))


def failure(error: Exception) -> Response:
    """Return the answer that tells an error."""
    status = status_of(error)
    told = StructuredError(code=status, msg=str(error))
    return as_json(Envelope(data=None, total=0, limit=0, offset=0, errors=[told]), status)


def status_of(error: Exception) -> int:
    match error:
        case ParameterError():
            return 400
        case NotFoundError():
            return 404
        case NotSupportedError():
            return 501
        case ReaderError(busy=True):
            return 503
        case ReaderError(too_long=True):
            return 504
        case _:
            return 500


class JaegerRoute(APIRoute):
    """Tells the errors we know as Jaeger does; parameters that nobody knows are not looked at, as there."""

    tell: Callable[[Exception], Response] = staticmethod(failure)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def telling(request: Request) -> Response:
            try:
                return await handle(request)
            except _KNOWN as error:
                return self.tell(error)

        return telling
