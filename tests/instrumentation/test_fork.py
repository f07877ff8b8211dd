"""Processes that fork, before and after the first item was sent: every child sends its own, none its parent's."""

import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest
from ganglion_collector.testing import Answer, OTLPSink

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

PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])


FORKING = """
import os
import ganglion

ganglion.configure()
log = ganglion.get_logger("family")
log.info("sent by the parent")
assert ganglion.flush()
log.info("waiting in the parent")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        with ganglion.trace_span(f"child {number}"):
            log.info(f"child {number}")
        os._exit(0 if ganglion.flush() else 1)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
log.info("parent again")
"""


@PROTOCOLS
async def test_a_forked_child_sends_its_own_and_nothing_of_its_parent(
    sink: OTLPSink, protocol: str, tmp_path: Path
) -> None:
    program = await run(FORKING, environment(sink, protocol), tmp_path)

    assert program.process.returncode == 0, program.output
    sent = Counter(body for body in bodies(sink) if not body.endswith(("_started", "_completed")))
    assert sent == Counter(
        ["sent by the parent", "waiting in the parent", "parent again", *(f"child {number}" for number in range(3))]
    )
    assert Counter(span["name"] for span in spans_of(sink)) == Counter(f"child {number}" for number in range(3))


@PROTOCOLS
async def test_each_process_is_an_instance_of_its_own(sink: OTLPSink, protocol: str, tmp_path: Path) -> None:
    await run(FORKING, environment(sink, protocol), tmp_path)

    resources = [record["resource"] for record in logs_of(sink)]
    instances = {resource["service.instance.id"] for resource in resources}
    processes = {resource["process.pid"] for resource in resources}
    assert len(instances) == len(processes) == 4


MULTIPROCESSING = """
import multiprocessing, sys
import ganglion

ganglion.configure()
log = ganglion.get_logger("family")

def work(number):
    log.info(f"child {number}")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    log.info("parent")
    children = [context.Process(target=work, args=(number,)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_children_of_multiprocessing_send_what_they_have_at_their_end(
    sink: OTLPSink, method: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(MULTIPROCESSING)
    async with started([BIN / "python", path, method], environment(sink), tmp_path) as program:
        assert await program.ends() == 0, program.output

    assert sorted(bodies(sink)) == ["child 0", "child 1", "parent"]


WSGI = """
import os
import ganglion

ganglion.configure()
log = ganglion.get_logger("shop")
log.info("loaded")

def app(environ, start_response):
    with ganglion.trace_span("buy"):
        log.info("bought" + environ["PATH_INFO"])
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@PROTOCOLS
async def test_gunicorn_with_preload_sends_from_every_worker(sink: OTLPSink, protocol: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    port = free_port()
    argv: list[str | Path] = [
        BIN / "gunicorn",
        "--preload",
        "-w",
        "3",
        "-b",
        f"127.0.0.1:{port}",
        "--no-control-socket",
        "app:app",
    ]
    async with started(argv, environment(sink, protocol), tmp_path) as program:
        first = await answered(f"http://127.0.0.1:{port}/first", program)
        workers = [int(first.text), *[await bought(port, number) for number in range(60)]]
        assert await program.terminate() == 0

    sent = Counter(bodies(sink))
    assert sent["loaded"] == 1
    assert all(sent[f"bought/{number}"] == 1 for number in range(60))
    assert {record["resource"]["process.pid"] for record in logs_of(sink) if record["body"] != "loaded"} >= set(workers)
    assert len({span["resource"]["service.instance.id"] for span in spans_of(sink)}) == len(set(workers)) > 1


async def bought(port: int, number: int) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"http://127.0.0.1:{port}/{number}")).text)


ASGI = """
import logging, os
from fastapi import FastAPI

logger = logging.getLogger("shop")
app = FastAPI()

@app.get("/{number}")
async def buy(number: int) -> int:
    logger.info("bought %d", number)
    return os.getpid()
"""


async def test_uvicorn_with_workers_sends_from_every_worker(sink: OTLPSink, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ASGI)
    port = free_port()
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000")
    uvicorn: list[str | Path] = [BIN / "uvicorn", "app:app", "--port", str(port), "--workers", "2"]
    async with started([BIN / "opentelemetry-instrument", *uvicorn], env, tmp_path) as program:
        await program.says("Application startup complete", 2)
        workers = [await bought(port, number) for number in range(40)]
        await program.terminate()

    sent = Counter(bodies(sink))
    assert all(sent[f"bought {number}"] == 1 for number in range(40)), program.output
    pids = {record["resource"]["process.pid"] for record in logs_of(sink) if record["body"].startswith("bought")}
    assert pids == set(workers)


