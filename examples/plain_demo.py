"""The demonstration of a service without a line of ours: `fastapi_service/` under any OpenTelemetry distribution.

One of the requests fails; its trace is shown.
"""

import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from examples.running import (
    BIN,
    PATIENCE,
    Program,
    Protocol,
    collector_addresses,
    exporter_variables,
    running_service,
    wait_for_trace,
)

__all__ = ["PROGRAM", "USER", "main", "otel_variables", "send_requests"]

# As Ctrl+C stops it: on SIGTERM uvicorn ends before the plain SDK has sent the rest.
PROGRAM = Program("app:app", Path(__file__).parent / "fastapi_service", stop=signal.SIGINT)
USER = "user-123"


def otel_variables(addresses: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """Return all that the service is told about its telemetry."""
    return {
        "OTEL_SERVICE_NAME": "document-search",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0,deployment.environment.name=demo",
        **exporter_variables(addresses, protocol),
        "OTEL_PYTHON_DISTRO": "distro",  # OpenTelemetry's own, though Ganglion's is installed here too
    }


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


def main() -> None:
    addresses = collector_addresses()
    print("A document search starts, told by OTEL_* variables alone where its telemetry goes:")
    variables = otel_variables(addresses, "grpc")
    for name, value in variables.items():
        print(f"  {name}={value}")
    print("\nRequests to it:")
    with running_service(PROGRAM, variables) as service:
        trace_id = send_requests(service.url, print)
    print("\nOne failed. What happened in it, by its trace id (the caller, named as its parent, is this demo,")
    print("which sends no spans of its own):\n", flush=True)
    # The request, the search, four statistics; a log when it starts and one when it fails.
    wait_for_trace(trace_id, spans=6, logs=2)
    subprocess.run([BIN / "ganglion", "trace", trace_id], check=True)
    print(f"\ntrace id: {trace_id}")
    print("\nMore to ask:")
    for command in ("trace " + trace_id, f"errors --user {USER} --since 1h", "logs --service document-search"):
        print(f"  .venv/bin/ganglion {command}")
