"""What every demonstration needs: the running collector, an instrumented service beside it, and the trace it left."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

__all__ = [
    "BIN",
    "PATIENCE",
    "DemoError",
    "Program",
    "Protocol",
    "RunningService",
    "collector_addresses",
    "exporter_variables",
    "ganglion",
    "running_service",
    "wait_for_logs",
    "wait_for_trace",
]

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds until the demo gives up on the service or the collector."""

Protocol = Literal["grpc", "http/protobuf"]


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A service that uvicorn runs: `app` in `folder`, ended by the signal `stop`."""

    app: str
    folder: Path
    stop: signal.Signals = signal.SIGTERM


def ganglion(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ganglion"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


def collector_addresses(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return where the running collector listens, by name: `otlp/grpc`, `otlp/http` …"""
    status = ganglion("status", "--json", environ=environ)
    try:
        found: dict[str, Any] = json.loads(status.stdout)
    except ValueError:
        raise DemoError(f"`ganglion status` failed: {status.stderr.strip() or status.returncode}") from None
    if not found.get("healthy"):
        raise DemoError("Ganglion is not running here, or not healthy. Start it with: make up")
    addresses: dict[str, str] = found["addresses"]
    return addresses


def exporter_variables(addresses: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """Return what tells a service where its telemetry goes."""
    name = "otlp/grpc" if protocol == "grpc" else "otlp/http"
    if name not in addresses:
        raise DemoError(f"the collector has no OTLP receiver for {protocol}: {', '.join(addresses)}")
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{addresses[name]}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


class RunningService(threading.Thread):
    """Reads all that the service prints, so that it never blocks; finds the URL it listens on."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        """All that it printed so far, and after its end all that it ever printed."""
        self._stream = stream
        self._url: str | None = None
        self._settled = threading.Event()

    def run(self) -> None:
        for line in self._stream:
            self.lines.append(line)
            if self._url is None and (match := re.search(r"running on (http://[^\s\"]+)", line)):
                self._url = match[1]
                self._settled.set()
        self._settled.set()

    @property
    def url(self) -> str:
        if not self._settled.wait(PATIENCE) or self._url is None:
            raise DemoError("the service did not start:\n" + "".join(self.lines[-20:]))
        return self._url


@contextmanager
def running_service(program: Program, variables: Mapping[str, str]) -> Generator[RunningService]:
    """Run the service on a free port; at the end it has sent all its telemetry."""
    process = _start(program, variables)
    assert process.stdout is not None
    service = RunningService(process.stdout)
    service.start()
    try:
        assert service.url
        yield service
    finally:
        _stop(process, program.stop)
        service.join()
        process.stdout.close()


def _start(program: Program, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    uvicorn = [str(BIN / "uvicorn"), program.app, "--app-dir", str(program.folder), "--port", "0"]
    return subprocess.Popen(
        [str(BIN / "opentelemetry-instrument"), *uvicorn],
        env={**inherited, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _stop(process: subprocess.Popen[str], by: signal.Signals) -> None:
    process.send_signal(by)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise DemoError("the service did not stop; its last telemetry may be missing") from None


def wait_for_logs(service: str, since: str, count: int) -> int:
    """Return how many logs of a service since a time (ISO, UTC) are stored, as soon as it is at least `count`."""
    first, deadline = datetime.fromisoformat(since), time.monotonic() + PATIENCE
    while True:
        answer = ganglion("logs", "--service", service, "--since", "1h", "--limit", "100000", "--json")
        found: list[dict[str, str]] = json.loads(answer.stdout)["items"] if answer.returncode == 0 else []
        stored = sum(datetime.fromisoformat(log["timestamp"]) >= first for log in found)
        if stored >= count:
            return stored
        if time.monotonic() > deadline:
            raise DemoError(f"{stored} of {count} logs are stored after {PATIENCE:g} s: {answer.stderr.strip()}")
        time.sleep(0.1)


def wait_for_trace(trace_id: str, *, spans: int, logs: int, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what `ganglion trace --json --full` tells as soon as it holds at least that many spans and logs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ganglion("trace", trace_id, "--json", "--full", environ=environ)
        found: dict[str, Any] = json.loads(answer.stdout) if answer.returncode == 0 else {}
        if len(found.get("spans", ())) >= spans and len(found.get("logs", ())) >= logs:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"trace {trace_id} is not complete after {PATIENCE:g} s: {answer.stderr.strip()}")
        time.sleep(0.1)
