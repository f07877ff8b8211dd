"""What each step of the way costs a record, alone, in one process: parse, check, append, convert to rows."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from ganglion_collector.journal import Entry
from ganglion_collector.journal.store import open_writer
from ganglion_collector.otlp import Signal, parse_request, slice_items
from ganglion_collector.receivers.otlp.checks import check
from ganglion_exporters.postgresql.rows import TABLES, Clock

from bench.data import Variants, log_template, span_template
from bench.report import Figure, Scale, median

__all__ = ["run"]

_RECORDS = 500
_DAY = 86_400.0


def _cost(what: str, step: Callable[[], object], rounds: int, note: str = "", clock: str = "perf_counter") -> Figure:
    now: Callable[[], float] = getattr(time, clock)
    times: list[float] = []
    step()
    for _ in range(rounds):
        begin = now()
        step()
        times.append(now() - begin)
    return Figure(what, median(times) / _RECORDS * 1e6, "µs a record", note=note)


def _convert(signal: Signal, payload: bytes, clock: Clock) -> int:
    return sum(rows.count for rows in TABLES[signal].convert(payload, clock))


def _appends(directory: Path, variants: Variants, rounds: int) -> Iterator[Figure]:
    writer = open_writer(directory, quota_bytes=1 << 30, deduplication_window=300)
    numbers = count()

    def append(requests: int) -> None:
        payloads = [variants.payload(next(numbers)) for _ in range(requests)]
        entries = [Entry(variants.signal, "otlp", time.time_ns(), variants.records, data, {}) for data in payloads]
        outcomes = writer.append(entries)
        if set(outcomes) != {True}:
            raise RuntimeError(f"the journal answered {outcomes}")

    try:
        yield _cost("append one request, fsync, wall clock", partial(append, 1), rounds)
        yield _cost("append one request, processor", partial(append, 1), rounds, clock="thread_time")
        eight = _cost("append eight requests, processor", partial(append, 8), rounds // 4, clock="thread_time")
        yield Figure("append one of eight requests, processor", eight.ours / 8, eight.unit)
    finally:
        writer.close()


def run(scale: Scale) -> Iterator[Figure]:
    """Yield microseconds a record for each step; requests of 500."""
    rounds, now = scale.pick(20, 200), time.time_ns()
    clock = Clock.around(now, _DAY, _DAY)
    logs, spans = log_template(_RECORDS), span_template(_RECORDS)
    for template in (logs, spans):
        signal, payload = template.signal, template.stamp(1, now)
        note = f"{len(payload) / _RECORDS:.0f} bytes a record"
        parsed = parse_request(signal, payload)
        yield _cost(f"{signal}: parse", partial(parse_request, signal, payload), rounds, note)
        yield _cost(f"{signal}: parse and check", partial(check, signal, payload), rounds)
        yield _cost(f"{signal}: serialise", parsed.SerializeToString, rounds)
        yield _cost(f"{signal}: slice in half", partial(slice_items, signal, payload, 0, _RECORDS // 2), rounds)
        yield _cost(f"{signal}: convert to COPY lines", partial(_convert, signal, payload, clock), rounds)
    yield from _appends(scale.directory / "steps", logs.variants(now), rounds)
