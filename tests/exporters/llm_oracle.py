"""Programs run, their spans made runs as the exporter makes them, and these sent to a LangSmith."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import httpx
from ganglion_collector.component import Record, Signal
from ganglion_collector.otlp import count_items
from ganglion_collector.testing import make_batch
from ganglion_exporters._langsmith.assembly import AssemblySettings, assemble
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.encoding import encode
from ganglion_exporters._langsmith.model import Draft, Run
from ganglion_exporters.langsmith import LangSmithConfig, LangSmithExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fix_collector import eventually
from tests.langsmith_server import LangSmithServer

__all__ = ["RECORDINGS", "deliver", "export", "run_program", "runs_of"]

RECORDINGS = Path(__file__).with_name("llm_recordings")
_ROOT = Path(__file__).resolve().parents[2]
_BOUNDARY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def run_program(module: str, server: LangSmithServer, *argv: str, python: str = sys.executable, **more: str) -> None:
    """Run a program to its end: its spans come to the server as OTLP, and what langsmith uploads itself."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "GANGLION_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "ANTHROPIC_"))
    }
    environment = {
        **inherited,
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_TRACING_MODE": "langsmith",
        "LANGSMITH_ENDPOINT": server.url,
        "LANGSMITH_API_KEY": "key",
        "LANGSMITH_PROJECT": "oracle",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server.url}/otel/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=key",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        **more,
    }
    done = subprocess.run(
        [python, "-m", f"tests.exporters.llm_programs.{module}", *argv],
        env=environment,
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def runs_of(requests: Iterable[ExportTraceServiceRequest]) -> list[Run]:
    """Convert and assemble all spans, trace by trace, as if they had just come."""
    settings = ConversionSettings()
    traces: dict[bytes, list[Draft]] = {}
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    draft = convert(span, resource.resource, scope.scope, settings)
                    traces.setdefault(span.trace_id, []).append(draft)
    runs = list[Run]()
    for drafts in traces.values():
        assembly = assemble(drafts, {}, AssemblySettings(), max(draft.end for draft in drafts))
        assert not assembly.rejected
        runs += assembly.runs
    return runs


async def export(
    requests: Sequence[ExportTraceServiceRequest], server: LangSmithServer, folder: Path, *, known: bool = False
) -> None:
    """Give the requests to the exporter, as a worker does, and return when all their spans have arrived.

    `known`: the server has all of these runs, and says so of each.
    """
    quick = {"settle": "50ms", "idle_timeout": "200ms"}
    given = {"endpoint": server.url, "api_key": "key", "project": "oracle", "assembly": quick}
    exporter = LangSmithExporter(LangSmithConfig.model_validate(given))
    exporter.keep_in(folder)
    exporter.bury_with(_not_buried)
    await exporter.start()
    spans = sum(count_items(Signal.TRACES, request) for request in requests)
    try:
        await exporter.export(make_batch(*requests, signal=Signal.TRACES))
        await asyncio.to_thread(server.wait_for_runs, spans)
        if known:
            await asyncio.to_thread(eventually, lambda: [one.status for one in server.requests].count(409) >= spans)
    finally:
        await exporter.shutdown()


async def _not_buried(_record: Record, reason: str) -> None:
    raise AssertionError(f"a run was set aside: {reason}")


def deliver(runs: list[Run], server: LangSmithServer) -> None:
    """Send the runs in one request, as the exporter encodes them."""
    headers: Mapping[str, str] = {
        "X-Api-Key": "key",
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
    }
    body = encode(runs, _BOUNDARY)
    answer = httpx.post(f"{server.url}/runs/multipart", content=body, headers=headers, verify=False, timeout=10)
    assert answer.status_code == 202, answer.text
