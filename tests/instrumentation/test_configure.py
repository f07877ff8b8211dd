"""One line of code, `ganglion.configure()`: settings, variables, and what it does not do to a service."""

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from ganglion._settings import Settings
from ganglion_collector.component import Signal
from ganglion_collector.testing import Answer, OTLPSink

from tests.instrumentation.programs import (
    BIN,
    PATIENCE,
    bodies,
    environment,
    logs_of,
    metrics_of,
    run,
    spans_of,
    started,
)

SUBJECT = """
import sys
import ganglion
from opentelemetry import metrics

ganglion.configure({arguments})
log = ganglion.get_logger("shop")
with ganglion.bound(user_id="u1"), ganglion.trace_span("buy"):
    log.info("bought", price=3)
metrics.get_meter("shop").create_counter("purchases").add(1)
"""


def program(arguments: str = "") -> str:
    return SUBJECT.format(arguments=arguments)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_one_line_is_enough(sink: OTLPSink, protocol: str, tmp_path: Path) -> None:
    endpoint = f"http://{sink.grpc_endpoint}" if protocol == "grpc" else sink.http_endpoint
    arguments = (
        f"service_name='shop', service_version='2', environment='test', endpoint={endpoint!r}, protocol={protocol!r}"
    )
    env = environment(None)
    del env["OTEL_SERVICE_NAME"]
    await run(program(arguments), env, tmp_path)

    (record,) = [record for record in logs_of(sink) if record["body"] == "bought"]
    (span,) = spans_of(sink)
    assert record["trace_id"] == span["trace_id"]
    assert record["attributes"]["user.id"] == span["attributes"]["user.id"] == "u1"
    assert metrics_of(sink)["purchases"] == [({}, 1)]
    for resource in (record["resource"], span["resource"]):
        assert resource["service.name"] == "shop"
        assert resource["service.version"] == "2"
        assert resource["deployment.environment.name"] == "test"


async def test_a_variable_wins_over_an_argument(sink: OTLPSink, tmp_path: Path) -> None:
    attributes = "service.version=9,deployment.environment.name=prod"
    env = environment(sink, OTEL_RESOURCE_ATTRIBUTES=attributes)
    arguments = "service_name='x', service_version='1', environment='y'"
    arguments += ", endpoint='http://127.0.0.1:1', protocol='http/protobuf'"
    await run(program(arguments), env, tmp_path)

    resource = logs_of(sink)[0]["resource"]
    assert resource["service.name"] == "subject"
    assert resource["service.version"] == "9"
    assert resource["deployment.environment.name"] == "prod"


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({"OTEL_TRACES_EXPORTER": "none"}, {Signal.LOGS, Signal.METRICS}),
        ({"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, {Signal.TRACES}),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "console"}, {Signal.LOGS, Signal.METRICS}),
        ({"OTEL_SDK_DISABLED": "true"}, set[Signal]()),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, {Signal.LOGS, Signal.METRICS}),
    ],
    ids=["no traces", "only traces", "console", "disabled", "sampled out"],
)
async def test_the_variables_decide_what_is_sent(
    sink: OTLPSink, variables: dict[str, str], signals: set[Signal], tmp_path: Path
) -> None:
    finished = await run(program(), environment(sink, **variables), tmp_path)

    assert finished.process.returncode == 0
    assert {request.signal for request in sink.requests} == signals
    assert '"bought"' in finished.output  # on standard output in any case


async def test_headers_and_signal_endpoints_keep_their_meaning(sink: OTLPSink, tmp_path: Path) -> None:
    env = environment(
        sink,
        "http/protobuf",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=blue",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{sink.http_endpoint}/elsewhere/logs",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{sink.grpc_endpoint}",
        OTEL_EXPORTER_OTLP_LOGS_COMPRESSION="gzip",
    )
    await run(program(), env, tmp_path)

    ways = {request.signal: (request.transport, request.path) for request in sink.requests}
    assert ways[Signal.LOGS] == ("http", "/elsewhere/logs")
    assert ways[Signal.TRACES][0] == "grpc"
    assert ways[Signal.METRICS] == ("http", "/v1/metrics")
    assert all(request.headers["x-tenant"] == "blue" for request in sink.requests)
    assert next(r for r in sink.requests if r.signal is Signal.LOGS).headers["content-encoding"] == "gzip"


async def test_a_second_call_changes_nothing_and_says_so(sink: OTLPSink, tmp_path: Path) -> None:
    source = (
        program() + "ganglion.configure()\nganglion.configure(log_format='console', url='http://x')\nlog.info('after')"
    )
    finished = await run(source, environment(sink), tmp_path)

    warnings = [json.loads(line) for line in finished.lines if '"WARNING"' in line]
    assert [line["message"] for line in warnings] == [
        "Ganglion is configured already; these settings of a later call have no effect: log_format, url"
    ]
    assert bodies(sink).count("after") == 1


async def test_under_the_distribution_a_call_in_the_code_changes_nothing(sink: OTLPSink, tmp_path: Path) -> None:
    finished = await run(program(), environment(sink), tmp_path, BIN / "opentelemetry-instrument", BIN / "python")

    assert bodies(sink).count("bought") == 1
    assert "WARNING" not in finished.output


