"""Routes that answer with what a function returns: JSON in one go, and no parameter that nobody knows."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from fastapi import APIRouter, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.responses import Response

from ganglion_query.api.problems import WrongParameter, wrong_parameters

__all__ = ["answers", "new_router"]

F = TypeVar("F", bound=Callable[..., Any])


class _Route(APIRoute):
    """Refuses a parameter it does not know: a misspelled filter would silently answer for everything."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {field.alias for field in get_flat_params(self.dependant)}

        async def checked(request: Request) -> Response:
            unknown = sorted(request.query_params.keys() - known)
            if unknown:
                return wrong_parameters([WrongParameter(name, "is not a parameter of this route") for name in unknown])
            return await handle(request)

        return checked


def new_router() -> APIRouter:
    return APIRouter(route_class=_Route)


def answers(router: APIRouter, path: str) -> Callable[[F], F]:
    """Answer GET `path` with what the function returns, as JSON of the type it says; it runs in a worker thread."""

    def register(function: F) -> F:
        model: Any = get_type_hints(function)["return"]
        adapter: TypeAdapter[Any] = TypeAdapter(model)

        @wraps(function)
        def respond(*args: Any, **kwargs: Any) -> Response:
            return Response(adapter.dump_json(function(*args, **kwargs)), media_type="application/json")

        name = function.__name__
        router.get(path, response_model=model, operation_id=name, name=name)(respond)
        return function

    return register
