"""What people see: a page to ask on, and below an answer what happened to their own request.

browser ──/my/trace/ID──▶ this service, which knows who asks ──token──▶ Ganglion's API on GANGLION_QUERY_ENDPOINT
"""

import hashlib
import importlib.util
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import ganglion
import httpx
from fastapi import APIRouter, Cookie, Depends, Header, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

from .service import Caller

__all__ = ["Asker", "router"]

_FOLDER = Path(__file__).parent / "page"
_TIMELINE = "ganglion-trace-timeline.js"
_FILES = {"page.css": "text/css", "page.js": "text/javascript", _TIMELINE: "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_NOBODY = "anonymous"
_PATIENCE = 5.0

router = APIRouter()


async def caller(
    x_user_id: Annotated[str | None, Header(max_length=200)] = None,
    x_tenant_id: Annotated[str, Header(max_length=200)] = "public",
    x_session_id: Annotated[str, Header(max_length=200)] = "default",
    visitor: Annotated[str | None, Cookie(max_length=200)] = None,
) -> Caller:
    """Say once who asks: from here on every log and span of the request says it too.

    Who comes by the page is known by a cookie; its value opens their requests, so that what is told is its hash.
    """
    by_page = f"visitor-{hashlib.sha256(visitor.encode()).hexdigest()[:12]}" if visitor else _NOBODY
    user = x_user_id or by_page
    ganglion.bind(user_id=user, tenant_id=x_tenant_id, session_id=x_session_id)
    return Caller(x_tenant_id, user, x_session_id)


Asker = Annotated[Caller, Depends(caller)]


@router.get("/")
async def page(visitor: Annotated[str | None, Cookie(max_length=200)] = None) -> Response:
    """Show the page, and know who opened it again when they ask."""
    response = FileResponse(_FOLDER / "page.html", headers=_HEADERS)
    if not visitor:
        response.set_cookie("visitor", secrets.token_urlsafe(24), httponly=True, samesite="strict")
    return response


@router.get("/page/{name}")
async def file_of_page(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    path = _timeline() if name == _TIMELINE else _FOLDER / name
    if not path.is_file():
        raise HTTPException(503, "Ganglion's page is not built here; in a checkout: make page")
    return FileResponse(path, media_type=_FILES[name], headers=_HEADERS)


def _timeline() -> Path:
    """Return where Ganglion's package has its custom element."""
    found = importlib.util.find_spec("ganglion_query")
    folder = Path(found.origin).parent if found and found.origin else Path()
    return folder / "_page" / "embed" / "trace-timeline-element.js"


@router.get("/my/trace/{trace_id}")
async def own_trace(trace_id: Annotated[str, InPath(pattern="^[0-9a-f]{32}$")], asker: Asker) -> dict[str, Any]:
    """Return a trace to the one whose request it was; for anybody else there is none."""
    found = await _asked(trace_id)
    if asker.user == _NOBODY or not _is_of(found, asker) or not _is_whole(found):
        raise HTTPException(404, "there is no such request of yours, or not all of it is stored yet")
    return _without_internals(found)


async def _asked(trace_id: str) -> Mapping[str, Any]:
    endpoint = os.environ.get("GANGLION_QUERY_ENDPOINT", "localhost:8484").rstrip("/")
    token = os.environ.get("GANGLION_QUERY_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            base = endpoint if "://" in endpoint else f"http://{endpoint}"
            answer = await client.get(f"{base}/api/v1/traces/{trace_id}", headers=headers)
    except httpx.HTTPError as error:
        raise HTTPException(502, f"Ganglion's API cannot be reached: {type(error).__name__}") from error
    if answer.status_code == 404:
        return {}
    if answer.is_error:
        raise HTTPException(502, f"Ganglion's API answered with status {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found


def _is_of(trace: Mapping[str, Any], asker: Caller) -> bool:
    """Tell whether a trace names this user, and nobody else: anybody may send a request with another's trace id."""
    named = {trace.get("user_id"), *(log["user_id"] for log in trace.get("logs", ()))} - {None}
    return named == {asker.user} and trace.get("tenant_id") == asker.tenant


def _is_whole(trace: Mapping[str, Any]) -> bool:
    """Tell whether the span of the request itself is there: it ends, and is sent, after those within it."""
    return any(span["parent_span_id"] is None for span in trace["spans"])


def _without_internals(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is for those who run the service: stacks, attributes, hosts, links."""
    logs = [log | {"stack_trace": None, "context": {}, "host": None} for log in trace["logs"]]
    spans = [span | {"events": []} for span in trace["spans"]]
    return {**trace, "logs": logs, "spans": spans, "langsmith_url": None, "langsmith_note": None}
