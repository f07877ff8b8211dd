"""Where LangSmith shows a trace.

trace ──▶ run id: given by the service, else as the exporter makes it ──┐
project's name ──▶ its id: from the home folder, else GET /sessions ────┴──▶ {host}/o/{tenant}/projects/p/{id}/r/{run}
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from ganglion_collector.errors import CollectorError
from ganglion_collector.home import Home
from ganglion_collector.langsmith_ids import trace_uuid

from ganglion_query.model import SpanRow, Trace

__all__ = ["LangSmith", "LinkError"]

_ENDPOINT = "https://api.smith.langchain.com"
_REGIONS = frozenset({"eu", "apac", "aws", "dev", "beta"})
_PATIENCE = 2.0
_MOST_READ = 1024 * 1024
_FRESH = 24 * 3600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LinkError(CollectorError):
    """There is no link; the one-line message says why, and holds no key."""


@dataclass(frozen=True, slots=True)
class _Project:
    project_id: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class LangSmith:
    """One workspace of one LangSmith, as a key opens it; `cache` is a file, in a folder that may not exist."""

    endpoint: str
    api_key: str = field(repr=False)
    workspace_id: str
    project: str
    cache: Path
    patience: float = _PATIENCE

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "LangSmith | None":
        """Return what the LANGSMITH_ variables say, None without LANGSMITH_API_KEY."""
        key = environ.get("LANGSMITH_API_KEY", "").strip()
        if not key:
            return None
        return cls(
            endpoint=(environ.get("LANGSMITH_ENDPOINT", "").strip() or _ENDPOINT).rstrip("/"),
            api_key=key,
            workspace_id=environ.get("LANGSMITH_WORKSPACE_ID", "").strip(),
            project=environ.get("LANGSMITH_PROJECT", "").strip() or "default",
            cache=Home.of(environ).path / "langsmith-projects.json",
        )

    def url(self, trace: Trace) -> str | None:
        """Return where LangSmith shows `trace`, None for one without spans; takes no longer than `patience` seconds.

        Raises:
            LinkError: LangSmith does not know the project, does not take the key or does not answer.
        """
        if not trace.spans:
            return None
        shown = next((span for span in trace.spans if _given_trace(span) is not None), trace.spans[0])
        given = _text(shown.attributes, "langsmith.trace.session_id")
        project_id = _uuid(given)
        if project_id is not None and self.workspace_id:
            place = _Project(str(project_id), self.workspace_id)
        else:
            place = self._place(_project_of(shown) or self.project)
        run = _given_trace(shown) or trace_uuid(bytes.fromhex(trace.trace_id), _nanoseconds(shown.start_time))
        return (
            f"{_host(self.endpoint)}/o/{place.tenant_id}/projects/p/{project_id or place.project_id}/r/{run}?poll=true"
        )

    def _place(self, project: str) -> _Project:
        key = self._cache_key(project)
        kept = self._kept()
        known = _place_of(kept.get(key))
        if known is not None and 0 <= time.time() - _time_of(kept[key]) < _FRESH:
            return known
        try:
            found = self._asked(project)
        except LinkError:
            if known is None:
                raise
            return known  # an id lasts as long as its project
        self._keep(kept, key, found)
        return found

    def _cache_key(self, project: str) -> str:
        parts = "\0".join((self.endpoint, self.workspace_id, self.api_key, project))
        return hashlib.blake2b(parts.encode(errors="replace"), digest_size=16).hexdigest()

    def _kept(self) -> dict[str, Any]:
        try:
            found = json.loads(self.cache.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return dict(_mapping(found))

    def _keep(self, kept: Mapping[str, Any], key: str, found: _Project) -> None:
        """Write the cache anew in one step; what cannot be kept is asked again."""
        entry = {"project_id": found.project_id, "tenant_id": found.tenant_id, "time": time.time()}
        fresh = {name: one for name, one in kept.items() if 0 <= time.time() - _time_of(one) < _FRESH}
        with suppress(OSError):
            # Only its owner may read what mkstemp makes.
            descriptor, temporary = tempfile.mkstemp(dir=self.cache.parent, prefix=self.cache.name)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({**fresh, key: entry}, file)
            Path(temporary).replace(self.cache)

    def _asked(self, project: str) -> _Project:
        """Ask in a thread of its own: no timeout of a library bounds the search for a name, or an answer that drips."""
        answers: SimpleQueue[_Project | LinkError] = SimpleQueue()
        Thread(target=lambda: answers.put(self._answer(project)), daemon=True).start()
        try:
            answer = answers.get(timeout=self.patience)
        except Empty:
            raise LinkError(f"LangSmith gave no answer within {self.patience:g} s") from None
        if isinstance(answer, LinkError):
            raise answer
        return answer

    def _answer(self, project: str) -> _Project | LinkError:
        try:
            import httpx  # noqa: PLC0415 (its import takes longer than most links)
        except ModuleNotFoundError:
            return LinkError("links need the Python package httpx; pip install 'ganglion[langsmith]'")
        headers = {"x-api-key": self.api_key, "accept-encoding": "identity"}
        if self.workspace_id:
            headers["x-tenant-id"] = self.workspace_id
        try:
            query = {"name": project, "limit": "1"}
            with httpx.stream(
                "GET", f"{self.endpoint}/sessions", params=query, headers=headers, timeout=self.patience
            ) as response:
                body = b""
                for part in response.iter_raw():
                    body += part
                    if len(body) > _MOST_READ:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return LinkError(f"LangSmith cannot be reached ({type(error).__name__}); see LANGSMITH_ENDPOINT")
        return self._read(response.status_code, body, project)

    def _read(self, status: int, body: bytes, project: str) -> _Project | LinkError:
        if status in {401, 403}:
            return LinkError(f"LangSmith does not take LANGSMITH_API_KEY here (HTTP {status})")
        try:
            document: Any = json.loads(body) if 200 <= status < 300 else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, list):
            return LinkError(f"LangSmith did not tell its projects (HTTP {status}); see LANGSMITH_ENDPOINT")
        if not document:
            return LinkError(f"LangSmith has no project {project!r} yet")
        first = _mapping(cast("Any", document[0]))
        told = {"project_id": first.get("id"), "tenant_id": self.workspace_id or first.get("tenant_id")}
        return _place_of(told) or LinkError(f"LangSmith told no ids of project {project!r}")


def _given_trace(span: SpanRow) -> UUID | None:
    """Return the trace's id in LangSmith where the service gave all ids of its run, as the exporter takes them."""
    trace = _uuid(_text(span.attributes, "langsmith.trace.id"))
    run = _uuid(_text(span.attributes, "langsmith.span.id"))
    order = _text(span.attributes, "langsmith.span.dotted_order")
    if trace is None or run is None:
        return None
    return trace if order.partition(".")[0].endswith(str(trace)) and order.endswith(str(run)) else None


