"""kill -9 of random processes under load: what was acknowledged is stored exactly once, and counted exactly."""

import asyncio
from pathlib import Path

import pytest

from bench.fault_engine import run_faults
from bench.faults import embedded_faults


@pytest.mark.timeout(240)
def test_acknowledged_records_are_stored_exactly_once_whatever_is_killed(tmp_path: Path) -> None:
    # PostgreSQL's user, another one when root, passes through to its own folder.
    tmp_path.chmod(0o711)
    verdict = asyncio.run(run_faults(embedded_faults(tmp_path, kills=10, seed=1)))
    assert sum(verdict.kills.values()) == 10
    assert verdict.acknowledged > 1000
    assert verdict.exactly_once, verdict