async def test_providers_that_are_set_already_stay(sink: OTLPSink, tmp_path: Path) -> None:
    before = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
    before += "mine = TracerProvider()\ntrace.set_tracer_provider(mine)\n"
    finished = await run(before + program() + "assert trace.get_tracer_provider() is mine", environment(sink), tmp_path)

    assert finished.process.returncode == 0, finished.output
    assert "OpenTelemetry was set up before Ganglion" in finished.output
    assert "OTEL_PYTHON_DISTRO=ganglion" in finished.output


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, "carrier-pigeon"),
        ({"OTEL_TRACES_EXPORTER": "no-such-exporter"}, "no-such-exporter"),
        ({"GANGLION_LOG_FORMAT": "xml"}, "GANGLION_LOG_FORMAT is ignored: 'xml'"),
        ({"OTEL_BLRP_MAX_QUEUE_SIZE": "-4"}, "OTEL_BLRP_MAX_QUEUE_SIZE is ignored: '-4'"),
    ],
)
async def test_nonsense_in_the_environment_is_said_and_the_service_runs(
    variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    env = environment(None) | {"GANGLION_SHUTDOWN_TIMEOUT": "0.5"} | variables
    finished = await run(program(), env, tmp_path)

    assert finished.process.returncode == 0, finished.output
    assert said in finished.output
    assert "bought" in finished.output


COUNTING = """
import time
import ganglion
from opentelemetry import trace

ganglion.configure()
log = ganglion.get_logger("shop")
start = time.perf_counter()
for number in range(30_000):
    log.debug("not printed") if number % 1000 else log.info("bought")
tracer = trace.get_tracer("shop")
for number in range(30_000):
    tracer.start_span("buy").end()
took = time.perf_counter() - start
print("TOOK", took)
"""


async def test_a_dead_collector_costs_counted_drops_and_no_time(tmp_path: Path) -> None:
    env = environment(None, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    env["GANGLION_SHUTDOWN_TIMEOUT"] = "1"
    start = time.monotonic()
    finished = await run(COUNTING, env, tmp_path)

    assert finished.process.returncode == 0, finished.output
    assert time.monotonic() - start < 15
    said = [json.loads(line)["message"] for line in finished.lines if "items of traces dropped" in line]
    assert sum(int(line.split()[0]) for line in said) == 30_000


TERMINATED = """
import signal, time
import ganglion

ganglion.configure()
ganglion.get_logger("shop").info("the last word")
print("READY", flush=True)
signal.pause()
"""


async def test_sigterm_sends_what_waits_and_ends_the_process_as_ever(sink: OTLPSink, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(TERMINATED)
    env = environment(sink, OTEL_BLRP_SCHEDULE_DELAY="60000")
    async with started([sys.executable, "program.py"], env, tmp_path) as running:
        await running.says("READY")
        assert await running.terminate() == -15

    assert bodies(sink) == ["the last word"]


async def test_sigterm_has_its_effect_in_time_when_the_collector_hangs(tmp_path: Path, hanging: str) -> None:
    (tmp_path / "program.py").write_text(TERMINATED)
    env = environment(None, OTEL_EXPORTER_OTLP_ENDPOINT=hanging, GANGLION_SHUTDOWN_TIMEOUT="1")
    async with started([sys.executable, "program.py"], env, tmp_path) as running:
        await running.says("READY")
        assert await running.terminate(timeout=5) == -15


async def test_a_collector_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    answers = iter([Answer(http_status=400), Answer(http_status=400)])
    async with OTLPSink(lambda request: next(answers, Answer()) if request.path == "/v1/logs" else Answer()) as sink:
        await run(program(), environment(sink, "http/protobuf", OTEL_BLRP_SCHEDULE_DELAY="1"), tmp_path)

        assert "bought" in set(bodies(sink))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"servce_name": "x"}, "unknown settings: servce_name; known: .*service_name"),
        ({"protocol": "smoke"}, "protocol='smoke': expected one of: grpc, http/protobuf"),
        ({"log_level": "loud"}, "log_level='loud': expected a level: "),
        ({"baggage_origins": ["api.example.com"]}, "baggage_origins=.*expected scheme://host"),
        ({"shutdown_timeout": -1}, "shutdown_timeout=-1: expected a positive number"),
        ({"service_name": " "}, "service_name=' ': expected a text"),
        ({"queue_size": None, "trust_baggage": "perhaps"}, "trust_baggage='perhaps': expected one of: true, false"),
    ],
)
def test_an_argument_that_makes_no_sense_is_an_error(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        Settings.from_environment({}, **arguments)


def test_settings_come_from_variables_then_arguments_then_defaults(caplog: pytest.LogCaptureFixture) -> None:
    variables = {
        "GANGLION_LOG_LEVEL": "debug",
        "GANGLION_BAGGAGE_ORIGINS": "https://A.example/, http://b:81",
        "OTEL_SERVICE_NAME": " ",
        "GANGLION_LOG_FORMAT": "xml",
    }
    settings = Settings.from_environment(variables, log_level="error", service_name="shop", log_format="json")

    assert settings == Settings(
        service_name="shop",
        log_level=logging.DEBUG,
        log_format="json",
        baggage_origins=("https://a.example", "http://b:81"),
    )
    assert "GANGLION_LOG_FORMAT is ignored" in caplog.text


FLUSHING = """
import time
import ganglion
from opentelemetry import metrics

ganglion.configure()
ganglion.get_logger("shop").info("bought")
metrics.get_meter("shop").create_counter("purchases").add(1)
start = time.monotonic()
assert not ganglion.flush(0.5)
assert time.monotonic() - start < 2
start = time.monotonic()
assert not ganglion.shutdown(0.5)
assert time.monotonic() - start < 2
assert ganglion.shutdown(0.5)
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_flush_and_shutdown_are_over_in_their_time(protocol: str, hanging: str, tmp_path: Path) -> None:
    env = environment(None, OTEL_EXPORTER_OTLP_ENDPOINT=hanging, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    finished = await run(FLUSHING, env, tmp_path)

    assert finished.process.returncode == 0, finished.output


PROPAGATING = """
import ganglion

ganglion.configure()
from opentelemetry import propagate

with ganglion.bound(user_id="u1"), ganglion.trace_span("alive"):
    carrier = {}
    propagate.inject(carrier)
print(*carrier)
"""


@pytest.mark.parametrize("named", ["b4", "tracecontext,b4"])
async def test_propagators_that_are_not_installed_are_said_and_those_of_the_specification_used(
    sink: OTLPSink, named: str, tmp_path: Path
) -> None:
    program = await run(PROPAGATING, environment(sink, OTEL_PROPAGATORS=named), tmp_path)

    assert program.process.returncode == 0, program.output
    assert f"OTEL_PROPAGATORS is ignored: {named!r}" in program.lines[0]
    assert "traceparent" in program.lines
    assert [span["name"] for span in spans_of(sink)] == ["alive"]


async def test_propagators_none_propagates_nothing(sink: OTLPSink, tmp_path: Path) -> None:
    program = await run(PROPAGATING, environment(sink, OTEL_PROPAGATORS="none"), tmp_path)

    assert program.process.returncode == 0, program.output
    assert "traceparent" not in program.output


ENDING = """
import signal, sys
from ganglion._lifetime import at_end

ended = False

def end():
    global ended
    if not ended:
        ended = True
        for name in sys.argv[2:]:
            signal.raise_signal(signal.Signals[name])
        print("all sent", flush=True)

at_end(end, float(sys.argv[1]))
signal.signal(signal.SIGINT, signal.SIG_DFL)
"""


@pytest.mark.parametrize(
    ("patience", "signals", "said"),
    [
        (5, [], ["all sent"]),
        (5, ["SIGTERM"], ["all sent"]),
        (5, ["SIGTERM", "SIGTERM"], ["all sent"]),
        (5, ["SIGINT"], ["all sent"]),
        (5, ["SIGINT", "SIGTERM"], ["all sent"]),
        (5, ["SIGINT", "SIGINT"], []),
        (0, ["SIGTERM"], []),
    ],
)
async def test_a_signal_during_the_last_flush_comes_after_it_and_a_second_ctrl_c_at_once(
    patience: float, signals: list[str], said: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(ENDING)
    async with started([BIN / "python", path, str(patience), *signals], environment(None), tmp_path) as program:
        status = await program.ends()

    assert (program.lines, status) == (said, -signal.Signals[signals[0]] if signals else 0)


SIGNALLED_AMID_ITS_END = """
import signal, threading
import ganglion

ganglion.configure()
ganglion.get_logger("shop").info("the last word")
{end}
"""
ENDS = {
    "exit": "",
    "SIGTERM": "signal.raise_signal(signal.SIGTERM)",
    "SIGINT": "signal.signal(signal.SIGINT, signal.SIG_DFL); signal.raise_signal(signal.SIGINT)",
    "shutdown": "ganglion.shutdown()",
    "shutdown in a thread": "threading.Thread(target=ganglion.shutdown).start(); signal.pause()",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_sigterm_amid_the_last_export_loses_nothing(end: str, protocol: str, tmp_path: Path) -> None:
    """As uvicorn signals its workers, which the terminal or systemd has signalled before."""
    busy = Answer(http_status=503, grpc_code=grpc.StatusCode.UNAVAILABLE, delay=0.5)
    (tmp_path / "program.py").write_text(SIGNALLED_AMID_ITS_END.format(end=end))
    async with OTLPSink() as sink:
        sink.answers.append(busy)
        env = environment(sink, protocol, OTEL_BLRP_SCHEDULE_DELAY="60000", OTEL_METRICS_EXPORTER="none")
        async with started([sys.executable, "program.py"], env, tmp_path) as running:
            await sink.received(1, timeout=PATIENCE)
            status = await running.terminate()

    assert bodies(sink) == ["the last word"] * 2, running.output  # refused, then taken
    assert status == -(signal.SIGINT if "SIGINT" in end else signal.SIGTERM)
