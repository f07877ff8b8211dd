"""What a caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi import Request
from ganglion import __version__

from ganglion_query.api.parameters import Asking
from ganglion_query.api.routing import answers, new_router

__all__ = ["Session", "router"]

router = new_router()


@dataclass(frozen=True, slots=True)
class Session:
    """`tenants` are those whose data the caller may see, None for all."""

    tenants: Sequence[str] | None
    authentication: Literal["none", "bearer"]
    version: str


@answers(router, "/session")
def session(reader: Asking, request: Request) -> Session:
    """Tell what this caller may see."""
    return Session(reader.scope.tenants, "bearer" if request.app.state.callers.needed else "none", __version__)
