"""The server processes of one PostgreSQL data folder: find them, and see that none is left."""

import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from ganglion_collector.errors import StartError

__all__ = ["end_leftovers", "is_ready", "server_processes"]

# Seconds after nothing, then after each signal. A server may have to write a checkpoint; backends whose server was
# killed have nothing to save.
_SERVER_STAGES = ((None, 5.0), (signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_BACKEND_STAGES = ((None, 1.0), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0))


def server_processes(data: Path) -> list[psutil.Process]:
    """Return every PostgreSQL process of `data`: each one has it as its current folder."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.name().startswith("postgres") and Path(process.cwd()) == data:
                found.append(process)
    return found


def end_leftovers(data: Path) -> None:
    """Wait for the server of a killed supervisor, or for the children of a killed server, then stop them.

    A second server is never started beside them. The caller holds the home's lock, so whoever is left is an orphan.

    Raises:
        StartError: a process cannot be ended.
    """
    data = data.resolve()
    processes = server_processes(data)
    server = _server_number(data)
    stages = _SERVER_STAGES if any(process.pid == server for process in processes) else _BACKEND_STAGES
    for stage, patience in stages:
        if not processes:
            break
        if stage is not None:
            _send(processes, stage)
        _, processes = psutil.wait_procs(processes, timeout=patience)
    if processes:
        numbers = ", ".join(str(process.pid) for process in processes)
        raise StartError(f"a PostgreSQL server of {data} cannot be ended (process {numbers}); stop it and try again")
    # A process id from before a reboot, or of another container, may belong to anyone by now.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _server_number(data: Path) -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        return int(next(iter((data / "postmaster.pid").read_text(encoding="ascii").splitlines())))
    return None


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    # SIGINT would only cancel a query of a backend: the postmaster, parent of the rest, gets it alone if it lives.
    numbers = {process.pid for process in processes}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            orphan = process.ppid() not in numbers
            if orphan or number == signal.SIGKILL:
                process.send_signal(number)


def is_ready(data: Path) -> bool:
    """Say whether the server of `data` accepts connections, as `pg_ctl --wait` does: by its `postmaster.pid`."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"