def _project_of(span: SpanRow) -> str:
    names = (_text(span.resource, name) for name in ("langsmith.project", "langsmith.trace.session_name"))
    return _text(span.attributes, "langsmith.trace.session_name") or next(filter(None, names), "")


def _host(endpoint: str) -> str:
    """Return the host of the pages: a self-hosted one has its API below itself, the others are LangSmith's own."""
    for suffix in ("/api/v1", "/api"):
        if urlsplit(endpoint).path.endswith(suffix):
            return endpoint.removesuffix(suffix)
    name = urlsplit(endpoint).hostname or ""
    if name in {"localhost", "127.0.0.1", "::1"}:
        return "http://localhost"
    region = name.partition(".")[0]
    return f"https://{region}.smith.langchain.com" if region in _REGIONS else "https://smith.langchain.com"


def _place_of(told: Any) -> _Project | None:
    entry = _mapping(told)
    project, tenant = _uuid(_text(entry, "project_id")), _uuid(_text(entry, "tenant_id"))
    return _Project(str(project), str(tenant)) if project and tenant else None


def _time_of(entry: Any) -> float:
    at = _mapping(entry).get("time")
    return float(at) if isinstance(at, int | float) else 0.0


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(attributes: Mapping[str, Any], name: str) -> str:
    found = attributes.get(name)
    return found.strip() if isinstance(found, str) else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
