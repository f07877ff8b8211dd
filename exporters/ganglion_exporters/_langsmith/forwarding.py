"""Spans passed on as they are to LangSmith's own OTLP endpoint, which makes runs of them in its own way.

It answers before it has looked at the spans and tells nothing of what becomes of each.
"""

import asyncio
import gzip

import httpx
from ganglion_collector.component import Batch, Signal
from ganglion_collector.errors import PartialSuccess, RetryableError
from ganglion_collector.otlp_status import http_export_error, printable

from ganglion_exporters import _otlp
from ganglion_exporters._http import new_client
from ganglion_exporters._langsmith.configuration import LangSmithConfig

__all__ = ["LangSmithForwarder"]

_WAITS_FOR_THE_USER = {
    401: "LangSmith does not take the key: check api_key (LANGSMITH_API_KEY)",
    403: "LangSmith does not take the key here: check api_key and workspace_id (LANGSMITH_WORKSPACE_ID)",
    404: "there is no OTLP endpoint of LangSmith there: check endpoint",
}
_PASSING = frozenset({408, 425, 500})


class LangSmithForwarder:
    """One POST for each batch of spans; `mode: otlp`."""

    def __init__(self, config: LangSmithConfig) -> None:
        self._config = config
        self._url = f"{config.endpoint.rstrip('/')}/otel/v1/traces"
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        self._client = new_client(_headers(self._config), self._config.tls, self._config.proxy_url)

    async def export(self, batch: Batch) -> PartialSuccess | None:
        if self._client is None:
            raise RetryableError("the exporter is not started or already shut down")
        if not batch.records:
            return None
        if batch.signal is not Signal.TRACES:
            return PartialSuccess(batch.item_count, "LangSmith's OTLP endpoint takes traces only; use mode: runs")
        body = await asyncio.to_thread(gzip.compress, _otlp.request_bytes(batch), 6, mtime=0)
        try:
            async with asyncio.timeout(self._config.timeout or None):
                response = await self._client.post(self._url, content=body)
        except TimeoutError:
            raise RetryableError(f"no answer within {self._config.timeout:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            told = [type(error).__name__, str(error)]  # some of httpx's errors have no text
            raise RetryableError(printable(": ".join(filter(None, told)))) from None
        if response.is_success:
            return _otlp.partial_success(batch.signal, response.content, __name__)
        if response.status_code in _WAITS_FOR_THE_USER:
            raise RetryableError(f"HTTP {response.status_code}: {_WAITS_FOR_THE_USER[response.status_code]}")
        if response.status_code in _PASSING:
            raise RetryableError(f"HTTP {response.status_code}")
        raise http_export_error(response.status_code, response.headers, response.content)

    async def shutdown(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _headers(config: LangSmithConfig) -> dict[str, str]:
    headers = {
        "user-agent": _otlp.USER_AGENT,
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "x-api-key": config.api_key.get_secret_value(),
        "langsmith-project": config.project,
    }
    return headers | ({"x-tenant-id": config.workspace_id} if config.workspace_id else {})
