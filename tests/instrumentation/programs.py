"""Programs as a user would start them, beside an OTLP sink that keeps what they send."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from ganglion_collector.component import Signal
from ganglion_collector.testing import OTLPSink

BIN = Path(sys.executable).parent
PATIENCE = 30.0


def environment(sink: OTLPSink | None, protocol: str = "grpc", **more: str) -> dict[str, str]:
    """Return a clean environment that sends to the sink."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GANGLION_"))}
    chosen = {"OTEL_SERVICE_NAME": "subject", "OTEL_PYTHON_DISTRO": "ganglion"}
    if sink is not None:
        chosen["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
        chosen["OTEL_EXPORTER_OTLP_ENDPOINT"] = (
            f"http://{sink.grpc_endpoint}" if protocol == "grpc" else sink.http_endpoint
        )
    return {**inherited, **chosen, **more}


class Program:
    """A started process; its output is kept line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def says(self, text: str, times: int = 1) -> None:
        """Wait until the output has `text` in so many lines."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: sum(text in line for line in self.lines) >= times)
        except TimeoutError:
            raise AssertionError(f"{text!r} was not said:\n{self.output}") from None

    async def ends(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; return the exit status."""
        try:
            async with asyncio.timeout(timeout):
                await self._reader
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"it did not end:\n{self.output}") from None

    async def terminate(self, timeout: float = PATIENCE) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ends(timeout)


@asynccontextmanager
async def started(argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> AsyncIterator[Program]:
    """Run a program in a process group of its own, which is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=env,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await program.ends()


async def run(source: str, env: Mapping[str, str], folder: Path, *prefix: str | Path) -> Program:
    """Run a Python program to its end."""
    path = folder / "program.py"
    path.write_text(source, encoding="utf-8")
    async with started([*(prefix or [sys.executable]), path], env, folder) as program:
        await program.ends()
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answered(url: str, program: Program) -> httpx.Response:
    """Ask until the server listens."""
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE):
        while True:
            try:
                return await client.get(url)
            except httpx.TransportError:
                assert program.process.returncode is None, program.output
                await asyncio.sleep(0.05)


def logs_of(sink: OTLPSink) -> list[dict[str, Any]]:
    """Return each log record that came, with its resource."""
    found: list[dict[str, Any]] = []
    for request in sink.requests:
        if request.signal is not Signal.LOGS:
            continue
        parsed: Any = request.parsed()
        for resource in parsed.resource_logs:
            for scope in resource.scope_logs:
                found += [
                    {
                        "body": record.body.string_value,
                        "trace_id": record.trace_id.hex(),
                        "attributes": _values(record.attributes),
                        "resource": _values(resource.resource.attributes),
                    }
                    for record in scope.log_records
                ]
    return found


def bodies(sink: OTLPSink) -> list[str]:
    return [record["body"] for record in logs_of(sink)]


def spans_of(sink: OTLPSink) -> list[dict[str, Any]]:
    """Return each span that came, with its resource."""
    found: list[dict[str, Any]] = []
    for request in sink.requests:
        if request.signal is not Signal.TRACES:
            continue
        parsed: Any = request.parsed()
        for resource in parsed.resource_spans:
            for scope in resource.scope_spans:
                found += [
                    {
                        "name": span.name,
                        "trace_id": span.trace_id.hex(),
                        "attributes": _values(span.attributes),
                        "resource": _values(resource.resource.attributes),
                        "scope": scope.scope.name,
                    }
                    for span in scope.spans
                ]
    return found


def metrics_of(sink: OTLPSink) -> dict[str, list[tuple[dict[str, Any], float]]]:
    """Return the points of the newest state of each metric, over all processes: attributes and value."""
    found: dict[str, dict[str, tuple[dict[str, Any], float]]] = {}
    for request in sink.requests:
        if request.signal is not Signal.METRICS:
            continue
        parsed: Any = request.parsed()
        for resource in parsed.resource_metrics:
            instance = _values(resource.resource.attributes).get("service.instance.id")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, str(metric.WhichOneof("data")))
                    for point in data.data_points:
                        attributes = _values(point.attributes)
                        value = getattr(point, "as_int", 0) or getattr(point, "as_double", 0.0)
                        found.setdefault(metric.name, {})[f"{instance}{attributes}"] = (attributes, value)
    return {name: list(points.values()) for name, points in found.items()}


def _values(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in attributes}
