"""A collector on free ports from a YAML string: real processes, stopped also when the test fails."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

_RUN = """\
import asyncio, json, os, sys
from pathlib import Path
from ganglion_collector.supervisor import SupervisorSettings, run
given = json.loads(sys.argv[1])
given["home"] = Path(given["home"])
sys.exit(asyncio.run(run(SupervisorSettings(environ=dict(os.environ), **given))))
"""

HEADER = """\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0"}
      http: {endpoint: "127.0.0.1:0"}
extensions:
  health_check: {endpoint: "127.0.0.1:0"}
"""
TELEMETRY = """\
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0}}}}]}
"""


def simple(exporters: str, *pipelines: str) -> str:
    """Return a configuration on free ports; `exporters` as flow YAML, each pipeline as `signal: [exporter, …]`."""
    lines = "".join(
        f"    {name}: {{receivers: [otlp], exporters:{found}}}\n"
        for name, _, found in (pipeline.partition(":") for pipeline in pipelines)
    )
    return f"{HEADER}exporters: {exporters}\nservice:\n  extensions: [health_check]\n  pipelines:\n{lines}{TELEMETRY}"


class RunningCollector:
    """One supervisor process and what it started; `home` outlives it."""

    def __init__(
        self,
        text: str,
        home: Path,
        environ: Mapping[str, str] | None = None,
        *,
        embedded: bool = False,
        monitoring: bool = False,
    ) -> None:
        self.home = home
        self.config = home.parent / f"{home.name}.yaml"
        self.config.write_text(text, encoding="utf-8")
        self.log = home.parent / f"{home.name}.log"
        self._environ = {**os.environ, **(environ or {})}
        self._embedded = embedded
        self._monitoring = monitoring
        self._process: subprocess.Popen[bytes] | None = None
        self._events = -1
        self._buffer = b""

    def launch(self) -> None:
        """Start it and do not wait."""
        self._events, writing = os.pipe()
        self._buffer = b""
        given = {
            "uris": [str(self.config)],
            "home": str(self.home),
            "embedded": self._embedded,
            "monitoring": self._monitoring,
            "readiness_fd": writing,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUN, json.dumps(given)],
                stdout=log,
                stderr=log,
                env=self._environ,
                pass_fds=(writing,),
            )
        os.close(writing)

    def start(self, timeout: float = 30.0) -> "RunningCollector":
        """Start it and return when it is healthy."""
        self.launch()
        last = self.wait_event("healthy", "failed", timeout=timeout)
        assert last["event"] == "healthy", f"{last}\n{self.logs()}"
        return self

    def wait_event(self, *events: str, timeout: float = 30.0) -> dict[str, Any]:
        """Return the next of these readiness events."""
        deadline = time.monotonic() + timeout
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                message: dict[str, Any] = json.loads(line)
                if message["event"] in events:
                    return message
                continue
            readable, _, _ = select.select([self._events], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"no {events} within {timeout} s\n{self.logs()}"
            more = os.read(self._events, 65_536)
            assert more, f"the supervisor ended\n{self.logs()}"
            self._buffer += more

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.home / "run" / "status.json").read_text())
        return status

    def address(self, name: str) -> str:
        return str(self.status()["addresses"][name])

    def process(self, name: str) -> dict[str, Any]:
        """Return the process whose name begins so."""
        return next(found for found in self.status()["processes"] if found["name"].startswith(name))

    def kill(self, name: str) -> int:
        """Kill a process without warning; return its id."""
        pid = int(self.process(name)["pid"])
        with contextlib.suppress(ProcessLookupError):  # it may have ended since
            os.kill(pid, signal.SIGKILL)
        return pid

    def get(self, server: str, path: str = "/") -> tuple[int, str]:
        """Ask the `health` or `metrics` server."""
        try:
            with urllib.request.urlopen(f"http://{self.address(server)}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[str, float]:
        """Return every sample by its name and labels, as they are written."""
        lines = [line for line in self.get("metrics", "/metrics")[1].splitlines() if not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def post(self, path: str, body: bytes, timeout: float = 10.0) -> int:
        """Post an OTLP protobuf request and return the status."""
        request = urllib.request.Request(
            f"http://{self.address('otlp/http')}{path}", body, {"content-type": "application/x-protobuf"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def logs(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 20.0) -> int:
        """Return the exit code."""
        assert self._process is not None
        code = self._process.wait(timeout)
        if self._events >= 0:
            os.close(self._events)
            self._events = -1
        return code

    def stop(self) -> int:
        """Stop it in order; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.wait()


MakeCollector = Callable[..., RunningCollector]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[MakeCollector]:
    """Make collectors: `collector(yaml, environ=…, embedded=…)`; `.start()` each. All end with the test."""
    made: list[RunningCollector] = []
    tmp_path.chmod(0o711)

    def make(
        text: str,
        *,
        environ: Mapping[str, str] | None = None,
        home: str = "home",
        embedded: bool = False,
        monitoring: bool = False,
    ) -> RunningCollector:
        made.append(RunningCollector(text, tmp_path / home, environ, embedded=embedded, monitoring=monitoring))
        return made[-1]

    yield make
    for one in made:
        one.close()


def eventually(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Wait until `condition` holds: for what another process does and nothing tells."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)
