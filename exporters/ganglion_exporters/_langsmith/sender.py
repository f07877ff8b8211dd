"""Sends what is due, for ever: takes whole traces, as many as fit, and tells their source what became of each run.

    take ──▶ several traces in one request, several requests at once ──▶ settle: delivered, refused
     ▲          └ trouble: all wait, longer each time; or the one trace does whose own trouble it is
     └── wake: new data, or time

Nothing is lost however it ends: what is not settled is taken again, and LangSmith knows each run by its id.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from ganglion_collector.backoff import Backoff
from ganglion_collector.component import RetryConfig
from ganglion_collector.errors import RetryableError

from ganglion_exporters._langsmith import counters
from ganglion_exporters._langsmith.client import LangSmithClient, Outcome, Refused, ServerInfo, Trouble
from ganglion_exporters._langsmith.encoding import EncodedRun

__all__ = ["Sender", "SenderSettings", "Shipment", "Source"]

_logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that requests under way have to end when the sender is asked to stop."""
_QUIET = 5.0
_MOST_SUSPECTS = 1000


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """`concurrency` requests are under way at most; `retry` says how long to wait after trouble."""

    retry: RetryConfig
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Shipment:
    """What of one trace can go now, parents first. `trace_id` is OpenTelemetry's."""

    trace_id: bytes
    runs: Sequence[EncodedRun]


class Source(Protocol):
    """Where traces wait."""

    async def take(self, runs: int, size_bytes: int, skip: Collection[bytes]) -> Sequence[Shipment]:
        """Return what is due, but for the traces `skip`: about as much as asked for, at least one trace if any is."""
        ...

    async def settle(self, shipment: Shipment, delivered: Sequence[EncodedRun], refused: Sequence[Refused]) -> None:
        """Forget what was `delivered`, set aside what was `refused`; raise RetryableError to be told again."""
        ...

    def patience(self) -> float | None:
        """Return after how many seconds something may be due; None where nothing waits."""
        ...


@dataclass(slots=True)
class _Suspect:
    """A trace that LangSmith could not take while it may take others: tried alone, at its own times."""

    backoff: Backoff
    not_before: float = 0.0


@dataclass(slots=True)
class _Pause:
    """Why nothing is sent now, and until when."""

    trouble: Trouble | None = None
    until: float = 0.0
    backoff: Backoff | None = None
    said: dict[str, float] = field(default_factory=dict[str, float])


