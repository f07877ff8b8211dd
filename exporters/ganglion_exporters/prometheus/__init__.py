"""Show metrics on a page that Prometheus reads.

points ──▶ Translator ──▶ Store ──▶ Page ──▶ /metrics
                            └─▶ state, saved with the position
"""

import asyncio
import hashlib
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


class PrometheusExporter:
    """Keeps every series' last value; a destination that is always there, since it is this process."""

    def __init__(self, config: PrometheusConfig) -> None:
        settings = translation_settings(config)
        self._config = config
        self._settings = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._translator = Translator(settings)
        limits = Limits(config.max_series, config.metric_expiration, config.longest_without_point)
        self._store = Store(limits, self._translator.target_info.name)
        page = Page(self._store, open_metrics=config.enable_open_metrics, timestamps=config.send_timestamps)
        self._server = SmallServer(
            config.endpoint,
            PATH,
            page.answer,
            "`endpoint` of the prometheus exporter",
            index=INDEX,
            tls=server_context(config.tls) if config.tls else None,
        )
        self._address = ""
        self._expiring: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return self._address

    async def start(self) -> None:
        self._address = await self._server.start()
        self._expiring = asyncio.create_task(self._expire())

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

    async def shutdown(self) -> None:
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None
        await self._server.shutdown()

    def state(self) -> bytes:
        return saved.save(self._store, self._settings)

    def restore(self, state: bytes) -> None:
        saved.load(state, self._settings, self._store)
        counters.SERIES.set(len(self._store))

    async def _translated(self, record: Record) -> Translated:
        try:
            request = parse_request(Signal.METRICS, record.payload)
        except InvalidRequestError as error:
            raise PermanentError(str(error)) from None
        assert isinstance(request, ExportMetricsServiceRequest)
        await asyncio.sleep(0)  # the next scrape need not wait for the whole batch
        return self._translator.points(request)

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
