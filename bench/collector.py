"""A whole Ganglion, started as a user starts it: `ganglion run` on free ports, its home in a folder of the bench."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench.processes import free_port, listens, started, wait_until

__all__ = ["Collector", "Flow", "page_sums", "running_collector", "write_configuration"]


@dataclass(frozen=True, slots=True)
class Flow:
    """What is behind the OTLP receiver: components by id, and exporters and connectors by signal.

    Metrics come from the connectors too.
    """

    exporters: Mapping[str, object]
    connectors: Mapping[str, object]
    ends: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, exporters: Mapping[str, object]) -> "Flow":
        """Logs and traces to every exporter."""
        return cls(exporters, {}, {"logs": list(exporters), "traces": list(exporters)})

    @property
    def pipelines(self) -> Mapping[str, object]:
        made = {"metrics": ["otlp", *self.connectors]}
        return {
            signal: {"receivers": made.get(signal, ["otlp"]), "exporters": list(ends)}
            for signal, ends in self.ends.items()
        }


@dataclass(frozen=True, slots=True)
class Collector:
    """A running collector: its supervisor's process id, its addresses, its home."""

    pid: int
    grpc: str
    http: str
    health: str
    metrics: str
    home: Path

    def processes(self) -> dict[str, int]:
        """Return the process id of every child that runs, by its name in `ganglion status`, and the supervisor's."""
        status = json.loads((self.home / "run" / "status.json").read_text())
        children = {process["name"]: process["pid"] for process in status["processes"] if process["pid"]}
        return {"supervisor": self.pid, **children}

    def metric(self, name: str) -> float:
        """Return the sum over all labels of one of the collector's own metrics, 0 if it is not there."""
        return page_sums(self.metrics, [name])[name]


def page_sums(address: str, names: Iterable[str]) -> dict[str, float]:
    """Return the sum of all samples of each name on a page for Prometheus, 0 where there is none."""
    with urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    sums = dict.fromkeys(names, 0.0)
    for line in lines:
        series, _, value = line.rpartition(" ")
        name = series.partition("{")[0]
        if name in sums:
            sums[name] += float(value)
    return sums


def _configuration(collector: Collector, flow: Flow, quota_mib: int) -> dict[str, object]:
    host, _, port = collector.metrics.partition(":")
    reader = {"pull": {"exporter": {"prometheus": {"host": host, "port": int(port)}}}}
    protocols = {"grpc": {"endpoint": collector.grpc}, "http": {"endpoint": collector.http}}
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "exporters": flow.exporters,
        "connectors": flow.connectors,
        "extensions": {
            "journal": {"directory": str(collector.home / "journal"), "quota_mib": quota_mib},
            "health_check": {"endpoint": collector.health},
        },
        "service": {
            "extensions": ["journal", "health_check"],
            "telemetry": {"metrics": {"readers": [reader]}, "logs": {"level": "WARN"}},
            "pipelines": flow.pipelines,
        },
    }


def write_configuration(directory: Path, flow: Flow, *, quota_mib: int) -> Collector:
    """Write `config.yaml` and make the home folder under `directory`; return the collector to be, with pid 0."""
    grpc, http, health, metrics = (f"127.0.0.1:{free_port()}" for _ in range(4))
    planned = Collector(0, grpc, http, health, metrics, directory / "home")
    planned.home.mkdir(mode=0o711, parents=True)
    (directory / "config.yaml").write_text(json.dumps(_configuration(planned, flow, quota_mib)))
    return planned


def _healthy(collector: Collector) -> bool:
    try:
        with urlopen(f"http://{collector.health}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _up(collector: Collector, *, wait_healthy: bool) -> bool:
    listening = listens(collector.grpc) and listens(collector.http)
    return listening and (_healthy(collector) or not wait_healthy)


@contextmanager
def running_collector(
    directory: Path, exporters: Mapping[str, object] | Flow, *, quota_mib: int = 4096, wait_healthy: bool = True
) -> Iterator[Collector]:
    """Run a collector with a flow, or with exporters for logs and traces, behind an OTLP receiver until the block ends.

    Without `wait_healthy` it need only listen, since a destination may be down on purpose.

    Raises:
        RuntimeError: it stopped or did not become healthy; the end of its log is the message.
    """
    flow = exporters if isinstance(exporters, Flow) else Flow.of(exporters)
    planned = write_configuration(directory, flow, quota_mib=quota_mib)
    log = directory / "collector.log"
    command = [str(Path(sys.executable).with_name("ganglion")), "run", "--config", str(directory / "config.yaml")]
    with started(command, log, {**os.environ, "GANGLION_HOME": str(planned.home)}) as process:
        collector = replace(planned, pid=process.pid)
        try:
            wait_until(
                lambda: process.poll() is not None or _up(collector, wait_healthy=wait_healthy),
                "the collector to be up",
            )
        except TimeoutError as error:
            raise RuntimeError(f"{error}: {_tail(log)}") from None
        if process.poll() is not None:
            raise RuntimeError(f"the collector stopped with {process.returncode}: {_tail(log)}")
        yield collector


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
