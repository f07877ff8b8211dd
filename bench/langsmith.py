"""OTLP to LangSmith's runs: encoded, delivered, beside the langsmith SDK's own uploader; memory; kill -9 under load."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from ganglion_exporters._langsmith.encoding import EncodedRun, EncodingSettings, compress, encode_run, multipart_body

from bench.collector import Collector, Flow, running_collector
from bench.langsmith_faults import kill_under_load
from bench.langsmith_upload import SPANS, encoded, requests
from bench.processes import anonymous_bytes, free_port, listens, started, wait_until
from bench.report import Budget, Figure, Scale, median
from tests.langsmith_server import LangSmithServer

__all__ = ["run", "sink", "taken"]

_RUNS_A_REQUEST = 100
_NOTHING = Budget(0, 0, "less")


@dataclass(frozen=True, slots=True)
class _Upload:
    seconds: float
    processor: float
    runs: int

    @property
    def rate(self) -> float:
        return self.runs / self.seconds

    @property
    def microseconds(self) -> float:
        return self.processor / self.runs * 1e6


@contextmanager
def sink(directory: Path) -> Iterator[str]:
    """Run a LangSmith that takes everything at once, in a process of its own; yield its URL."""
    port = free_port()
    program = str(Path(__file__).with_name("langsmith_sink.py"))
    with started([sys.executable, program, str(port)], directory / "sink.log"):
        wait_until(lambda: listens(f"127.0.0.1:{port}"), "the sink to listen")
        yield f"http://127.0.0.1:{port}"


def taken(url: str) -> dict[str, int]:
    """Return how many runs, requests and bytes the sink was sent since it was last asked."""
    with urlopen(f"{url}/taken", timeout=60) as answer:
        told: dict[str, int] = json.loads(answer.read())
    return told


def _upload(who: str, url: str, runs: int, folder: Path) -> _Upload:
    folder.mkdir()
    command = [sys.executable, "-m", "bench.langsmith_upload", who, url, str(runs), str(folder)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    # The SDK sends one more before the clock starts.
    arrived = taken(url)["runs"] - int(who == "sdk")
    if arrived != runs:
        raise RuntimeError(f"{runs} runs were uploaded ({who}), {arrived} arrived")
    return _Upload(told["seconds"], told["processor"], told["runs"])


def _cost(payloads: Sequence[bytes], runs: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield processor microseconds a run: all the way from OTLP, and for the bytes alone."""
    whole, alone = list[float](), list[float]()
    settings = EncodingSettings("0" * 32, "bench")
    for _ in range(rounds):
        begin = time.process_time()
        made = [run for trace in encoded(payloads) for run in trace]
        bodies = _bodies(made)
        whole.append(time.process_time() - begin)
        begin = time.process_time()
        bodies = _bodies([encode_run(run.run, settings) for run in made])
        alone.append(time.process_time() - begin)
        if len(made) != runs or not all(bodies):
            raise RuntimeError(f"{len(made)} runs were made of {runs} spans")
    yield "converted, assembled, encoded, compressed", median(whole) / runs * 1e6
    yield "encoded and compressed only", median(alone) / runs * 1e6


def _bodies(made: Sequence[EncodedRun]) -> list[bytes]:
    parts = (made[start : start + _RUNS_A_REQUEST] for start in range(0, len(made), _RUNS_A_REQUEST))
    return [compress(multipart_body(part, "0" * 32), "zstd") for part in parts]


def _rates(directory: Path, scale: Scale) -> Iterator[Figure]:
    runs, rounds = scale.pick(2000, 10_000), scale.pick(3, 5)
    ours, sdk = list[_Upload](), list[_Upload]()
    with sink(directory) as url:
        for number in range(rounds):
            ours.append(_upload("ours", url, runs, directory / f"ours{number}"))
            sdk.append(_upload("sdk", url, runs, directory / f"sdk{number}"))
    theirs = median(one.microseconds for one in sdk)
    note = f"{runs:,} runs of {SPANS} a trace, {rounds} rounds by turns; the SDK gets them as Python objects"
    for what, cost in _cost(list(requests(runs // SPANS)), runs, rounds):
        yield Figure(f"runs {what}, of one core", 1e6 / cost, "/s", 1e6 / theirs, note=note)
    rates = [one.rate for one in ours]
    note = f"{min(rates):,.0f} to {max(rates):,.0f}; ours from OTLP through the spool on the disk"
    yield Figure("runs delivered", median(rates), "/s", median(one.rate for one in sdk), note=note)
    cost = median(one.microseconds for one in ours)
    yield Figure("processor time, delivered", cost, "µs a run", theirs)


def _post(collector: Collector, body: bytes) -> None:
    request = Request(f"http://{collector.http}/v1/traces", body, {"content-type": "application/x-protobuf"})
    with urlopen(request, timeout=30) as answer:
        if answer.status != 200:
            raise RuntimeError(f"the collector answered {answer.status}")


def _open_traces(directory: Path, scale: Scale) -> Iterator[Figure]:
    """Traces that wait for more of themselves: all with their roots, none of them quiet long enough."""
    traces, warm = scale.pick(2000, 10_000), 200
    assembly = {"settle": "1h", "idle_timeout": "1h", "max_age": "2h"}
    with sink(directory) as url:
        langsmith = {"endpoint": url, "api_key": "lsv2_bench", "assembly": assembly}
        with running_collector(directory, Flow({"langsmith": langsmith}, {}, {"traces": ["langsmith"]})) as collector:
            worker = next(pid for name, pid in collector.processes().items() if "langsmith" in name)

            def fill(count: int, first: int) -> int:
                for body in requests(count, first):
                    _post(collector, body)
                wait_until(lambda: collector.metric("ganglion_langsmith_open_traces") >= first + count, "spans", 120)
                return anonymous_bytes(worker)

            before = fill(warm, 0)
            after = fill(traces, warm)
    note = f"of {SPANS} spans each; {after / 2**20:.0f} MiB in all, {before / 2**20:.0f} MiB with {warm} open traces"
    yield Figure(f"memory for {traces:,} open traces", (after - before) / 2**20, "MiB", note=note)


def _faults(directory: Path, scale: Scale) -> Iterator[Figure]:
    with LangSmithServer() as server:
        verdict = kill_under_load(directory, server, scale.pick(6, 40), senders=scale.pick(2, 3))
    kills = ", ".join(f"{count} {name}" for name, count in sorted(verdict.killed.items()))
    answers = ", ".join(f"{count} of {status or 'none'}" for status, count in sorted(verdict.answers.items()))
    note = f"killed {kills}; answers {answers}; " + ("; ".join(verdict.wrong) or "none lost, none doubled, all whole")
    yield Figure("acknowledged spans that are runs", verdict.runs, "runs", verdict.acknowledged, Budget(1, 1))
    yield Figure("runs lost, doubled, misplaced", len(verdict.wrong), "runs", budget=_NOTHING, note=note)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield rates beside the SDK's, memory of open traces, and what a run of kills left."""
    for part in (_rates, _open_traces, _faults):
        directory = scale.directory / f"langsmith{part.__name__}"
        directory.mkdir()
        yield from part(directory, scale)
