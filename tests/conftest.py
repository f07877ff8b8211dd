"""What every test has: a clean environment, the fixture files, and a guard over the event loop."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))
# They use one another, whichever is loaded first.
pytest.register_assert_rewrite(*pytest_plugins)

# Wall-clock time, on a machine that is shared, whose disk stands still now and then for seconds.
_LONGEST_STEP = 10.0
_LEAKING = ("GANGLION_", "LANGSMITH_", "OTEL_", "PG")
_OURS = "GANGLION_TEST_"
# How long an example takes says how busy the machine is.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_configure() -> None:
    for name in [name for name in os.environ if name.startswith(_LEAKING) and not name.startswith(_OURS)]:
        del os.environ[name]
    # A shell that runs the tests in the background lets them ignore it, and with them all that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def live_event_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which one step of the event loop took so long that everything else in it stood still."""
    slow: list[str] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        start = time.monotonic()
        run(handle)
        if time.monotonic() - start > _LONGEST_STEP:
            slow.append(repr(handle))

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    yield
    assert not slow, f"the event loop stood still for more than {_LONGEST_STEP} s in {slow}"
