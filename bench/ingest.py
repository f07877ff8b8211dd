"""Acknowledged, durable ingest (fsync before the ack) against Rotel with its blackhole exporter, nothing durable.

Both servers run at once; the same generator, with 8 requests in flight, drives one, then the other, for several
rounds. Ours writes a journal on the disk, and a worker with the `debug` exporter reads it and trims it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psutil

from bench.collector import Collector, running_collector
from bench.load import Load, Outcome
from bench.load import run as send
from bench.processes import cpu_seconds, process_tree
from bench.report import Budget, Figure, Scale, median
from bench.rotel import Rotel, running_rotel

__all__ = ["run"]

_BUDGET = Budget(first=0.5, goal=1.5)
_CASES = (
    ("grpc", "logs", 500),
    ("grpc", "traces", 500),
    ("grpc", "logs", 50),
    ("http", "logs", 500),
    ("http", "traces", 500),
    ("http", "logs", 50),
)


@dataclass(frozen=True, slots=True)
class _Round:
    """One run against one server; `cpu` in seconds a record, of its receiving process and of all its processes."""

    outcome: Outcome
    cpu: float
    cpu_all: float


def _drive(load: Load, receiver: list[psutil.Process], everything: list[psutil.Process], number: int) -> _Round:
    before, before_all = cpu_seconds(receiver), cpu_seconds(everything)
    outcome = send(replace(load, first_number=number))
    records = outcome.all_records
    return _Round(outcome, (cpu_seconds(receiver) - before) / records, (cpu_seconds(everything) - before_all) / records)


def _figures(name: str, ours: list[_Round], reference: list[_Round]) -> Iterator[Figure]:
    rate = [entry.outcome.rate for entry in ours]
    reference_rate = [entry.outcome.rate for entry in reference]
    yield Figure(
        f"{name}: acknowledged",
        median(rate),
        "/s",
        median(reference_rate),
        _BUDGET,
        f"rounds {_spread(rate)} against {_spread(reference_rate)}; all our processes together used "
        f"{median(entry.cpu_all for entry in ours) * 1e6:.2f} µs a record, the generator "
        f"{median(entry.outcome.client_cpu / entry.outcome.all_records for entry in ours) * 1e6:.2f}; "
        f"refused {sum(entry.outcome.refused for entry in ours)}",
    )
    cpu, reference_cpu = (median(entry.cpu for entry in rounds) * 1e6 for rounds in (ours, reference))
    yield Figure(f"{name}: CPU of the receiver", cpu, "µs a record", reference_cpu)
    for percent in (50, 99):
        mine, theirs = (median(entry.outcome.latency(percent) for entry in rounds) for rounds in (ours, reference))
        yield Figure(f"{name}: ack p{percent}", mine * 1e3, "ms", theirs * 1e3)


def _spread(values: list[float]) -> str:
    return f"{min(values):,.0f}-{max(values):,.0f}"


def _compare(case: tuple[str, str, int], collector: Collector, rotel: Rotel, scale: Scale) -> Iterator[Figure]:
    transport, signal, records = case
    load = Load("", transport, signal, records, seconds=scale.pick(1, 2))
    receiver = [psutil.Process(collector.processes()["receiver"])]
    everything, reference = process_tree(collector.pid), process_tree(rotel.pid)
    ours: list[_Round] = []
    theirs: list[_Round] = []
    for number in range(5):
        address = getattr(collector, transport)
        ours.append(_drive(replace(load, address=address), receiver, everything, number * 1_000_000))
        address = getattr(rotel, transport)
        theirs.append(_drive(replace(load, address=address), reference, reference, number * 1_000_000))
    yield from _figures(f"{transport} {signal} {records}/request", ours, theirs)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield rates, processor time and latencies for both transports, both signals and two request sizes."""
    directory = scale.directory / "ingest"
    exporters: dict[str, object] = {"debug": {}}
    directory.mkdir(parents=True, exist_ok=True)
    with running_rotel(directory) as rotel, running_collector(directory, exporters) as collector:
        for case in _CASES:
            yield from _compare(case, collector, rotel, scale)
