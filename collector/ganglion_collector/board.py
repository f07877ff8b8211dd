"""What is known of the collector's processes, components and addresses, and who is told when it changes."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["DISABLED", "OK", "Board", "ComponentStatus", "Phase", "ProcessState", "ProcessStatus"]

ProcessState = Literal["starting", "running", "restarting", "stopped"]
Phase = Literal["starting", "running", "stopping"]

OK = "StatusOK"
DISABLED = "StatusDisabled"
"""Not one of the Collector's: switched off by what is configured, and well so."""
_STARTING = "StatusStarting"
_FAILING = "StatusRecoverableError"


@dataclass(slots=True)
class ProcessStatus:
    """One process; `reason` says why it ended the last time. An `optional` one has no part in health."""

    name: str
    pid: int | None = None
    state: ProcessState = "starting"
    restarts: int = 0
    reason: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """`status` is one of the Collector's component statuses; `since` Unix time."""

    status: str
    reason: str = ""
    since: float = field(default_factory=time.time)


class Board:
    """Everything that `ganglion status` and the health endpoint tell."""

    def __init__(self) -> None:
        self._processes: dict[str, ProcessStatus] = {}
        self._components: dict[str, ComponentStatus] = {}
        self._addresses: dict[str, str] = {}
        self._listeners: list[Callable[[], None]] = []
        self._started = time.time()
        self._phase: Phase = "starting"

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    def process(self, name: str) -> ProcessStatus:
        """Return the status of the process, which is made if there is none; change it by `update`."""
        return self._processes.setdefault(name, ProcessStatus(name))

    @property
    def processes(self) -> Iterable[ProcessStatus]:
        return tuple(self._processes.values())

    @property
    def components(self) -> Mapping[str, ComponentStatus]:
        return dict(self._components)

    def update(self, name: str, state: ProcessState, *, pid: int | None = None, reason: str = "") -> None:
        process = self.process(name)
        process.restarts += state == "restarting"
        process.state, process.pid, process.reason = state, pid, reason
        self._changed()

    def component(self, name: str, status: str, reason: str = "") -> None:
        known = self._components.get(name)
        if known is None or (known.status, known.reason) != (status, reason):
            self._components[name] = ComponentStatus(status, reason)
            self._changed()

    def starting(self, components: Iterable[str]) -> None:
        for name in components:
            self.component(name, _STARTING)

    def failing(self, components: Iterable[str], reason: str) -> None:
        for name in components:
            self.component(name, _FAILING, reason)

    def address(self, name: str, address: str) -> None:
        self._addresses[name] = address
        self._changed()

    def forget(self, processes: Iterable[str], components: Iterable[str]) -> None:
        """Drop what the configuration no longer has."""
        for name in processes:
            self._processes.pop(name, None)
        for name in components:
            self._components.pop(name, None)
        self._changed()

    def enter(self, phase: Phase) -> None:
        """Tell in which phase the collector as a whole is: healthy only while it is running."""
        self._phase = phase
        self._changed()

    @property
    def is_healthy(self) -> bool:
        return self.reason == ""

    @property
    def reason(self) -> str:
        """Why it is not healthy: the first component or process that is not well, and what is wrong with it."""
        for name, component in self._components.items():
            if component.status not in {OK, DISABLED}:
                return f"{name}: {component.reason or component.status}"
        for process in self._processes.values():
            if process.state != "running" and not process.optional:
                return f"{process.name}: {process.reason or process.state}"
        return "" if self._phase == "running" else self._phase

    def status(self) -> dict[str, Any]:
        """Return what `ganglion status --json` prints."""
        return {
            "healthy": self.is_healthy,
            "reason": self.reason,
            "processes": [
                {
                    "name": process.name,
                    "pid": process.pid,
                    "state": process.state,
                    "restarts": process.restarts,
                    "reason": process.reason,
                }
                for process in self._processes.values()
            ],
            "addresses": dict(self._addresses),
            "disabled": {name: found.reason for name, found in self._components.items() if found.status == DISABLED},
        }

    def health(self) -> dict[str, Any]:
        """Return what the health endpoint answers."""
        return {
            "status": "Server available" if self.is_healthy else "Server not available",
            "reason": self.reason,
            "upSince": _iso(self._started),
            "uptime": f"{time.time() - self._started:.3f}s",
            "components": {
                name: {"status": found.status, "reason": found.reason, "since": _iso(found.since)}
                for name, found in self._components.items()
            },
        }

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
