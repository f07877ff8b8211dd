"""What a service pays for its telemetry, JSON lines and OTLP to a durable collector both on, against the same without.

Calls are timed in one process, requests at two servers of one application, one of them under
`opentelemetry-instrument`; they take turns. Then a RAG service takes 100 uploads at once: are all its logs stored?
"""

import asyncio
import http.client
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import httpx
import psutil
import psycopg

from bench.collector import Collector, running_collector
from bench.postgresql import running_postgresql, server
from bench.processes import cpu_seconds, free_port, process_tree, started, wait_until
from bench.report import Budget, Figure, Scale, median
from examples import rag_demo
from examples.running import running_service

__all__ = ["run"]

_LOG = Budget(first=40, goal=15, better="less")
_SPAN = Budget(first=40, goal=20, better="less")
_REQUEST = Budget(first=0.5, goal=0.3, better="less")
_ALL = Budget(first=1, goal=1)
_BIN = Path(sys.executable).parent
_REQUESTS_A_ROUND = 100
_UPLOADS = 100
_LARGEST_FILE = 20_000

_Bursts = dict[str, list[dict[str, float]]]


def _environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GANGLION_"))}
    return inherited | more


def _telemetry(collector: Collector, service: str) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.grpc}",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_PYTHON_DISTRO": "ganglion",
    }


def _calls(collector: Collector, directory: Path, rounds: int) -> _Bursts:
    figures = directory / "calls.json"
    with (directory / "calls.log").open("wb") as output:
        subprocess.run(
            [sys.executable, "-m", "bench.instrumentation_calls", str(figures), str(rounds)],
            check=True,
            stdout=output,
            env=_environment(**_telemetry(collector, "bench-calls")),
            cwd=Path(__file__).parents[1],
        )
    found = json.loads(figures.read_text())
    if not found["complete"]:
        raise RuntimeError("the calls' telemetry did not all reach the collector")
    bursts: _Bursts = found["bursts"]
    return bursts


def _call(what: str, ours: list[dict[str, float]], other: list[dict[str, float]] | None, budget: Budget) -> Figure:
    wall, cpu, everything = (median(burst[kind] for burst in ours) * 1e6 for kind in ("wall", "cpu", "all_cpu"))
    return Figure(
        what,
        wall,
        "µs",
        budget=budget,
        note=f"fastest burst {min(burst['wall'] for burst in ours) * 1e6:.1f}; caller's CPU {cpu:.1f}; CPU of all "
        f"threads until it is sent {everything:.1f}"
        + (f"; without Ganglion {median(burst['wall'] for burst in other) * 1e6:.1f}" if other else ""),
    )


def _call_figures(bursts: _Bursts) -> Iterator[Figure]:
    yield _call(
        "a log call, 4 fields and 3 ids (without: structlog, JSON line only)", bursts["log"], bursts["structlog"], _LOG
    )
    yield _call(
        "a span, 3 attributes and 3 ids (without: SDK, OTLP, no ids)", bursts["span"], bursts["sdk_span"], _SPAN
    )
    yield _call("trace_span: a span and its two logs", bursts["trace_span"], None, Budget(120, 50, "less"))


@dataclass(frozen=True, slots=True)
class _Server:
    address: str
    processes: Sequence[psutil.Process]


@contextmanager
def _served(directory: Path, name: str, variables: Mapping[str, str]) -> Iterator[_Server]:
    """Run the application with access log, as uvicorn has it by default."""
    port = free_port()
    uvicorn = [str(_BIN / "uvicorn"), "bench.instrumentation_app:app", "--port", str(port)]
    wrapped = [str(_BIN / "opentelemetry-instrument")] if variables else []
    environment = _environment(**variables, PYTHONPATH=str(Path(__file__).parents[1]))
    with started([*wrapped, *uvicorn], directory / f"{name}.log", environment) as process:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or _answers(address), f"the {name} application")
        if process.poll() is not None:
            raise RuntimeError(f"the application ended: {(directory / f'{name}.log').read_text()[-2000:]}")
        yield _Server(address, process_tree(process.pid))


def _answers(address: str) -> bool:
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("GET", "/items/1")
        return connection.getresponse().status == 200
    return False


@dataclass(frozen=True, slots=True)
class _Round:
    """Seconds of a request in the middle of one round, and of the server's processor."""

    latency: float
    cpu: float


def _round(target: _Server, connection: http.client.HTTPConnection) -> _Round:
    before = cpu_seconds(target.processes)
    latencies: list[float] = []
    for number in range(_REQUESTS_A_ROUND):
        begin = time.perf_counter()
        connection.request("GET", f"/items/{number}")
        connection.getresponse().read()
        latencies.append(time.perf_counter() - begin)
    return _Round(median(latencies), (cpu_seconds(target.processes) - before) / _REQUESTS_A_ROUND)


