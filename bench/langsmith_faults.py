"""kill -9 of the collector's processes under load while a LangSmith fails too; then what LangSmith has is judged.

The load is traces in two requests each, the root in the second; each is repeated until it is acknowledged. LangSmith is
the stand-in of the tests, which refuses what LangSmith does and knows every run that it was sent before.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ganglion_collector.dead_letters import DeadLetters
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.collector import Collector, Flow, write_configuration
from bench.processes import tied, wait_until
from tests.langsmith_server import LangSmithServer

__all__ = ["Verdict", "kill_under_load"]

_SPANS = 5
_TRACES = 4
_PATIENCE = 60.0
_RETRYABLE = {429, 502, 503, 504}
_FAILURES: Sequence[Callable[[LangSmithServer], None]] = (
    lambda server: server.fail_with(503, times=2),
    lambda server: server.fail_with(429, times=2, retry_after=0.2),
    lambda server: server.fail_with(500, times=1, store=True),
    lambda server: server.drop(times=1, store=True),
    lambda server: server.drop(times=2),
    lambda server: server.hang(times=1, store=True),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was killed and what came out; `wrong` says what may not be, and is empty."""

    killed: Mapping[str, int]
    requests: int
    acknowledged: int
    runs: int
    answers: Mapping[int, int]
    wrong: Sequence[str]


@dataclass(slots=True)
class _Run:
    directory: Path
    planned: Collector
    server: LangSmithServer
    random: random.Random
    process: subprocess.Popen[bytes]
    stopping: threading.Event = field(default_factory=threading.Event)
    killed: Counter[str] = field(default_factory=Counter[str])
    names: set[str] = field(default_factory=set[str])
    requests: int = 0
    failure: str = ""


def _flow(server: LangSmithServer) -> Flow:
    langsmith = {
        "endpoint": server.url,
        "api_key": "lsv2_bench",
        "timeout": "1s",
        "assembly": {"settle": "50ms", "idle_timeout": "1s"},
        "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"},
    }
    return Flow({"langsmith": langsmith}, {}, {"traces": ["langsmith"]})


