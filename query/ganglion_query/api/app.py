"""The application: routes, who may use them, errors, the page."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI
from ganglion_collector.home import Home
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from ganglion_query.api.access import Callers, Guard
from ganglion_query.api.description import ERRORS, describe
from ganglion_query.api.headers import SafeHeaders
from ganglion_query.api.page import BUILT, Page
from ganglion_query.api.problems import add_handlers
from ganglion_query.api.routes import analysis, logs, requests, session
from ganglion_query.api.stream import TailRoom
from ganglion_query.jaeger.router import router as jaeger
from ganglion_query.reader import Reader

__all__ = ["AppSettings", "make_api", "make_app"]


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What is served.

    `home` is the folder of the collector whose health is told, None for none; `page` where the built page is.
    """

    reader: Reader
    callers: Callers
    home: Home | None = None
    page: Path = BUILT


def make_api() -> FastAPI:
    """Return the API with its description, without a database."""
    api = FastAPI(openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False)
    api.openapi = partial(describe, api)  # type: ignore[method-assign]
    versioned = APIRouter(prefix="/api/v1", responses=ERRORS)
    for group in (session, requests, logs, analysis):
        versioned.include_router(group.router)
    api.include_router(versioned)
    api.include_router(jaeger)
    add_handlers(api)
    return api


def make_app(settings: AppSettings, tails: TailRoom) -> ASGIApp:
    """Return the whole application; whoever ends it sets `tails.closing` first."""
    api = make_api()
    api.state.tails = tails
    api.state.callers = settings.callers
    api.state.home = settings.home
    api.mount("/", Page(settings.page))
    guarded = Guard(api, settings.reader, settings.callers)
    return SafeHeaders(GZipMiddleware(guarded, compresslevel=4))
