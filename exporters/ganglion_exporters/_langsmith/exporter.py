"""Traces and their logs into the spool, with their position; from there the sender brings them to LangSmith."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ganglion_collector.component import Batch, Bury, Position, Record, Source
from ganglion_collector.errors import InvalidRequestError, PermanentError, RetryableError
from ganglion_collector.prices import default_prices, load_prices

from ganglion_exporters._langsmith.assembly import AssemblySettings
from ganglion_exporters._langsmith.client import ClientSettings, LangSmithClient
from ganglion_exporters._langsmith.configuration import LangSmithConfig
from ganglion_exporters._langsmith.convert import ConversionSettings
from ganglion_exporters._langsmith.sender import Sender, SenderSettings
from ganglion_exporters._langsmith.shipping import Shipments, ShippingSettings
from ganglion_exporters._langsmith.spool import Spool, SpoolSettings

__all__ = ["LangSmithExporter"]

_MIB = 1024 * 1024
_NOT_RUNNING = "the exporter is not started or already shut down"


class LangSmithExporter:
    """Keeps the position with what it stores; `export` returns when the spool has it."""

    def __init__(self, config: LangSmithConfig) -> None:
        self._config = config
        self._folder: Path | None = None
        self._temporary: TemporaryDirectory[str] | None = None
        self._bury: Bury = _refuse_to_bury
        self._report: Callable[[str], None] = _say_nothing
        self._spool: Spool | None = None
        self._client: LangSmithClient | None = None
        self._sender: Sender | None = None

    def keep_in(self, folder: Path) -> None:
        self._folder = folder

    def bury_with(self, bury: Bury) -> None:
        self._bury = bury

    def report_to(self, report: Callable[[str], None]) -> None:
        self._report = report

    async def start(self) -> None:
        config = self._config
        if self._folder is None:
            self._temporary = TemporaryDirectory(prefix="ganglion-langsmith-")
            self._folder = Path(self._temporary.name)
        self._spool = await asyncio.to_thread(Spool, self._folder / "spool.sqlite", _spool_settings(config))
        self._client = LangSmithClient(_client_settings(config))
        settings = ShippingSettings(_conversion(config), _assembly(config), self._client.encoding)
        shipments = Shipments(self._spool, settings, self._bury)
        how = SenderSettings(config.retry_on_failure, config.rate_limit.concurrency)
        self._sender = Sender(shipments, self._client, how, self._report)
        self._sender.start()

    async def position(self, source: Source) -> Position | None:
        """Return what the spool says."""
        return await asyncio.to_thread(self._running().position, source)

    async def export(self, batch: Batch) -> None:
        """Store the batch and move its position, both or neither; a batch that is stored already changes nothing."""
        spool = self._running()
        try:
            await asyncio.to_thread(spool.store, batch, time.time_ns())
        except InvalidRequestError as error:
            raise PermanentError(str(error)) from None
        except RetryableError as error:
            trouble = self._sender.trouble if self._sender else ""
            raise RetryableError(f"{error}; {trouble}" if trouble else str(error), error.retry_after) from None
        if self._sender:
            self._sender.wake()

    async def shutdown(self) -> None:
        sender, self._sender = self._sender, None
        client, self._client = self._client, None
        spool, self._spool = self._spool, None
        if sender:
            await sender.stop()
        if client:
            await client.close()
        if spool:
            spool.close()
        if self._temporary:
            self._temporary.cleanup()
            self._folder = self._temporary = None

    def _running(self) -> Spool:
        if self._spool is None:
            raise RetryableError(_NOT_RUNNING)
        return self._spool


async def _refuse_to_bury(_record: Record, reason: str) -> None:
    raise RetryableError(f"there are no dead letters for what LangSmith refuses: {reason}")


def _say_nothing(_reason: str) -> None: ...


def _spool_settings(config: LangSmithConfig) -> SpoolSettings:
    assembly = config.assembly
    return SpoolSettings(
        settle=assembly.settle,
        idle_timeout=assembly.idle_timeout,
        max_age=assembly.max_age,
        max_spans=assembly.max_spans,
        max_bytes=assembly.max_size_mib * _MIB,
        quota_mib=config.spool.quota_mib,
        remember=assembly.remember,
    )


def _client_settings(config: LangSmithConfig) -> ClientSettings:
    return ClientSettings(
        endpoint=config.endpoint,
        api_key=config.api_key.get_secret_value(),
        workspace_id=config.workspace_id,
        project=config.project,
        timeout=config.timeout,
        runs_per_second=config.rate_limit.runs_per_second,
        requests_per_second=config.rate_limit.requests_per_second,
        compression=None if config.compression == "auto" else config.compression,
        proxy_url=config.proxy_url,
        tls=config.tls,
    )


def _conversion(config: LangSmithConfig) -> ConversionSettings:
    prices = load_prices(Path(config.prices)) if config.prices else default_prices()
    return ConversionSettings(keep_resource=config.keep_resource, prices=prices)


def _assembly(config: LangSmithConfig) -> AssemblySettings:
    return AssemblySettings(
        only_llm=config.only_llm,
        root_ids=config.root_ids,
        too_old=config.old_spans,
        window=config.window,
        max_depth=config.assembly.max_depth,
    )