def _start(directory: Path, planned: Collector) -> subprocess.Popen[bytes]:
    ganglion = Path(sys.executable).with_name("ganglion")
    program = [str(ganglion), "run", "--config", str(directory / "config.yaml")]
    environment = {**os.environ, "GANGLION_HOME": str(planned.home)}
    with (directory / "collector.log").open("ab") as log:
        return subprocess.Popen(tied(program), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def _trace(source: random.Random, name: str) -> tuple[list[ExportTraceServiceRequest], list[str]]:
    """Return some traces as two requests, the children first, and the names of all spans."""
    children, roots = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    spans = [one.resource_spans.add().scope_spans.add().spans for one in (roots, children)]
    names = list[str]()
    for trace in range(_TRACES):
        trace_id, root_id, now = source.randbytes(16), source.randbytes(8), time.time_ns()
        for number in range(_SPANS):
            names.append(f"{name}.{trace}.{number}")
            span = spans[min(number, 1)].add(trace_id=trace_id, name=names[-1])
            span.span_id = source.randbytes(8) if number else root_id
            span.parent_span_id = root_id if number else b""
            span.start_time_unix_nano, span.end_time_unix_nano = now + number, now + number * 1_000_000
            span.attributes.add(key="gen_ai.prompt").value.string_value = f"what is {names[-1]}?"
    return [children, roots], names


def _post(address: str, body: bytes) -> bool:
    request = Request(f"http://{address}/v1/traces", body, {"content-type": "application/x-protobuf"})
    try:
        with urlopen(request, timeout=10):
            return True
    except HTTPError as error:
        with error:
            if error.code not in _RETRYABLE:
                raise RuntimeError(f"the collector answered {error.code}") from None
    except OSError:
        pass
    return False


def _send(run: _Run, sender: int, seed: int) -> None:
    source, number = random.Random(seed * 1000 + sender), 0
    try:
        while not run.stopping.is_set():
            number += 1
            requests, names = _trace(source, f"{sender}.{number}")
            for request in requests:
                body = request.SerializeToString()
                end = time.monotonic() + _PATIENCE
                while not _post(run.planned.http, body):
                    if time.monotonic() > end:
                        raise RuntimeError(f"nothing was acknowledged for {_PATIENCE:.0f} s")
                    time.sleep(0.05)
                run.requests += 1
            run.names.update(names)
            time.sleep(0.02)
    except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
        run.failure = f"{type(error).__name__}: {error}"


def _progress(run: _Run) -> None:
    before = len(run.names)
    wait_until(lambda: len(run.names) > before or run.failure, f"progress after {dict(run.killed)}", _PATIENCE)
    if run.failure:
        raise RuntimeError(run.failure)


def _kill_one(run: _Run) -> None:
    children = replace(run.planned, pid=run.process.pid).processes()
    victims = {name: pid for name, pid in children.items() if name.startswith(("receiver", "worker", "supervisor"))}
    fewest = min(run.killed[name] for name in victims)
    name = run.random.choice(sorted(name for name in victims if run.killed[name] == fewest))
    with suppress(ProcessLookupError):
        os.kill(victims[name], signal.SIGKILL)
        run.killed[name] += 1
    if name == "supervisor":
        run.process.wait()
        run.process = _start(run.directory, run.planned)


def _kill_all(run: _Run, kills: int) -> None:
    _progress(run)
    while run.killed.total() < kills:
        run.server.recover()
        run.random.choice(_FAILURES)(run.server)
        time.sleep(run.random.uniform(0.0, 0.6))
        _kill_one(run)
        if run.random.random() > 0.2:
            _progress(run)
    _progress(run)
    run.server.recover()


def _judge(run: _Run) -> list[str]:
    """Say what is wrong with what LangSmith has, at most a few of each kind."""
    found = Counter(one.name for one in run.server.runs)
    wrong = [f"lost: {name}" for name in sorted(run.names - found.keys())[:5]]
    wrong += [f"doubled: {name}" for name, times in found.items() if times > 1][:5]
    wrong += [f"unknown: {name}" for name in sorted(found.keys() - run.names)[:5]]
    try:
        trees = run.server.trees()
    except AssertionError as error:
        return [*wrong, f"no tree: {error}"]
    for tree in trees:
        own = sorted(one.name for one in tree.walk())
        if len(own) != _SPANS or len(tree.children) != _SPANS - 1 or own[0] != tree.run.name:
            wrong.append(f"not whole: {tree.outline()}")
        wrong += [f"incomplete: {one.name}" for one in tree.walk() if one.end is None or not one.inputs]
    letters = DeadLetters(run.planned.home / "dead-letters.sqlite")
    wrong += [f"dead letter: {letter.reason}" for letter in letters.list(limit=5)]
    letters.close()
    return wrong


def kill_under_load(directory: Path, server: LangSmithServer, kills: int, seed: int = 0, senders: int = 2) -> Verdict:
    """Run a collector under `directory`, load it, kill, wait for all runs, stop it; say what is wrong.

    Raises:
        RuntimeError, TimeoutError: it did not recover, or answered what no receiver may.
    """
    planned = write_configuration(directory, _flow(server), quota_mib=256)
    run = _Run(directory, planned, server, random.Random(seed), _start(directory, planned))
    threads = [threading.Thread(target=_send, args=(run, sender, seed)) for sender in range(senders)]
    try:
        wait_until(lambda: _post(planned.http, b""), "the collector to be up")
        for thread in threads:
            thread.start()
        try:
            _kill_all(run, kills)
        finally:
            run.stopping.set()
            for thread in threads:
                thread.join()
        with suppress(TimeoutError):
            wait_until(lambda: run.names <= {one.name for one in server.runs}, "all runs", _PATIENCE, 0.1)
        wrong = _judge(run)
    finally:
        run.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(20)
        run.process.kill()
        run.process.wait()
    answers = Counter(request.status for request in server.requests if request.method == "POST")
    return Verdict(dict(run.killed), run.requests, len(run.names), len(server.runs), answers, wrong)
