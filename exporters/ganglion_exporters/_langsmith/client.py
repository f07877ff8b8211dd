"""LangSmith's ingest API: sends runs, and tells of each what became of it.

    2xx ──▶ delivered      409 ──▶ delivered before, if it is one run; more are split
    400 413 422 ──▶ split until the bad run stands alone ──▶ refused
    429, 5xx, no answer ──▶ trouble, later again      401 403 ──▶ trouble, until somebody changes the key
    404 ──▶ `/runs/batch`, which older servers have; as 400 where it names a project that is not there

A whole request is refused for one bad run, and a request with one known run may or may not store the others.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

import httpx
import orjson
from ganglion_collector.otlp_status import parse_retry_after, printable
from ganglion_collector.tls import TLSClientConfig
from pydantic import SecretStr

from ganglion_exporters._http import new_client
from ganglion_exporters._langsmith import counters, encoding
from ganglion_exporters._langsmith.encoding import Compression, EncodedRun, EncodingSettings
from ganglion_exporters._langsmith.pace import Pace
from ganglion_exporters._otlp import USER_AGENT

__all__ = ["ClientSettings", "LangSmithClient", "Outcome", "Refused", "ServerInfo", "Trouble", "TroubleKind"]

TroubleKind: TypeAlias = Literal["key", "rate", "quota", "server", "unreachable"]

_MOST_READ = 64 * 1024
_INFO_LASTS = 3600.0
_REFUSED = frozenset({400, 413, 422})
_NAMES_CONTENT = re.compile(r"session|project|run_id", re.IGNORECASE)
_HOUR = 3600.0
_KNOWN_PIECES = 10
"""What a request with known runs is split into: mostly all of it is known, after an answer that was lost."""
_NEEDS_WORKSPACE = "org_scoped_key_requires_workspace"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where LangSmith is and what it may be sent.

    `timeout` seconds for one request, 0 for no limit; `runs_per_second` and `requests_per_second` 0 for no limit;
    `compression` None as the server says.
    """

    endpoint: str
    api_key: str
    workspace_id: str = ""
    project: str = "default"
    timeout: float = 30.0
    runs_per_second: float = 0.0
    requests_per_second: float = 0.0
    largest_field: int = encoding.LARGEST_FIELD
    compression: Compression | None = None
    proxy_url: SecretStr | None = None
    tls: TLSClientConfig = field(default_factory=TLSClientConfig)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What `/info` says that matters here; the defaults are LangSmith's own."""

    max_runs: int = 100
    max_bytes: int = 20 * 1024 * 1024
    compression: Compression = "none"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing more was sent; `retry_after` seconds, where the server asked for them or a quota ends then.

    `is_own`: it may be due to what was sent, not to the server as a whole.
    """

    kind: TroubleKind
    reason: str
    retry_after: float | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A run that LangSmith will never take."""

    run: EncodedRun
    reason: str


@dataclass(slots=True)
class Outcome:
    """What became of the runs: those neither delivered nor refused were not taken because of `trouble`."""

    delivered: list[EncodedRun] = field(default_factory=list[EncodedRun])
    refused: list[Refused] = field(default_factory=list[Refused])
    trouble: Trouble | None = None
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Whether it is about what was sent; a 404 is where it names a project that is not there."""
        missing = self.status == 404 and _NAMES_CONTENT.search(_message(self.body)) is not None
        return missing or self.status in _REFUSED

    @property
    def text(self) -> str:
        """Return the server's own words on one line; it repeats ids, never what a run holds."""
        said = _message(self.body)
        return f"HTTP {self.status}: {printable(said)}" if said else f"HTTP {self.status}"


