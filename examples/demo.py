"""Send real requests to an instrumented service and show what became of one of them.

Needs a running collector (`make up`). The service in `fastapi_service/` runs under `opentelemetry-instrument`, told by
OTEL_* variables alone where to send its telemetry. One of the requests fails; its trace is shown.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import httpx

SERVICE = Path(__file__).parent / "fastapi_service"
BIN = Path(sys.executable).parent
USER = "user-123"
PATIENCE = 60.0
"""Seconds until the demo gives up on the service or the collector."""

Protocol = Literal["grpc", "http/protobuf"]


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


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


def otel_variables(addresses: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """Return all that the service is told about its telemetry."""
    name = "otlp/grpc" if protocol == "grpc" else "otlp/http"
    if name not in addresses:
        raise DemoError(f"the collector has no OTLP receiver for {protocol}: {', '.join(addresses)}")
    return {
        "OTEL_SERVICE_NAME": "document-search",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0,deployment.environment.name=demo",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{addresses[name]}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


class _Output(threading.Thread):
    """Reads all that the service prints, so that it never blocks; finds the URL it listens on."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._last: deque[str] = deque(maxlen=20)
        self._url: str | None = None
        self._settled = threading.Event()

    def run(self) -> None:
        for line in self._stream:
            self._last.append(line)
            if self._url is None and (match := re.search(r"running on (http://\S+)", line)):
                self._url = match[1]
                self._settled.set()
        self._settled.set()

    def url(self) -> str:
        if not self._settled.wait(PATIENCE) or self._url is None:
            raise DemoError("the service did not start:\n" + "".join(self._last))
        return self._url


@contextmanager
def running_service(variables: Mapping[str, str]) -> Iterator[str]:
    """Run the service on a free port and yield its URL; at the end it has sent all its telemetry."""
    process = _start(variables)
    assert process.stderr is not None
    output = _Output(process.stderr)
    output.start()
    try:
        yield output.url()
    finally:
        _stop(process)
        output.join()
        process.stderr.close()


def _start(variables: Mapping[str, str]) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    uvicorn = [str(BIN / "uvicorn"), "app:app", "--app-dir", str(SERVICE), "--port", "0"]
    return subprocess.Popen(
        [str(BIN / "opentelemetry-instrument"), *uvicorn],
        env={**inherited, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _stop(process: subprocess.Popen[str]) -> None:
    # As Ctrl+C does: on SIGTERM uvicorn ends before the SDK has sent the rest.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise DemoError("the service did not stop; its last telemetry may be missing") from None


def send_requests(url: str, say: Callable[[str], None]) -> str:
    """Use the service as people do; return the trace id of the request that fails."""
    trace_id = secrets.token_hex(16)
    failing = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    with httpx.Client(base_url=url, headers={"X-User-ID": USER}, timeout=PATIENCE) as client:
        requests = [
            client.build_request("GET", "/search", params={"q": "lighthouse captain"}),
            client.build_request("GET", "/duplicates"),
            client.build_request("GET", "/documents/99"),
            client.build_request("POST", "/documents", json={"title": "Captain's log", "text": ""}),
            client.build_request("GET", "/report", params={"q": "lighthouse captain"}, headers=failing),
        ]
        for request in requests:
            response = client.send(request)
            say(f"  {request.method:4} {request.url.raw_path.decode():38} {response.status_code}")
    return trace_id


def wait_for_trace(trace_id: str, *, spans: int, logs: int, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what `ganglion trace --json` tells as soon as it holds at least that many spans and logs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ganglion("trace", trace_id, "--json", environ=environ)
        found: dict[str, Any] = json.loads(answer.stdout) if answer.returncode == 0 else {}
        if len(found.get("spans", ())) >= spans and len(found.get("logs", ())) >= logs:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"trace {trace_id} is not complete after {PATIENCE:g} s: {answer.stderr.strip()}")
        time.sleep(0.1)


def main() -> None:
    addresses = collector_addresses()
    print("A document search starts, told by OTEL_* variables alone where its telemetry goes:")
    variables = otel_variables(addresses, "grpc")
    for name, value in variables.items():
        print(f"  {name}={value}")
    print("\nRequests to it:")
    with running_service(variables) as url:
        trace_id = send_requests(url, print)
    print("\nOne failed. What happened in it, by its trace id (the caller, named as its parent, is this demo,")
    print("which sends no spans of its own):\n", flush=True)
    # The request, the search, four statistics; a log when it starts and one when it fails.
    wait_for_trace(trace_id, spans=6, logs=2)
    subprocess.run([BIN / "ganglion", "trace", trace_id], check=True)
    print(f"\ntrace id: {trace_id}")
    print("\nMore to ask:")
    for command in ("trace " + trace_id, f"errors --user {USER} --since 1h", "logs --service document-search"):
        print(f"  .venv/bin/ganglion {command}")


if __name__ == "__main__":
    try:
        main()
    except (DemoError, httpx.HTTPError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
