"""Show metrics on a page that Prometheus reads.

points ──▶ Translator ──▶ Store ──▶ Page ──▶ /metrics
                            └─▶ state, saved with the position
"""

import asyncio
import hashlib
import time
from collections import Counter

from ganglion_collector.component import Batch, ExporterFactory, Record, Signal
from ganglion_collector.errors import InvalidRequestError, PermanentError, RetryableError
from ganglion_collector.otlp import parse_request
from ganglion_collector.small_server import SmallServer
from ganglion_collector.tls import server_context
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ganglion_exporters._prometheus.translate import Translated, Translator
from ganglion_exporters.prometheus import counters, saved
from ganglion_exporters.prometheus.configuration import PrometheusConfig, translation_settings
from ganglion_exporters.prometheus.page import INDEX, PATH, Page
from ganglion_exporters.prometheus.store import Limits, Store

__all__ = ["PrometheusConfig", "PrometheusExporter", "factory"]

_LONGEST_WAIT = 15.0
_SHORTEST_WAIT = 0.05
_IDLE = 1.0
"""Seconds without a batch after which a restored exporter has read again all that came after its state."""
_LONGEST_CATCH_UP = 30.0


class PrometheusExporter:
    """Keeps every series' last value; a destination that is always there, since it is this process."""

    def __init__(self, config: PrometheusConfig) -> None:
        settings = translation_settings(config)
        self._config = config
        self._settings = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._translator = Translator(settings)
        limits = Limits(config.max_series, config.metric_expiration, config.longest_without_point)
        self._store = Store(limits, self._translator.target_info.name)
        self._page = Page(self._store, open_metrics=config.enable_open_metrics, timestamps=config.send_timestamps)
        self._server = SmallServer(
            config.endpoint,
            PATH,
            self._page.answer,
            "`endpoint` of the prometheus exporter",
            index=INDEX,
            tls=server_context(config.tls) if config.tls else None,
        )
        self._address = ""
        self._started = 0
        self._busy_at = 0.0
        self._expiring: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return self._address

    async def start(self) -> None:
        self._address = await self._server.start()
        self._started = time.time_ns()
        self._busy_at = time.monotonic()
        self._expiring = asyncio.create_task(self._expire())
        self._catching_up = asyncio.create_task(self._catch_up())

    async def export(self, batch: Batch) -> None:
        if self._expiring is None:
            raise RetryableError("the exporter is not started or already shut down")
        # All is read before the first point counts: a batch is taken whole or not at all.
        translated = [await self._translated(record) for record in batch.records]
        overflowed = self._store.overflowed
        for record, (points, dropped) in zip(batch.records, translated, strict=True):
            _count_dropped(dropped)
            _count_dropped(self._store.take(points, record.received_at))
        counters.OVERFLOWED.inc(self._store.overflowed - overflowed)
        counters.SERIES.set(len(self._store))
        self._busy_at = time.monotonic()
        if any(record.received_at >= self._started for record in batch.records):
            self._page.current.set()

    async def shutdown(self) -> None:
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None
        if self._catching_up is not None:
            self._catching_up.cancel()
            self._catching_up = None
        await self._server.shutdown()

    def state(self) -> bytes:
        return saved.save(self._store, self._settings)

    def restore(self, state: bytes) -> None:
        saved.load(state, self._settings, self._store)
        self._page.current.clear()
        counters.SERIES.set(len(self._store))

    async def _translated(self, record: Record) -> Translated:
        try:
            request = parse_request(Signal.METRICS, record.payload)
        except InvalidRequestError as error:
            raise PermanentError(str(error)) from None
        assert isinstance(request, ExportMetricsServiceRequest)
        await asyncio.sleep(0)  # the next scrape need not wait for the whole batch
        return self._translator.points(request)

    async def _catch_up(self) -> None:
        """Let scrapes wait until the store stands where it stood when the process before this one ended."""
        latest = time.monotonic() + _LONGEST_CATCH_UP
        while (now := time.monotonic()) < min(latest, self._busy_at + _IDLE):  # noqa: ASYNC110 (a time moves on)
            await asyncio.sleep(min(latest, self._busy_at + _IDLE) - now)
        self._page.current.set()

    async def _expire(self) -> None:
        limits = (self._config.metric_expiration, self._config.longest_without_point)
        wait = min((limit / 10 for limit in limits if limit), default=_LONGEST_WAIT)
        while True:
            await asyncio.sleep(min(max(wait, _SHORTEST_WAIT), _LONGEST_WAIT))
            counters.EXPIRED.inc(self._store.expire())
            counters.SERIES.set(len(self._store))


def _count_dropped(dropped: Counter[str]) -> None:
    for reason, points in dropped.items():
        counters.DROPPED.labels(reason).inc(points)


factory = ExporterFactory(
    component_type="prometheus",
    config=PrometheusConfig,
    create=PrometheusExporter,
    signals=frozenset({Signal.METRICS}),
    shared=True,
)
