"""kill -9 of random processes under load: what was acknowledged is stored exactly once, and counted exactly."""

import asyncio
from pathlib import Path

import pytest

from bench.fault_engine import run_faults
from bench.faults import embedded_faults

KINDS = {"supervisor", "receiver", "PostgreSQL", "PostgreSQL child", "worker:span_metrics", "worker:count"}
KINDS |= {"worker:prometheus", "worker:traces/postgresql", "worker:logs/postgresql"}


@pytest.mark.timeout(240)
def test_what_is_acknowledged_is_stored_and_counted_exactly_once_whatever_is_killed(tmp_path: Path) -> None:
    # PostgreSQL's user, another one when root, passes through to its own folder.
    tmp_path.chmod(0o711)
    verdict = asyncio.run(run_faults(embedded_faults(tmp_path, kills=10, seed=1, senders=1)))
    assert sum(verdict.kills.values()) == 10
    # Each has its turn; but who is away after a fault cannot be killed.
    assert set(verdict.kills) <= KINDS
    assert len(verdict.kills) >= len(KINDS) - 2
    assert verdict.acknowledged > 1000
    assert all(wanted > 500 for wanted, _ in verdict.counted.values())
    assert verdict.exactly_once, verdict
