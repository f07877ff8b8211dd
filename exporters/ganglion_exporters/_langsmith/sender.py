"""Sends what is due, for ever: whole traces, as many as fit into a request, several requests at once.

    take ──▶ bundles ──▶ send ──▶ all runs of a trace delivered or buried ──▶ settle
     ▲          └ trouble: all wait, longer each time; or only the trace does whose own trouble it is
     └── wake: new data, or time

Nothing is lost however it ends: what is not settled is taken again, and LangSmith knows each run by its id.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from ganglion_collector.backoff import Backoff
from ganglion_collector.component import RetryConfig
from ganglion_collector.errors import RetryableError

from ganglion_exporters._langsmith import counters
from ganglion_exporters._langsmith.client import LangSmithClient, Outcome, Refused, Trouble
from ganglion_exporters._langsmith.encoding import EncodedRun
from ganglion_exporters._langsmith.pause import Pause
from ganglion_exporters._langsmith.shipping import Shipment, Shipments

__all__ = ["Sender", "SenderSettings"]

_logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that requests under way have to end when the sender is asked to stop."""
_SHORTEST = 0.05
_MOST_SUSPECTS = 1000


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """`concurrency` requests are under way at most; `retry` says how long to wait after trouble."""

    retry: RetryConfig
    concurrency: int = 4


