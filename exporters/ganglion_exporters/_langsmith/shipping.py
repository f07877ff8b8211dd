"""Between spool and sender: parts of traces become shipments, and what became of a shipment goes back.

spool ─▶ Part ─▶ convert ─▶ assemble ─▶ encode ─▶ Shipment ─▶ (sender) ─▶ settle: out of the spool
                    └ what LangSmith would refuse ─▶ dead letters ◀─ bury: what it did refuse
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ganglion_collector.component import Bury, Record

from ganglion_exporters._langsmith import counters
from ganglion_exporters._langsmith.assembly import ROOT, Assembly, AssemblySettings, assemble
from ganglion_exporters._langsmith.client import Refused
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.encoding import EncodedRun, EncodingSettings, encode_run
from ganglion_exporters._langsmith.ids import span_key
from ganglion_exporters._langsmith.log_events import with_logs
from ganglion_exporters._langsmith.model import Draft
from ganglion_exporters._langsmith.spool import Delivered, Spool
from ganglion_exporters._langsmith.spooled import Part, SpooledSpan

__all__ = ["Shipment", "Shipments", "ShippingSettings"]

_logger = logging.getLogger(__name__)

_SECOND = 10**9
_FORGET_EVERY = 60.0
_FRESH = 60 * _SECOND


@dataclass(frozen=True, slots=True)
class ShippingSettings:
    """How a part becomes runs, and runs bytes."""

    conversion: ConversionSettings
    assembly: AssemblySettings
    encoding: EncodingSettings


@dataclass(frozen=True, slots=True)
class Shipment:
    """The runs of one part of a trace, parents first; `records` are the spans that they were made of, by run id."""

    delivery: Delivered
    runs: Sequence[EncodedRun]
    records: Mapping[UUID, Record]
    rejected: Sequence[tuple[Record, str]] = ()

    @property
    def trace_id(self) -> bytes:
        return self.delivery.part.trace


class Shipments:
    """What is due at a spool. All raise RetryableError while the spool or the dead letters cannot be used."""

    def __init__(self, spool: Spool, settings: ShippingSettings, bury: Bury) -> None:
        self._spool = spool
        self._settings = settings
        self._bury = bury
        self._patience: float | None = None
        self._forget_at = 0.0
        self._counted = (0, 0)
        # Of traces that are not settled yet; they may be taken more than once.
        self._buried: dict[bytes, set[UUID]] = {}

    @property
    def patience(self) -> float | None:
        """In how many seconds something may be due, as of the last `take`; None while nothing waits."""
        return self._patience

    async def take(self, traces: int) -> list[Shipment]:
        """Return the shipments of at most so many traces, of those that are due."""
        shipments = await asyncio.to_thread(self._take, traces)
        for shipment in shipments:
            for record, reason in shipment.rejected:
                await self._bury(record, reason)
        empty = [shipment for shipment in shipments if not shipment.runs]
        if empty:
            await self.settle(empty)
        return [shipment for shipment in shipments if shipment.runs]

    async def settle(self, shipments: Sequence[Shipment]) -> None:
        """Forget these, of which every run is delivered or buried; remember their places."""
        deliveries = [one.delivery.without(self._buried.get(one.trace_id, ())) for one in shipments]
        await asyncio.to_thread(self._spool.delivered, deliveries, time.time_ns())
        for shipment in shipments:
            self._buried.pop(shipment.trace_id, None)
        counters.SYNTHETIC_ROOTS.inc(sum(_is_synthetic(run) for one in shipments for run in one.runs))
        parts = [delivery.part for delivery in deliveries]
        counters.LATE_SPANS.inc(sum(len(part.spans) for part in parts if ROOT in part.known))

    async def bury(self, shipment: Shipment, refused: Iterable[Refused]) -> None:
        """Set aside what LangSmith refused; a synthetic root has no span and is only counted."""
        for one in refused:
            counters.REFUSED_RUNS.inc()
            record = shipment.records.get(one.run.run.id)
            if record is not None:
                await self._bury(record, one.reason)
            self._buried.setdefault(shipment.trace_id, set()).add(one.run.run.id)

    async def renew(self, shipment: Shipment, refused: Iterable[Refused]) -> bool:
        """Have runs that grew too old while LangSmith was away moved by the next `take`; False where they are not."""
        now, assembly = time.time_ns(), self._settings.assembly
        part, border = shipment.delivery.part, now - int(assembly.window * _SECOND)
        aged = any(one.run.run.draft.start < border for one in refused) and part.now < now - _FRESH
        if not aged or assembly.too_old != "shift":
            return False
        await asyncio.to_thread(self._spool.renew, part, now)
        return True

    async def postpone(self, shipment: Shipment, seconds: float) -> None:
        """Take it no sooner than that, and others meanwhile."""
        now = time.time_ns()
        until = now + int(seconds * _SECOND)
        await asyncio.to_thread(self._spool.postpone, [shipment.delivery.part], until, now)

    def _take(self, traces: int) -> list[Shipment]:
        now = time.time_ns()
        shipments = [self._shipment(part) for part in self._spool.due(now, traces)]
        following = self._spool.next_due()
        self._patience = None if following is None else max(0.0, (following - now) / _SECOND)
        self._tell()
        self._forget(now)
        return shipments

    def _shipment(self, part: Part) -> Shipment:
        try:
            return self._made(part)
        except Exception as error:  # noqa: BLE001 (one trace must not stop all others; it is kept as a dead letter)
            _logger.error("a trace cannot be made into runs", extra={"error": type(error).__qualname__})
            reason = f"cannot be made into a run: unexpected {type(error).__qualname__}"
            return Shipment(Delivered(part, {}), (), {}, [(span.record, reason) for span in part.spans])

    def _made(self, part: Part) -> Shipment:
        settings = self._settings
        drafts = [self._draft(part, span) for span in part.spans]
        assembly = assemble(drafts, part.known, settings.assembly, part.now)
        runs = [encode_run(run, settings.encoding) for run in assembly.runs]
        by_span = {span.key: span.record for span in part.spans}
        records = {run.id: by_span[key] for run in assembly.runs if (key := span_key(run.draft.span_id)) in by_span}
        delivery = Delivered(part, assembly.placed, assembly.aliases)
        return Shipment(delivery, runs, records, _rejected(assembly, by_span))

    def _draft(self, part: Part, span: SpooledSpan) -> Draft:
        return with_logs(convert(*span.parsed(), self._settings.conversion), part.logs)

    def _tell(self) -> None:
        sizes = self._spool.sizes()
        counters.OPEN_TRACES.set(sizes.traces)
        counters.SPOOLED_SPANS.set(sizes.spans)
        counters.SPOOLED_BYTES.set(sizes.size_bytes)
        duplicates, logs = self._counted
        self._counted = (self._spool.duplicates, self._spool.dropped_logs)
        counters.DUPLICATE_SPANS.inc(self._counted[0] - duplicates)
        counters.DROPPED_LOGS.inc(self._counted[1] - logs)

    def _forget(self, now: int) -> None:
        if time.monotonic() >= self._forget_at and not self._spool.forget(now):
            self._forget_at = time.monotonic() + _FORGET_EVERY


def _rejected(assembly: Assembly, records: Mapping[bytes, Record]) -> list[tuple[Record, str]]:
    return [(records[span_key(draft.span_id)], reason) for draft, reason in assembly.rejected]


def _is_synthetic(run: EncodedRun) -> bool:
    return not run.run.draft.span_id and not run.run.update