class Sender:
    """One task that cannot die; `report` is told what is wrong, "" when nothing is any more."""

    def __init__(
        self, source: Source, client: LangSmithClient, settings: SenderSettings, report: Callable[[str], None]
    ) -> None:
        self._source = source
        self._client = client
        self._settings = settings
        self._report = report
        self._wake = asyncio.Event()
        self._stopping = False
        self._pause = _Pause()
        self._suspects: dict[bytes, _Suspect] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Why LangSmith takes nothing now, "" where it does."""
        return self._pause.trouble.reason if self._pause.trouble else ""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look again: something new waits."""
        self._wake.set()

    async def stop(self) -> None:
        """End; requests under way have a few seconds. Safe twice."""
        self._stopping = True
        self._wake.set()
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait([task], timeout=_PATIENCE)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                patience = await self._round()
            except RetryableError as error:
                self._enter(Trouble("server", str(error), error.retry_after))
                patience = self._remaining()
            except Exception as error:  # noqa: BLE001 (whatever it is, what waits must go on waiting for better times)
                _logger.error("sending to LangSmith failed unexpectedly", extra={"error": type(error).__qualname__})
                self._enter(Trouble("server", f"unexpected {type(error).__qualname__}"))
                patience = self._remaining()
            if not self._stopping:
                await self._sleep(patience)

    async def _sleep(self, seconds: float | None) -> None:
        paused = self._remaining()
        if paused > 0:
            # Not the event: what is new cannot go either.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped(), paused)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _stopped(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            if not self._stopping:
                self._wake.clear()

    def _remaining(self) -> float:
        return max(0.0, self._pause.until - time.monotonic())

    async def _round(self) -> float | None:
        """Send what is due now; return in how many seconds to look again."""
        concurrency, limits = self._settings.concurrency, self._client.limits
        most = limits.max_runs * concurrency, limits.max_bytes * concurrency
        shipments = await self._source.take(*most, self._waiting_suspects())
        if not shipments:
            if not self._suspects:
                self._leave()
            return self._patience()
        for bundles in _rounds(self._bundles(shipments, limits), concurrency):
            outcomes = await asyncio.gather(*(self._ship(bundle) for bundle in bundles))
            self._judge(bundles, outcomes)
            if self._remaining() > 0 or self._stopping:
                break
        return self._remaining()

    def _patience(self) -> float | None:
        waits = [max(0.05, suspect.not_before - time.monotonic()) for suspect in self._suspects.values()]
        if (patience := self._source.patience()) is not None:
            waits.append(max(0.05, patience))
        return min(waits, default=None)

    def _waiting_suspects(self) -> set[bytes]:
        now = time.monotonic()
        return {trace_id for trace_id, suspect in self._suspects.items() if suspect.not_before > now}

    def _bundles(self, shipments: Sequence[Shipment], limits: ServerInfo) -> Iterator[list[Shipment]]:
        """Yield shipments that go together: those that fit into one request, a suspect alone."""
        bundle, runs, size = list[Shipment](), 0, 0
        for shipment in shipments:
            if shipment.trace_id in self._suspects:
                yield [shipment]
                continue
            own_runs, own_size = len(shipment.runs), sum(run.size for run in shipment.runs)
            if bundle and (runs + own_runs > limits.max_runs or size + own_size > limits.max_bytes):
                yield bundle
                bundle, runs, size = [], 0, 0
            bundle.append(shipment)
            runs, size = runs + own_runs, size + own_size
        if bundle:
            yield bundle

    async def _ship(self, bundle: Sequence[Shipment]) -> Outcome:
        outcome = await self._client.send([run for shipment in bundle for run in shipment.runs])
        _count(outcome)
        delivered = {run.run.id: run for run in outcome.delivered}
        refused = {one.run.run.id: one for one in outcome.refused}
        for shipment in bundle:
            gone = [run for run in shipment.runs if run.run.id in delivered]
            bad = [refused[run.run.id] for run in shipment.runs if run.run.id in refused]
            if gone or bad:
                await self._source.settle(shipment, gone, bad)
        if outcome.refused:
            self._say(f"LangSmith refused runs, now dead letters; the last: {outcome.refused[-1].reason}")
        return outcome

    def _judge(self, bundles: Sequence[Sequence[Shipment]], outcomes: Sequence[Outcome]) -> None:
        """Decide who waits after these outcomes: nobody, single traces, or all."""
        troubles = [outcome.trouble for outcome in outcomes if outcome.trouble is not None]
        succeeded = any(outcome.delivered or outcome.refused for outcome in outcomes)
        only_suspects = all(bundle[0].trace_id in self._suspects for bundle in bundles)
        for bundle, outcome in zip(bundles, outcomes, strict=True):
            for shipment in bundle:
                if outcome.trouble is None:
                    self._suspects.pop(shipment.trace_id, None)
                elif outcome.trouble.is_own:
                    self._suspect(shipment.trace_id, outcome.trouble, alone=len(bundle) == 1)
        general = [trouble for trouble in troubles if not trouble.is_own]
        if general:
            self._enter(general[0])
        elif troubles and not succeeded and only_suspects:
            self._note(troubles[0])
        elif troubles and not succeeded:
            self._enter(troubles[0])
        else:
            self._leave()

    def _suspect(self, trace_id: bytes, trouble: Trouble, *, alone: bool) -> None:
        """Try this trace alone from now on; where it already was, later each time."""
        if trace_id not in self._suspects and len(self._suspects) >= _MOST_SUSPECTS:
            return
        suspect = self._suspects.setdefault(trace_id, _Suspect(Backoff(self._settings.retry)))
        if alone:
            suspect.not_before = time.monotonic() + suspect.backoff.next(trouble.retry_after)
            self._say(f"LangSmith cannot take one trace now, while it may take others: {trouble.reason}")

    def _enter(self, trouble: Trouble) -> None:
        pause = self._pause
        if pause.backoff is None:
            pause.backoff = Backoff(self._settings.retry)
        seconds = pause.backoff.next(trouble.retry_after)
        pause.until = time.monotonic() + seconds
        self._say(f"LangSmith takes nothing now: {trouble.reason}", retry_in=round(seconds, 2))
        self._note(trouble)

    def _note(self, trouble: Trouble) -> None:
        self._pause.trouble = trouble
        counters.TROUBLE.set(1)
        self._report(trouble.reason)

    def _leave(self) -> None:
        """All is well, or nothing says otherwise any more."""
        if self._pause.trouble is not None:
            _logger.info("LangSmith takes runs again")
        self._pause = _Pause(said=self._pause.said)
        counters.TROUBLE.set(0)
        self._report("")

    def _say(self, text: str, **fields: float) -> None:
        """Log it, but not the same again and again."""
        now = time.monotonic()
        if now < self._pause.said.get(text, 0.0):
            return
        self._pause.said = {known: until for known, until in self._pause.said.items() if until > now}
        self._pause.said[text] = now + _QUIET
        _logger.warning(text, extra=fields)


def _rounds(bundles: Iterator[list[Shipment]], size: int) -> Iterator[list[list[Shipment]]]:
    several = list[list[Shipment]]()
    for bundle in bundles:
        several.append(bundle)
        if len(several) == size:
            yield several
            several = []
    if several:
        yield several


def _count(outcome: Outcome) -> None:
    updates = sum(run.run.update for run in outcome.delivered)
    counters.RUNS.labels("post").inc(len(outcome.delivered) - updates)
    counters.RUNS.labels("patch").inc(updates)
    counters.DUPLICATE_RUNS.inc(outcome.repeated)
    counters.REFUSED_RUNS.inc(len(outcome.refused))
    counters.CUT_FIELDS.inc(sum(len(run.cut) for run in outcome.delivered))
