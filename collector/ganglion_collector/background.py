"""The supervisor in the background: start it and hear how that goes, know its state, stop it."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from ganglion_collector.errors import StartError
from ganglion_collector.home import Home, reason_of
from ganglion_collector.postmaster import end_leftovers

__all__ = ["Started", "log_tail", "read_status", "start", "stop", "stop_started"]

_KEPT_LOGS = 5
# The supervisor's own bound for a graceful stop is well below.
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """A supervisor on its way up; `progress` is where it tells its steps (`ganglion_collector.readiness`)."""

    process: subprocess.Popen[bytes]
    progress: BinaryIO

    def events(self, patience: float) -> Iterator[Mapping[str, Any]]:
        """Yield its steps, up to `healthy` or `failed`, or until `patience` seconds have passed."""
        deadline = time.monotonic() + patience
        waiting = b""
        with self.progress, selectors.DefaultSelector() as selector:
            selector.register(self.progress, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                part = os.read(self.progress.fileno(), 65_536)
                if not part:
                    yield {"event": "failed", "reason": "the collector ended before it was ready"}
                    return
                *lines, waiting = (waiting + part).split(b"\n")
                yield from map(json.loads, lines)


def start(home: Home, arguments: Sequence[str]) -> Started:
    """Start `ganglion run` with `arguments` as a session of its own that outlives us, writing to the home's log.

    Raises:
        StartError: the log cannot be written.
    """
    reading, writing = os.pipe()
    argv = [sys.executable, "-P", "-m", "ganglion_query.cli", "run", f"--readiness-fd={writing}", *arguments]
    try:
        _rotate(home.log)
        with home.log.open("ab") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writing,), start_new_session=True
            )
    except OSError as error:
        os.close(reading)
        raise StartError(f"cannot start in {home.path}: {reason_of(error)}") from None
    finally:
        os.close(writing)
    return Started(process, os.fdopen(reading, "rb", buffering=0))


def _rotate(log: Path) -> None:
    """Move the logs of the last starts one place on; the oldest is dropped."""
    for number in range(_KEPT_LOGS - 1, -1, -1):
        source = log if number == 0 else log.with_name(f"{log.name}.{number}")
        with suppress(FileNotFoundError):
            source.replace(log.with_name(f"{log.name}.{number + 1}"))


def log_tail(home: Home, lines: int = 10) -> Sequence[str]:
    """Return the last lines that the collector wrote."""
    try:
        with home.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            return log.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def read_status(home: Home) -> Mapping[str, Any]:
    """Return what the running supervisor says of itself; without one, whatever a file says, nothing runs."""
    nothing: dict[str, Any] = {"healthy": False, "reason": "not running", "processes": [], "addresses": {}}
    if not home.is_running():
        return nothing
    try:
        status: Mapping[str, Any] = json.loads(home.status.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {**nothing, "reason": "starting"}
    except (OSError, ValueError) as error:
        raise StartError(f"cannot read {home.status}: {error}") from None
    return status


def stop(home: Home) -> bool:
    """Stop the supervisor, gently, then for good, and what a killed one left; False if nothing ran.

    Raises:
        StartError: something is left that cannot be ended.
    """
    from ganglion_collector.monitoring_servers import end_servers  # noqa: PLC0415 (quick start of other commands)

    ended = False
    if home.is_running():
        supervisor = _supervisor(home)
        _end(supervisor)
        ended = True
    if (home.path / "postgresql").exists():
        end_leftovers(home.path / "postgresql")
    end_servers(home)
    return ended


def stop_started(started: Started) -> None:
    """Stop a supervisor that this process has started."""
    started.process.terminate()
    try:
        started.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        started.process.kill()
        started.process.wait()


def _supervisor(home: Home) -> psutil.Process:
    """Find the process that has the lock file open: its number in a file might be another's by now."""
    lock = home.lock.stat()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            opened = (Path(file.path) for file in process.open_files())
            if any(path.name == "lock" and os.path.samestat(path.stat(), lock) for path in opened):
                return process
    raise StartError(
        f"a collector runs in {home.path}, but its process is not to be seen; stop it as the user it runs as"
    )


def _end(process: psutil.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        with suppress(psutil.TimeoutExpired):
            process.wait(_PATIENCE if number == signal.SIGTERM else 10)
            return
    raise StartError(f"the collector (process {process.pid}) cannot be ended")