UVICORN = ["uvicorn", "app:app", "--port", "{port}"]
GUNICORN = [
    "gunicorn",
    "app:app",
    "-k",
    "uvicorn.workers.UvicornWorker",
    "-b",
    "127.0.0.1:{port}",
    "--no-control-socket",
]
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn, two workers": [*UVICORN, "--workers", "2"],
    "gunicorn": GUNICORN,
    "gunicorn, preloaded": [*GUNICORN, "--preload", "-w", "2"],
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("signalled", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_servers_that_load_a_configured_application_send_all_at_their_end(
    sink: OTLPSink, server: list[str], signalled: signal.Signals, tmp_path: Path
) -> None:
    """These servers put SIGTERM back to its default action, and end by it, after the application was configured."""
    (tmp_path / "app.py").write_text(f"import ganglion\n\nganglion.configure()\n{ASGI}")
    port = free_port()
    argv: list[str | Path] = [BIN / server[0], *(word.format(port=port) for word in server[1:])]
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000", OTEL_BSP_SCHEDULE_DELAY="60000")
    async with started(argv, env | {"PYTHONWARNINGS": "ignore"}, tmp_path) as program:
        await answered(f"http://127.0.0.1:{port}/1000", program)
        for number in range(20):
            await bought(port, number)
        os.killpg(program.process.pid, signalled)  # as a terminal does
        await program.ends()

    sent = Counter(bodies(sink))
    assert all(sent[f"bought {number}"] == 1 for number in range(20)), program.output
    assert len(spans_of(sink)) == sent["http_response_sent"] >= 21


CONFIGURED_IN_CHILD = """
import multiprocessing, sys

def work(number):
    import ganglion

    ganglion.configure()
    ganglion.get_logger("family").info(f"child {number}")

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(0,))
    child.start()
    child.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_a_child_of_multiprocessing_that_configures_itself_sends_all_at_its_end(
    sink: OTLPSink, method: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(CONFIGURED_IN_CHILD)
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000")
    async with started([BIN / "python", path, method], env, tmp_path) as program:
        assert await program.ends() == 0, program.output

    assert bodies(sink) == ["child 0"]


POOL = """
import multiprocessing, sys
import ganglion

ganglion.configure()

def work(number):
    ganglion.get_logger("family").info(f"task {number}")

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        pool.map(work, range(20))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_workers_of_a_pool_send_all_though_the_pool_terminates_them(
    sink: OTLPSink, method: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(POOL)
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000")
    async with started([BIN / "python", path, method], env, tmp_path) as program:
        assert await program.ends() == 0, program.output

    assert Counter(bodies(sink)) == Counter(f"task {number}" for number in range(20))


FORKING_WHILE_HANGING = """
import os, time
import ganglion
from opentelemetry import metrics

ganglion.configure()
log = ganglion.get_logger("family")
metrics.get_meter("family").create_counter("forks").add(1)
log.info("sent to nobody")
time.sleep(0.5)  # the exporters are in the middle of their calls
for number in range(2):
    child = os.fork()
    if not child:
        log.info(f"child {number}")
        start = time.monotonic()
        ganglion.shutdown(0.5)
        os._exit(0 if time.monotonic() - start < 3 else 1)
    assert os.waitpid(child, 0)[1] == 0
"""


@PROTOCOLS
async def test_a_fork_while_the_collector_hangs_blocks_nobody(protocol: str, tmp_path: Path, hanging: str) -> None:
    env = environment(None) | {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": hanging,
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "GANGLION_SHUTDOWN_TIMEOUT": "0.5",
    }
    program = await run(FORKING_WHILE_HANGING, env, tmp_path)

    assert program.process.returncode == 0, program.output
    assert sum("items of logs dropped" in line for line in program.lines) == 3


FORKING_AMID_METRICS = """
import os, threading, time
import ganglion
from opentelemetry import metrics

ganglion.configure()
counter = metrics.get_meter("family").create_counter("forks")
counter.add(1, {"who": "parent"})
flushing = threading.Thread(target=ganglion.flush)
flushing.start()
time.sleep(0.4)  # the export of the metrics takes a second
child = os.fork()
if not child:
    counter.add(1, {"who": "child"})
    os._exit(0 if ganglion.flush(8) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


async def test_a_fork_amid_an_export_of_metrics_leaves_the_child_its_own(tmp_path: Path) -> None:
    async with OTLPSink(Answer(delay=1.0)) as sink:
        program = await run(FORKING_AMID_METRICS, environment(sink), tmp_path)
        points = metrics_of(sink)["forks"]

    assert program.process.returncode == 0, program.output
    assert {attributes["who"] for attributes, _ in points} == {"parent", "child"}
