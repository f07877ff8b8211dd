"""Start servers that cannot outlive the bench, and read what their processes use."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ganglion_collector.launch import Launch

__all__ = [
    "MemoryPeak",
    "anonymous_bytes",
    "cpu_seconds",
    "free_port",
    "listens",
    "process_tree",
    "started",
    "tied",
    "wait_until",
    "watch_memory",
]


def tied(program: Sequence[str]) -> list[str]:
    """Return a command line that runs `program`, whose path is absolute, and ends it when this process ends (Linux)."""
    return Launch(death_signal=int(signal.SIGTERM)).argv(program)


@contextmanager
def started(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log` until the block ends, then stop it: `stop`, after 20 s SIGKILL.

    `environment` is the whole of it, None for ours.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            tied(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(address: str) -> bool:
    """Say whether `host:port` takes connections."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0, step: float = 0.02) -> None:
    """Return when `condition()` is true; raise TimeoutError naming `what`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still waiting for {what}")
        time.sleep(step)


def process_tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Return the processor time, user and system, that `processes` and their ended children have used."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(slots=True)
class MemoryPeak:
    """The most that one process held, in bytes: resident, and of it proportional and anonymous, when it was most."""

    resident: int = 0
    proportional: int = 0
    anonymous: int = 0


@dataclass(slots=True)
class _Watch:
    peaks: dict[str, MemoryPeak] = field(default_factory=dict[str, MemoryPeak])
    over: threading.Event = field(default_factory=threading.Event)


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def anonymous_bytes(pid: int) -> int:
    """Return how much memory of its own a process holds."""
    return _rollup(pid)["Anonymous"]


def _look(watch: _Watch, named: Mapping[str, int]) -> None:
    for name, pid in named.items():
        try:
            sizes = _rollup(pid)
        except OSError:
            continue
        peak = watch.peaks.setdefault(name, MemoryPeak())
        if sizes.get("Rss", 0) > peak.resident:
            watch.peaks[name] = MemoryPeak(sizes["Rss"], sizes.get("Pss", 0), sizes.get("Anonymous", 0))


@contextmanager
def watch_memory(named: Mapping[str, int], interval: float = 0.1) -> Iterator[Mapping[str, MemoryPeak]]:
    """Sample the memory of the processes `named` every `interval` seconds while the block runs."""
    watch = _Watch()

    def sample() -> None:
        while not watch.over.wait(interval):
            _look(watch, named)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield watch.peaks
    finally:
        watch.over.set()
        thread.join()
