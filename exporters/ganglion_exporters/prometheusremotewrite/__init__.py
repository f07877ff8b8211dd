"""Write metrics to a Prometheus that takes them, or to anything else that speaks its remote write protocol.

points ──▶ Translator ──▶ series ──▶ requests ──▶ snappy ──▶ POST

https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0) and …/remote_write_spec_2_0/ (2.0).
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Mapping

import cramjam
import httpx
from ganglion_collector.component import Batch, ExporterFactory, Signal
from ganglion_collector.errors import InvalidRequestError, PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import parse_request
from ganglion_collector.otlp_status import parse_retry_after, printable
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ganglion_exporters import _otlp
from ganglion_exporters._http import new_client
from ganglion_exporters._prometheus.translate import Translator
from ganglion_exporters.prometheusremotewrite import counters
from ganglion_exporters.prometheusremotewrite.configuration import PrometheusRemoteWriteConfig, translation_settings
from ganglion_exporters.prometheusremotewrite.requests import Request, requests
from ganglion_exporters.prometheusremotewrite.series import Collected

__all__ = ["PrometheusRemoteWriteConfig", "PrometheusRemoteWriteExporter", "factory"]

_logger = logging.getLogger(__name__)

_MOST_READ = 64 * 1024
"""Bytes of an answer; the protocol has none, and an error is a line of text."""
_WRITTEN = ("x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written")
_LABELS = re.compile(r"\{.*", re.DOTALL)
_DIVISIBLE = frozenset({400, 413, 422})
# What receivers say when they have stored the rest: Prometheus' and Mimir's words. What was sent before is then sent
# again after a crash, which must not end in the dead letters. Thanos has a status of its own for it, 409.
_NOTHING_NEW = ("out of order", "out-of-order", "duplicate sample", "duplicate-timestamp", "out of bounds", "too old")
_OTHER_MESSAGE = {
    True: "set protobuf_message: prometheus.WriteRequest (protocol 1.0)",
    False: "set protobuf_message: io.prometheus.write.v2.Request (protocol 2.0)",
}


class PrometheusRemoteWriteExporter:
    """One request after the other, so that samples of a series arrive in their order."""

    def __init__(self, config: PrometheusRemoteWriteConfig) -> None:
        self._config = config
        self._translator = Translator(translation_settings(config))
        self._client: httpx.AsyncClient | None = None
        self._has_advised = False

    async def start(self) -> None:
        self._client = new_client(_headers(self._config), self._config.tls, self._config.proxy_url)

    async def export(self, batch: Batch) -> PartialSuccess | None:
        client = self._client
        if client is None:
            raise RetryableError("the exporter is not started or already shut down")
        config, complaints = self._config, list[PartialSuccess]()
        # Threads, since the loop has to answer meanwhile whether the worker is alive.
        collected, dropped = await asyncio.to_thread(self._collect, batch)
        made = requests(
            collected.series,
            version_2=config.is_version_2,
            metadata=config.send_metadata,
            most_bytes=config.max_batch_size_bytes,
        )
        while (request := await asyncio.to_thread(next, made, None)) is not None:
            complaint = await self._send(client, request)
            if complaint is not None:
                complaints.append(complaint)
        # Only now: a batch that is sent again is not counted twice.
        self._count(dropped)
        return _summed(complaints, batch.item_count)

    async def shutdown(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _collect(self, batch: Batch) -> tuple[Collected, Counter[str]]:
        created = self._config.export_created_metric.enabled
        collected, dropped = Collected(self._translator.target_info, created=created), Counter[str]()
        for record in batch.records:
            try:
                request = parse_request(Signal.METRICS, record.payload)
            except InvalidRequestError as error:
                raise PermanentError(str(error)) from None
            assert isinstance(request, ExportMetricsServiceRequest)
            translated = self._translator.points(request)
            collected.take(translated.points, record.received_at)
            dropped += translated.dropped
        return collected, dropped + collected.dropped

    def _count(self, dropped: Mapping[str, int]) -> None:
        for reason, points in dropped.items():
            counters.DROPPED.labels(reason).inc(points)
        if dropped.get("delta") and not self._has_advised:
            self._has_advised = True
            _logger.warning(
                "delta points are left out: Prometheus has cumulative ones only; "
                "put the deltatocumulative processor into the pipeline before this exporter"
            )

    async def _send(self, client: httpx.AsyncClient, request: Request) -> PartialSuccess | None:
        body = bytes(cramjam.snappy.compress_raw(request.body))
        try:
            async with asyncio.timeout(self._config.timeout or None):
                status, headers, text = await self._post(client, body)
        except TimeoutError:
            raise RetryableError(f"no answer within {self._config.timeout:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            told = [type(error).__name__, str(error)]  # some of httpx's errors have no text
            raise RetryableError(printable(": ".join(filter(None, told)))) from None
        if 200 <= status < 300:
            return self._accepted(request, headers)
        return self._refused(status, headers, text)

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> tuple[int, httpx.Headers, str]:
        name = self._config.tls.server_name_override
        extensions = {"sni_hostname": name} if name else {}
        async with client.stream("POST", self._config.endpoint, content=body, extensions=extensions) as response:
            text = bytearray()
            async for chunk in response.aiter_raw():
                text += chunk
                if len(text) > _MOST_READ:
                    break
            return response.status_code, response.headers, text.decode("utf-8", "replace")

    def _accepted(self, request: Request, headers: Mapping[str, str]) -> PartialSuccess | None:
        """Believe a receiver of protocol 2.0 what it says it has written; one of 1.0 says nothing."""
        written = request.samples
        if self._config.is_version_2 and request.samples:
            if not any(name in headers for name in _WRITTEN):
                # A receiver of 1.0 reads the message of 2.0 as an empty one, and is content.
                raise PermanentError(
                    f"the destination does not say that it has written anything; {_OTHER_MESSAGE[True]}",
                    divisible=False,
                )
            written = min(sum(_count_of(headers.get(name, "")) for name in _WRITTEN), request.samples)
        counters.SAMPLES.inc(written)
        missing = request.samples - written
        return PartialSuccess(missing, f"{missing} of {request.samples} samples were not written") if missing else None

    def _refused(self, status: int, headers: Mapping[str, str], text: str) -> PartialSuccess:
        """Return what it means that only a part was taken, or raise what anything else means.

        1.0, "Retries & Backoff": 5xx is tried again, 4xx is not, but for 429.
        """
        # Some receivers show the labels of a refused series, in braces; these are a payload.
        reason = printable(_LABELS.sub("{…}", text))
        told = f"HTTP {status}: {reason}" if reason else f"HTTP {status}"
        if status == 429 or status >= 500:
            raise RetryableError(told, parse_retry_after(headers.get("retry-after", "")))
        if status == 415:
            advice = _OTHER_MESSAGE[self._config.is_version_2]
            raise PermanentError(f"{told}; the destination does not take this message: {advice}", divisible=False)
        if status == 409 or (status == 400 and any(words in text.lower() for words in _NOTHING_NEW)):
            counters.REJECTED_REQUESTS.inc()
            return PartialSuccess(0, told)
        raise PermanentError(told, divisible=status in _DIVISIBLE)


def _headers(config: PrometheusRemoteWriteConfig) -> dict[str, str]:
    proto = f";proto={config.protobuf_message}" if config.is_version_2 else ""
    own = {
        "accept-encoding": "identity",
        "content-encoding": "snappy",
        "content-type": f"application/x-protobuf{proto}",
        "user-agent": _otlp.USER_AGENT,
        "x-prometheus-remote-write-version": "2.0.0" if config.is_version_2 else "0.1.0",
    }
    return own | {name.lower(): value.get_secret_value() for name, value in config.headers.items()}


def _count_of(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _summed(complaints: list[PartialSuccess], items: int) -> PartialSuccess | None:
    """Join what was said of the requests of one batch; samples are more than data points, so the sum has a bound."""
    if not complaints:
        return None
    messages = dict.fromkeys(complaint.message for complaint in complaints)
    return PartialSuccess(min(items, sum(one.rejected for one in complaints)), printable("; ".join(messages)))


factory = ExporterFactory(
    component_type="prometheusremotewrite",
    config=PrometheusRemoteWriteConfig,
    create=PrometheusRemoteWriteExporter,
    signals=frozenset({Signal.METRICS}),
)
