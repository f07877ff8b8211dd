"""Errors as RFC 9457 problem details, with the parameter that is wrong where one is."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from ganglion_collector.errors import CollectorError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ganglion_query.model import NotFoundError
from ganglion_query.reader import CancelledError, ReaderError

__all__ = [
    "PROBLEM",
    "BusyError",
    "Problem",
    "WrongParameter",
    "WrongParameterError",
    "add_handlers",
    "blaming",
    "problem",
    "response_of",
    "wrong_parameters",
]

_logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
_RETRY_AFTER = "2"


@dataclass(frozen=True, slots=True)
class WrongParameter:
    """One parameter of a request and what is wrong with it."""

    parameter: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457: `title` names the kind of error, `detail` says in a line what happened here and what to do."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    errors: Sequence[WrongParameter] = ()


class WrongParameterError(CollectorError):
    """A request asks with a value that cannot be."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter


@contextmanager
def blaming(parameter: str) -> Generator[None]:
    """Turn a ValueError of the block into one that names `parameter`."""
    try:
        yield
    except ValueError as error:
        raise WrongParameterError(parameter, str(error)) from None


class BusyError(CollectorError):
    """There is no room for another request of this kind now."""


_adapter: TypeAdapter[Problem] = TypeAdapter(Problem)


def problem(
    status: int, detail: str, errors: Sequence[WrongParameter] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response that tells an error."""
    told = Problem(HTTPStatus(status).phrase, status, detail, errors=errors)
    return Response(_adapter.dump_json(told), status, {"cache-control": "no-store", **(headers or {})}, PROBLEM)


def add_handlers(app: FastAPI) -> None:
    """Make `app` tell every error as a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(CollectorError, _known)
    app.add_exception_handler(Exception, _unknown)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return wrong_parameters([WrongParameter(_name(one["loc"]), _reason(one)) for one in error.errors()])


def _name(location: Sequence[Any]) -> str:
    return next((str(part) for part in location[1:]), str(location[0]))


def _reason(error: Mapping[str, Any]) -> str:
    told = error.get("ctx", {}).get("error")
    return str(told) if isinstance(told, ValueError) else str(error["msg"])


def wrong_parameters(wrong: Sequence[WrongParameter]) -> Response:
    """Return the response that names what is wrong in a request."""
    return problem(422, "; ".join(f"{one.parameter}: {one.detail}" for one in wrong), wrong)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _known(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CollectorError)
    return response_of(error)


def response_of(error: CollectorError) -> Response:
    """Return the response that tells an error, and when to try again where that may help."""
    if isinstance(error, WrongParameterError):
        return wrong_parameters([WrongParameter(error.parameter, str(error))])
    told = problem_of(error)
    if told.status == 500:
        _logger.error("a request failed", extra={"reason": told.detail})
    headers = {"retry-after": _RETRY_AFTER} if told.status == 503 else None
    return problem(told.status, told.detail, headers=headers)


def problem_of(error: CollectorError) -> Problem:
    """Return what is told of an error."""
    match error:
        case NotFoundError():
            status = 404
        case BusyError() | CancelledError() | ReaderError(busy=True):
            status = 503
        case ReaderError(too_long=True):
            status = 504
        case ReaderError():
            status = 502
        case _:
            status = 500
    return Problem(HTTPStatus(status).phrase, status, str(error))


async def _unknown(_request: Request, _error: Exception) -> Response:
    return problem(500, "this is an error of Ganglion's own; its log says more")
