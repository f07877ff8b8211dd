"""A service runs under `opentelemetry-instrument` with nothing but variables."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from ganglion_collector.testing import OTLPSink

from tests.instrumentation.programs import (
    BIN,
    answered,
    bodies,
    environment,
    free_port,
    logs_of,
    metrics_of,
    run,
    spans_of,
    started,
)

APP = """
import logging
from fastapi import FastAPI

logger = logging.getLogger("shop")
app = FastAPI()

@app.get("/buy/{number}")
async def buy(number: int) -> dict[str, int]:
    logger.info("bought %d", number)
    return {"number": number}
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_variables_are_enough(sink: OTLPSink, protocol: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    argv: list[str | Path] = [BIN / "opentelemetry-instrument", BIN / "uvicorn", "app:app", "--port", str(port)]
    attributes = "service.version=1.2,deployment.environment.name=test,team=blue"
    env = environment(sink, protocol, OTEL_RESOURCE_ATTRIBUTES=attributes)
    async with started(argv, env, tmp_path) as program:
        await answered(f"http://127.0.0.1:{port}/buy/7", program)
        await program.terminate()

    (bought,) = [record for record in logs_of(sink) if record["body"] == "bought 7"]
    (server,) = [span for span in spans_of(sink) if span["name"] == "GET /buy/{number}"]
    assert bought["trace_id"] == server["trace_id"]
    assert "http.server.request.duration" in metrics_of(sink)
    assert (
        server["resource"]
        | {
            "service.name": "subject",
            "service.version": "1.2",
            "deployment.environment.name": "test",
            "team": "blue",
            "telemetry.sdk.language": "python",
        }
        == server["resource"]
    )
    assert {"service.instance.id", "host.name", "process.pid", "telemetry.auto.version"} <= server["resource"].keys()


async def test_sigterm_under_load_loses_nothing(sink: OTLPSink, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    argv: list[str | Path] = [BIN / "opentelemetry-instrument", BIN / "uvicorn", "app:app", "--port", str(port)]
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000")  # so that much waits
    async with started(argv, env, tmp_path) as program:
        await answered(f"http://127.0.0.1:{port}/buy/0", program)
        load = asyncio.create_task(buy_until_refused(port))
        await program.says("bought", 200)
        await program.terminate()
        answers = await load

    printed = [json.loads(line)["message"] for line in program.lines if '"bought' in line]
    assert len(answers) >= 200
    assert {f"bought {number}" for number in answers} <= set(printed)
    assert sorted(text for text in bodies(sink) if text.startswith("bought")) == sorted(printed)


async def buy_until_refused(port: int) -> list[int]:
    answers: list[int] = []
    numbers = iter(range(1, 1_000_000))

    async def one_customer(client: httpx.AsyncClient) -> None:
        for number in numbers:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/buy/{number}")
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                answers.append(number)

    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as customers:
        for _ in range(10):
            customers.create_task(one_customer(client))
    return answers


PLAIN = """
import sys
from opentelemetry import trace
import fastapi, httpx

with trace.get_tracer("plain").start_as_current_span("plain"):
    pass
print(*(name for name in sys.modules if name in ("ganglion.logs", "ganglion.fastapi", "ganglion._threads")))
"""


@pytest.mark.parametrize("configurator", ["configurator", "ganglion"])
async def test_another_distribution_stays_as_it_is(sink: OTLPSink, configurator: str, tmp_path: Path) -> None:
    """Ours may be asked to configure it, as the first of the entry points found; then it does what the SDK's does."""
    env = environment(sink, OTEL_PYTHON_DISTRO="distro", OTEL_PYTHON_CONFIGURATOR=configurator)
    env["PYTHONWARNINGS"] = "ignore"
    program = await run(PLAIN, env, tmp_path, BIN / "opentelemetry-instrument", BIN / "python")

    assert program.process.returncode == 0, program.output
    assert [span["name"] for span in spans_of(sink)] == ["plain"]
    instruments = {"ganglion.logs", "ganglion.fastapi", "ganglion._threads"}
    assert not instruments & set(program.lines[-1].split())


OUTGOING = """
import sys
import ganglion
ganglion.configure()
assert not {"httpx", "requests", "fastapi"} & set(sys.modules)
import httpx
with ganglion.trace_span("outer"):
    httpx.get(sys.argv[1])
"""


async def test_outgoing_requests_are_spans_and_their_library_is_not_imported_before(
    sink: OTLPSink, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(OUTGOING)
    async with started([BIN / "python", path, f"{sink.http_endpoint}/ask"], environment(sink), tmp_path) as program:
        assert await program.ends() == 0, program.output

    spans = {span["name"]: span for span in spans_of(sink)}
    assert spans["GET"]["trace_id"] == spans["outer"]["trace_id"]
    (asked,) = [request for request in sink.requests if request.path == "/ask"]
    assert spans["outer"]["trace_id"] in asked.headers["traceparent"]