class LangSmithClient:
    """One client for one endpoint and key; requests may run side by side."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._base = settings.endpoint.rstrip("/")
        self._http = new_client(_headers(settings), settings.tls, settings.proxy_url)
        self._encoding = EncodingSettings(secrets.token_hex(16), settings.project, settings.largest_field)
        self._pace = Pace(settings.runs_per_second, settings.requests_per_second)
        self._info: ServerInfo | None = None
        self._info_until = 0.0
        self._batch_until = 0.0

    @property
    def encoding(self) -> EncodingSettings:
        """How runs are to be encoded for this client (`encode_run`)."""
        return self._encoding

    @property
    def limits(self) -> ServerInfo:
        """What the server said last, else LangSmith's own limits."""
        return self._info or ServerInfo()

    async def info(self) -> ServerInfo | Trouble:
        """Ask what the server takes; what it said holds for an hour."""
        if self._info is not None and time.monotonic() < self._info_until:
            return self._info
        answer = await self._request("GET", "/info", None, {})
        if isinstance(answer, Trouble):
            return answer
        if not answer.is_ok and answer.status != 404:
            return _trouble(answer)
        self._info = _server_info(answer.body) if answer.is_ok else ServerInfo()
        if self._settings.compression is not None:
            self._info = replace(self._info, compression=self._settings.compression)
        self._info_until = time.monotonic() + _INFO_LASTS
        return self._info

    async def send(self, runs: Sequence[EncodedRun]) -> Outcome:
        """Send `runs` in their order, in as few requests as the server allows; stop at the first trouble."""
        outcome = Outcome()
        info = await self.info()
        if isinstance(info, Trouble):
            outcome.trouble = info
            return outcome
        waiting = list(encoding.chunks(runs, info.max_runs, info.max_bytes))
        waiting.reverse()
        while waiting and outcome.trouble is None:
            part = waiting.pop()
            waiting.extend(reversed(await self._send_part(part, info, outcome)))
        return outcome

    async def close(self) -> None:
        await self._http.aclose()

    async def _send_part(self, part: list[EncodedRun], info: ServerInfo, outcome: Outcome) -> list[list[EncodedRun]]:
        """Post one request; return what of it has to be tried in smaller parts."""
        await self._pace.wait(len(part))
        answer = await self._post(part, info)
        counters.REQUESTS.labels(str(answer.status) if isinstance(answer, _Answer) else "none").inc()
        if isinstance(answer, Trouble):
            outcome.trouble = answer
        elif answer.is_ok:
            outcome.delivered += part
        elif answer.status == 409 or answer.is_refusal:
            if len(part) > 1:
                return _pieces(part, _KNOWN_PIECES if answer.status == 409 else 2)
            self._settle(part[0], answer, outcome)
        else:
            outcome.trouble = _trouble(answer)
        return []

    def _settle(self, run: EncodedRun, answer: _Answer, outcome: Outcome) -> None:
        if answer.status == 409:
            # "payload already received": an attempt whose answer was lost, or the service sent this run itself.
            outcome.delivered.append(run)
            outcome.repeated += 1
        else:
            outcome.refused.append(Refused(run, answer.text))

    async def _post(self, part: Sequence[EncodedRun], info: ServerInfo) -> _Answer | Trouble:
        if time.monotonic() >= self._batch_until:
            boundary = self._encoding.boundary
            content_type = f"multipart/form-data; boundary={boundary}"
            body = encoding.multipart_body(part, boundary)
            compressed = await asyncio.to_thread(encoding.compress, body, info.compression)
            headers = {"content-type": content_type}
            if info.compression != "none":
                headers |= {"content-encoding": info.compression}
            answer = await self._request("POST", "/runs/multipart", compressed, headers)
            if isinstance(answer, Trouble) or answer.status not in {404, 405} or answer.is_refusal:
                return answer
        answer = await self._request(
            "POST", "/runs/batch", encoding.batch_body(part), {"content-type": "application/json"}
        )
        if not isinstance(answer, Trouble) and answer.is_ok:
            self._batch_until = time.monotonic() + _INFO_LASTS
        return answer

    async def _request(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> _Answer | Trouble:
        try:
            async with asyncio.timeout(self._settings.timeout or None):
                return await self._exchange(method, self._base + path, content, headers)
        except TimeoutError:
            # A request may be too much for the server, while others are not.
            return Trouble("unreachable", f"no answer within {self._settings.timeout:g} s", is_own=method == "POST")
        except (httpx.HTTPError, OSError) as error:
            told = [type(error).__name__, str(error)]  # some of httpx's errors have no text
            return Trouble("unreachable", printable(": ".join(filter(None, told))))

    async def _exchange(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> _Answer:
        name = self._settings.tls.server_name_override
        extensions = {"sni_hostname": name} if name else {}
        async with self._http.stream(method, url, content=content, headers=headers, extensions=extensions) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MOST_READ:
                    break
            return _Answer(response.status_code, response.headers, bytes(body[:_MOST_READ]))


def _pieces(part: list[EncodedRun], number: int) -> list[list[EncodedRun]]:
    size = -(-len(part) // number)
    return [part[start : start + size] for start in range(0, len(part), size)]


def _headers(settings: ClientSettings) -> dict[str, str]:
    headers = {
        "user-agent": USER_AGENT,
        "accept": "application/json",
        "accept-encoding": "identity",
        "x-api-key": settings.api_key,
    }
    return headers | ({"x-tenant-id": settings.workspace_id} if settings.workspace_id else {})


def _trouble(answer: _Answer) -> Trouble:
    match answer.status:
        case 401 | 403:
            return Trouble("key", _key_reason(answer))
        case 429:
            return _limited(answer)
        case 404:
            return Trouble("unreachable", f"{answer.text}; there is no LangSmith API at this endpoint: check it")
        case 500:
            return Trouble("server", answer.text, parse_retry_after(answer.headers.get("retry-after", "")), is_own=True)
        case _:
            return Trouble("server", answer.text, parse_retry_after(answer.headers.get("retry-after", "")))


def _key_reason(answer: _Answer) -> str:
    if _NEEDS_WORKSPACE.encode() in answer.body:
        return f"{answer.text}; the key is an organisation's: set workspace_id (LANGSMITH_WORKSPACE_ID)"
    return f"{answer.text}; LangSmith does not take the key: check api_key (LANGSMITH_API_KEY) and workspace_id"


def _limited(answer: _Answer) -> Trouble:
    asked = parse_retry_after(answer.headers.get("retry-after", ""))
    said = _message(answer.body).lower()
    if "month" in said:
        reason = f"{answer.text}; the month's quota is used up: raise it in LangSmith, it is asked again every hour"
        return Trouble("quota", reason, asked or _HOUR)
    if "hour" in said:
        reason = f"{answer.text}; the hour's quota is used up: going on when the next hour begins"
        return Trouble("quota", reason, asked or _HOUR - time.time() % _HOUR)
    return Trouble("rate", answer.text, asked)


def _server_info(body: bytes) -> ServerInfo:
    told = _mapping(_json(body))
    flags, limits = _mapping(told.get("instance_flags")), _mapping(told.get("batch_ingest_config"))
    usual = ServerInfo()
    return ServerInfo(
        max_runs=_positive(limits.get("size_limit"), usual.max_runs),
        max_bytes=_positive(limits.get("size_limit_bytes"), usual.max_bytes),
        compression="zstd" if flags.get("zstd_compression_enabled") is True else "gzip",
    )


def _positive(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _message(body: bytes) -> str:
    """Return the text of an error in any of the forms that LangSmith and its gateways use."""
    document = _mapping(_json(body))
    for key in ("error", "detail", "message"):
        if isinstance(found := document.get(key), str):
            return found
    text = body[:2000].decode(errors="replace")
    return re.sub(r"<[^>]*>", " ", text)