def _requests(directory: Path, collector: Collector, rounds: int) -> Iterator[Figure]:
    with (
        _served(directory, "plain", {}) as plain,
        _served(directory, "ours", _telemetry(collector, "bench-app")) as ours,
    ):
        connections = {target.address: http.client.HTTPConnection(target.address) for target in (plain, ours)}
        found: dict[str, list[_Round]] = {target.address: [] for target in (plain, ours)}
        for number in range(rounds + 2):
            for target in (plain, ours):
                result = _round(target, connections[target.address])
                if number >= 2:
                    found[target.address].append(result)
        for connection in connections.values():
            connection.close()
    with_it, without = found[ours.address], found[plain.address]
    more = [(mine.latency - other.latency) * 1e3 for mine, other in zip(with_it, without, strict=True)]
    # The system counts processor time in steps of 10 ms, so all rounds together.
    cpu = (fmean(one.cpu for one in with_it) - fmean(one.cpu for one in without)) * 1e3
    yield Figure(
        "a request: more than without",
        median(more),
        "ms",
        budget=_REQUEST,
        note=f"one at a time; {median(one.latency for one in with_it) * 1e3:.2f} ms against "
        f"{median(one.latency for one in without) * 1e3:.2f}; rounds {min(more):.2f} to {max(more):.2f}; a span, two "
        "request events and the access log",
    )
    yield Figure("a request: more CPU of the server, sending included", cpu, "ms")


_PROGRAMS = {
    "nothing": "",
    "import ganglion": "import ganglion",
    "configure": "import ganglion; ganglion.configure(service_name='bench')",
    "sdk": """
from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
spans, logs = TracerProvider(), LoggerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
trace.set_tracer_provider(spans)
_logs.set_logger_provider(logs)
""",
}
_TIMED = """
import os, time
begin = time.perf_counter()
{}
print(time.perf_counter() - begin, flush=True)
os._exit(0)
"""


def _starts(collector: Collector, rounds: int) -> Iterator[Figure]:
    environment = _environment(**_telemetry(collector, "bench-start"))
    found: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for _ in range(rounds):
        for name, program in _PROGRAMS.items():
            command = [sys.executable, "-c", _TIMED.format(program)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            found[name].append(float(done.stdout.splitlines()[-1]))
    yield Figure("import ganglion", median(found["import ganglion"]) * 1e3, "ms", budget=Budget(5, 1, "less"))
    yield Figure(
        "import ganglion and configure()",
        median(found["configure"]) * 1e3,
        "ms",
        note=f"of it the OpenTelemetry SDK and its gRPC exporters by themselves {median(found['sdk']) * 1e3:.0f} ms; "
        f"fastest {min(found['configure']) * 1e3:.0f} ms",
    )


def _files() -> list[tuple[str, bytes]]:
    documents = sorted((Path(__file__).parents[1] / "docs").rglob("*.md"))
    chosen = itertools.islice(itertools.cycle(documents), _UPLOADS)
    return [
        (f"{number}-{path.name}", f"# Upload {number}\n\n{path.read_text()[:_LARGEST_FILE]}".encode())
        for number, path in enumerate(chosen)
    ]


async def _upload_all(url: str) -> list[int]:
    limits = httpx.Limits(max_connections=_UPLOADS)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        uploads = [client.post("/documents", files={"file": file}) for file in _files()]
        return [answer.status_code for answer in await asyncio.gather(*uploads)]


def _count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM logs WHERE service_name = 'rag-service'").fetchone()
    return int(row[0]) if row else 0


def _uploads(directory: Path) -> Iterator[Figure]:
    with running_postgresql(server(directory / "database")) as dsn:
        exporters: dict[str, object] = {"postgresql": {"dsn": dsn}}
        with running_collector(directory / "uploads", exporters) as collector:
            variables = rag_demo.otel_variables({"otlp/grpc": collector.grpc, "otlp/http": collector.http}, "grpc")
            # This collector has no pipeline for metrics, and what exporters complain about is printed, but not sent.
            with running_service(rag_demo.PROGRAM, variables | {"OTEL_METRICS_EXPORTER": "none"}) as service:
                begin = time.perf_counter()
                statuses = asyncio.run(_upload_all(service.url))
                took = time.perf_counter() - begin
            logs = rag_demo.logs_of(service)
            with suppress(TimeoutError):
                wait_until(lambda: _count(dsn) >= len(logs), "all logs in PostgreSQL", 30)
            stored = _count(dsn)
    yield Figure(
        f"{_UPLOADS} uploads at once: logs in PostgreSQL",
        stored,
        "logs",
        len(logs),
        _ALL,
        f"reference: lines that the service printed; {statuses.count(201)} uploads answered 201, all in {took:.1f} s",
    )


def run(scale: Scale) -> Iterator[Figure]:
    """Yield what a log call, a span, a request and the start cost, and how many logs of 100 uploads are stored."""
    directory = scale.directory / "instrumentation"
    exporters: dict[str, object] = {"debug": {}}
    with running_collector(directory, exporters) as collector:
        yield from _call_figures(_calls(collector, directory, scale.pick(15, 100)))
        yield from _requests(directory, collector, scale.pick(8, 40))
        yield from _starts(collector, scale.pick(3, 15))
    yield from _uploads(directory)
