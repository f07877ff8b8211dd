"""Exactly once under faults: kill -9 of random processes under load; then what is stored, and what metrics count."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ganglion_collector.embedded import EmbeddedPostgreSQL

from bench.collector import Flow, write_configuration
from bench.fault_engine import Faults, Verdict, run_faults
from bench.processes import free_port, tied
from bench.report import Budget, Figure, Scale

__all__ = ["embedded_faults", "run"]


def embedded_faults(directory: Path, kills: int, seed: int = 0, senders: int = 4) -> Faults:
    """Return a run against `ganglion up`'s processes, everything under `directory`, on free ports."""
    page = f"127.0.0.1:{free_port()}"
    planned = write_configuration(directory, _flow(page), quota_mib=512)
    return Faults(
        start=lambda: _start(directory, planned.home),
        grpc=planned.grpc,
        http=planned.http,
        page=page,
        dsn=EmbeddedPostgreSQL(planned.home).dsn,
        kills=kills,
        seed=seed,
        senders=senders,
    )


def _flow(page: str) -> Flow:
    """The shipped configuration's shape, with a count of logs; connectors flush often, to be killed amid it."""
    return Flow(
        exporters={"postgresql": {"dsn": "${env:GANGLION_DATABASE_URL}"}, "prometheus": {"endpoint": page}},
        connectors={"span_metrics": {"metrics_flush_interval": "200ms"}, "count": {}},
        ends={
            "traces": ["postgresql", "span_metrics"],
            "logs": ["postgresql", "count"],
            "metrics": ["prometheus"],
        },
    )


def _start(directory: Path, home: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "GANGLION_DATABASE_URL"}
    ganglion = Path(sys.executable).with_name("ganglion")
    program = [str(ganglion), "run", "--embedded", "--config", str(directory / "config.yaml")]
    with (directory / "collector.log").open("ab") as log:
        return subprocess.Popen(
            tied(program),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment, "GANGLION_HOME": str(home)},
        )


def _note(verdict: Verdict) -> str:
    kills = ", ".join(f"{count} {kind}" for kind, count in sorted(verdict.kills.items()))
    wrong = {"lost": verdict.lost, "doubled": verdict.doubled, "unknown": verdict.unknown}
    found = "; ".join(f"{what}: {' '.join(ids)}" for what, ids in wrong.items() if ids) or "none lost, none doubled"
    counted = ", ".join(f"{name} {shown:,.0f} of {wanted:,}" for name, (wanted, shown) in verdict.counted.items())
    return f"killed {kills}; {verdict.requests} requests, {verdict.retries} retries; {found}; {counted}"


def run(scale: Scale) -> Iterator[Figure]:
    """Yield stored and counted against acknowledged records; 1 and nothing wrong is what must be."""
    directory = scale.directory / "faults"
    directory.mkdir(mode=0o711)
    verdict = asyncio.run(run_faults(embedded_faults(directory, scale.pick(10, 50))))
    wrong = len(verdict.lost) + len(verdict.doubled) + len(verdict.unknown)
    yield Figure("acknowledged records that are stored", verdict.stored, "records", verdict.acknowledged)
    yield Figure("lost, doubled or unknown", wrong, "records", budget=Budget(0, 0, "less"), note=_note(verdict))
    for name, (wanted, shown) in verdict.counted.items():
        yield Figure(name, shown, "counted", wanted, Budget(1, 1))
    yield Figure("sums on the page that are wrong", len(verdict.miscounted), "sums", budget=Budget(0, 0, "less"))