class Sender:
    """One task that cannot die; `report` is told what is wrong, "" when nothing is any more."""

    def __init__(
        self, shipments: Shipments, client: LangSmithClient, settings: SenderSettings, report: Callable[[str], None]
    ) -> None:
        self._shipments = shipments
        self._client = client
        self._settings = settings
        self._pause = Pause(settings.retry, report)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        # Traces that LangSmith could not take while it may take others: each is tried alone, at times of its own.
        self._suspects: dict[bytes, Backoff] = {}
        # Runs that need not be sent again, of traces of which others must.
        self._done: dict[bytes, set[UUID]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Why LangSmith takes nothing now, "" where it does."""
        return self._pause.reason

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look again: something new waits."""
        self._wake.set()

    async def stop(self) -> None:
        """End; requests under way have a few seconds. Safe twice."""
        self._stopping.set()
        self._wake.set()
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait([task], timeout=_PATIENCE)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                patience = await self._round()
            except RetryableError as error:
                self._pause.enter(Trouble("server", str(error), error.retry_after))
                patience = None
            except Exception as error:  # noqa: BLE001 (whatever it is, what waits must go on waiting for better times)
                _logger.error("sending failed unexpectedly", extra={"error": type(error).__qualname__})
                self._pause.enter(Trouble("server", f"unexpected {type(error).__qualname__}"))
                patience = None
            await self._sleep(patience)

    async def _sleep(self, patience: float | None) -> None:
        # In a pause new data changes nothing.
        paused = self._pause.remaining()
        event, seconds = (self._stopping, paused) if paused else (self._wake, patience)
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    async def _round(self) -> float | None:
        """Send what is due now; return in how many seconds to look again."""
        limits, concurrency = self._client.limits, self._settings.concurrency
        shipments = await self._shipments.take(limits.max_runs * concurrency)
        if not shipments:
            self._pause.leave()
            patience = self._shipments.patience
            return None if patience is None else max(_SHORTEST, patience)
        for bundles in _groups(self._bundles(shipments), concurrency):
            outcomes = await asyncio.gather(*(self._ship(bundle) for bundle in bundles))
            await self._judge(bundles, outcomes)
            if self._pause.remaining() or self._stopping.is_set():
                break
        return 0.0

    def _bundles(self, shipments: Sequence[Shipment]) -> Iterator[list[Shipment]]:
        """Yield shipments that go together: those that fit into one request, a suspect alone."""
        limits = self._client.limits
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
        outcome = await self._client.send([run for shipment in bundle for run in self._open(shipment)])
        _count(outcome)
        refused = {one.run.run.id: one for one in outcome.refused}
        over = {run.run.id for run in outcome.delivered} | refused.keys()
        settled = list[Shipment]()
        for shipment in bundle:
            done = self._done.setdefault(shipment.trace_id, set())
            now_over = {run.run.id for run in shipment.runs} & over
            if bad := [refused[run.run.id] for run in shipment.runs if run.run.id in refused]:
                if not done and len(bad) == len(now_over) and await self._shipments.renew(shipment, bad):
                    continue
                await self._shipments.bury(shipment, bad)
            done |= now_over
            if len(done) == len(shipment.runs):
                settled.append(shipment)
        if settled:
            await self._settle(settled)
        if outcome.refused:
            last = outcome.refused[-1].reason
            self._pause.say("refused", f"LangSmith refused runs, now dead letters; the last: {last}")
        return outcome

    def _open(self, shipment: Shipment) -> list[EncodedRun]:
        done = self._done.get(shipment.trace_id, set())
        return [run for run in shipment.runs if run.run.id not in done]

    async def _settle(self, shipments: Sequence[Shipment]) -> None:
        await self._shipments.settle(shipments)
        for shipment in shipments:
            self._done.pop(shipment.trace_id, None)
            self._suspects.pop(shipment.trace_id, None)

    async def _judge(self, bundles: Sequence[Sequence[Shipment]], outcomes: Sequence[Outcome]) -> None:
        """Decide who waits after these outcomes: nobody, single traces, or all."""
        only_suspects = all(bundle[0].trace_id in self._suspects for bundle in bundles)
        taken = any(outcome.delivered or outcome.refused for outcome in outcomes)
        general, own = None, None
        for bundle, outcome in zip(bundles, outcomes, strict=True):
            trouble = outcome.trouble
            if trouble is None:
                continue
            if not trouble.is_own:
                general = trouble
                continue
            own = trouble
            await self._suspect(bundle, trouble)
        if general or (own and not (taken or only_suspects)):
            await self._enter(bundles, general or own)
        elif own and not taken:
            self._pause.note(own)
        else:
            self._pause.leave()

    async def _suspect(self, bundle: Sequence[Shipment], trouble: Trouble) -> None:
        """Try these traces alone from now on; one that was, later each time."""
        for shipment in bundle:
            if shipment.trace_id not in self._suspects and len(self._suspects) >= _MOST_SUSPECTS:
                continue
            backoff = self._suspects.setdefault(shipment.trace_id, Backoff(self._settings.retry))
            if len(bundle) == 1:
                await self._shipments.postpone(shipment, backoff.next(trouble.retry_after))
                told = f"LangSmith cannot take one trace, while it may take others: {trouble.reason}"
                self._pause.say("suspect", told)

    async def _enter(self, bundles: Sequence[Sequence[Shipment]], trouble: Trouble | None) -> None:
        """Let all wait; where they have waited as long as is configured, set them aside instead."""
        assert trouble is not None
        self._pause.enter(trouble)
        if not self._pause.is_over:
            return
        for shipment in [shipment for bundle in bundles for shipment in bundle]:
            reason = f"given up; the last error: {trouble.reason}"
            await self._shipments.bury(shipment, [Refused(run, reason) for run in self._open(shipment)])
            await self._settle([shipment])


def _groups(bundles: Iterator[list[Shipment]], size: int) -> Iterator[list[list[Shipment]]]:
    group = list[list[Shipment]]()
    for bundle in bundles:
        group.append(bundle)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _count(outcome: Outcome) -> None:
    updates = sum(run.run.update for run in outcome.delivered)
    counters.RUNS.labels("post").inc(len(outcome.delivered) - updates)
    counters.RUNS.labels("patch").inc(updates)
    counters.DUPLICATE_RUNS.inc(outcome.repeated)
    counters.CUT_FIELDS.inc(sum(len(run.cut) for run in outcome.delivered))
