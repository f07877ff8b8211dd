"""LangSmith in trouble behind a real collector, for hours, and for days: every run exists once, complete, in its tree.

One collector goes through all faults, one after another in any order, so that no fault may leave anything behind.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.dead_letters import DeadLetters

from bench.langsmith_faults import kill_under_load
from tests.exporters.langsmith_spans import request
from tests.fix_collector import RunningCollector, eventually, simple
from tests.langsmith_bodies import decompressed
from tests.langsmith_endpoints import Answer, Request
from tests.langsmith_kept import Node
from tests.langsmith_server import LangSmithServer, Received

SPANS = 5
TRACES = 6
HOUR = 3600.0
ASSEMBLY = "assembly: {settle: 50ms, idle_timeout: 1s}"
RETRY = "retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}"
SENT_BY_DEBUG = 'otelcol_exporter_sent_spans{data_type="traces",exporter="debug"}'
OVER = ('ganglion_langsmith_runs_total{operation="post"}', "ganglion_langsmith_refused_runs_total")
ORGANISATION = '{"error":"org_scoped_key_requires_workspace"}'


def plain(body: bytes, headers: Mapping[str, str]) -> bytes:
    return decompressed(body, headers.get("content-encoding", ""), 1 << 30, zstd=True)


class PickyServer(LangSmithServer):
    """Refuses each request in which `marker` stands with `status`, as LangSmith does for one run that it dislikes."""

    marker = b""
    status = 422

    def answer(self, request: Request) -> Answer | None:
        if self.marker and request.method == "POST" and self.marker in plain(request.body, request.headers):
            return Answer(self.status, b'{"error":"it does not please"}')
        return super().answer(request)


@dataclass
class Rig:
    """A collector, the LangSmith that it sends to, and numbers of traces that nobody has used."""

    server: PickyServer
    running: RunningCollector
    traces: Iterator[int] = field(default_factory=lambda: count(1))
    sent: int = 0

    def send(self, traces: int = TRACES, named: tuple[str, ...] = (), **given: Any) -> list[int]:
        """Send new traces; `named` are other names for the first spans."""
        numbers = [next(self.traces) for _ in range(traces)]
        made = request(*numbers, spans=range(SPANS), **given)
        for span, name in zip(made.resource_spans[0].scope_spans[0].spans, named, strict=False):
            span.name = name
        assert self.running.post("/v1/traces", made.SerializeToString()) == 200
        self.sent += traces * SPANS
        return numbers

    def is_done(self) -> bool:
        """Whether the collector knows of every run what became of it: LangSmith may have one long before."""
        metrics = self.running.metrics()
        over = sum(metrics.get(name, 0) for name in OVER)
        # The other exporter is another process, which may be behind.
        return over >= self.sent and metrics.get(SENT_BY_DEBUG, 0) >= self.sent

    def sent_by_debug(self) -> float:
        return self.running.metrics().get(SENT_BY_DEBUG, 0.0)

    def health(self) -> tuple[int, str]:
        return self.running.get("health")

    def trees(self, numbers: list[int]) -> list[Node]:
        wanted = set(numbers)
        return [tree for tree in self.server.trees() if tree.run.trace_id.int % 0x10000 in wanted]

    def has(self, numbers: list[int]) -> bool:
        wanted = set(numbers)
        runs = [run for run in self.server.runs if run.trace_id.int % 0x10000 in wanted]
        return len(runs) >= len(numbers) * SPANS

    def letters(self) -> list[str]:
        with closing(DeadLetters(self.running.home / "dead-letters.sqlite")) as letters:
            return [letter.reason for letter in letters.list()]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with PickyServer() as server:
        langsmith = f'{{endpoint: "{server.url}", api_key: k, timeout: 500ms, {ASSEMBLY}, {RETRY}}}'
        text = simple(f"{{langsmith: {langsmith}, debug: }}", "traces: [langsmith, debug]")
        running = RunningCollector(text, tmp_path_factory.mktemp("faults") / "home")
        try:
            yield Rig(server, running.start())
        finally:
            running.close()


@pytest.fixture(autouse=True)
def _all_is_well_before(request: pytest.FixtureRequest) -> None:
    if "rig" in request.fixturenames:
        rig: Rig = request.getfixturevalue("rig")
        rig.server.recover()
        rig.server.marker = b""
        rig.server.rules.mixed = "store_rest"
        eventually(rig.is_done)
        eventually(lambda: rig.health()[0] == 200)


def assert_whole(trees: list[Node], traces: int) -> None:
    """Every trace has its root and children, every run was posted once and has its end."""
    assert len(trees) == traces
    for tree in trees:
        assert tree.outline() == {"span 0": [f"span {number}" for number in range(1, SPANS)]}
        for run in tree.walk():
            assert run.operations == ("post",)
            assert run.end is not None
            assert run.run_type == ("chain" if run.name == "span 0" else "llm")


Fault = Callable[[LangSmithServer], object]

LASTING: dict[str, tuple[Fault, str]] = {
    "401": (lambda it: it.fail_with(401), "LANGSMITH_API_KEY"),
    "403": (lambda it: it.fail_with(403), "LANGSMITH_API_KEY"),
    "403 of an organisation's key": (lambda it: it.fail_with(403, text=ORGANISATION), "LANGSMITH_WORKSPACE_ID"),
    "404 of every path": (lambda it: it.fail_with(404), "no LangSmith API at this endpoint"),
    "408": (lambda it: it.fail_with(408), "408"),
    "425": (lambda it: it.fail_with(425), "425"),
    "429": (lambda it: it.fail_with(429), "429"),
    "429 with Retry-After": (lambda it: it.fail_with(429, retry_after=1), "429"),
    "500": (lambda it: it.fail_with(500), "500"),
    "500 after it stored": (lambda it: it.fail_with(500, store=True), "500"),
    "502": (lambda it: it.fail_with(502), "502"),
    "503": (lambda it: it.fail_with(503), "503"),
    "503 with Retry-After": (lambda it: it.fail_with(503, retry_after=1), "503"),
    "504 after it stored": (lambda it: it.fail_with(504, store=True), "504"),
    "refused": (lambda it: it.refuse(), "Connect"),
    "hangs": (lambda it: it.hang(), "no answer within"),
    "hangs after it stored": (lambda it: it.hang(store=True), "no answer within"),
    "drops": (lambda it: it.drop(), "disconnected"),
    "drops after it stored": (lambda it: it.drop(store=True), "disconnected"),
}


@pytest.mark.parametrize("name", LASTING)
def test_lasting_trouble_is_told_and_loses_nothing_and_delays_no_other(rig: Rig, name: str) -> None:
    fail, told = LASTING[name]
    fail(rig.server)
    letters, before = len(rig.letters()), rig.sent_by_debug()

    numbers = rig.send()

    eventually(lambda: rig.sent_by_debug() == before + TRACES * SPANS)
    eventually(lambda: rig.health()[0] == 503 and told in rig.health()[1])
    numbers += rig.send()
    eventually(lambda: rig.sent_by_debug() == before + 2 * TRACES * SPANS)
    rig.server.recover()
    eventually(lambda: rig.has(numbers))
    eventually(lambda: rig.health()[0] == 200)
    assert_whole(rig.trees(numbers), 2 * TRACES)
    assert len(rig.letters()) == letters


PASSING: dict[str, Fault] = {
    "400": lambda it: it.fail_with(400, times=1),
    "404 of multipart": lambda it: it.fail_with(404, times=1, path="/runs/multipart"),
    "409 of nothing known": lambda it: it.fail_with(409, times=1),
    "413": lambda it: it.fail_with(413, times=1),
    "422": lambda it: it.fail_with(422, times=1),
    "429": lambda it: it.fail_with(429, times=2),
    "slow": lambda it: it.slow(0.3, times=2),
    "a lost answer": lambda it: it.drop(times=1, store=True),
    "lost answers": lambda it: it.drop(times=3, store=True),
}


@pytest.mark.parametrize("name", PASSING)
def test_passing_trouble_leaves_no_trace(rig: Rig, name: str) -> None:
    letters = len(rig.letters())
    PASSING[name](rig.server)

    numbers = rig.send()

    eventually(lambda: rig.has(numbers))
    assert_whole(rig.trees(numbers), TRACES)
    eventually(lambda: rig.health()[0] == 200)
    assert len(rig.letters()) == letters


def roots_in(request: Received) -> int:
    return plain(request.body, request.headers).count(b'"name":"span 0"')


@pytest.mark.parametrize("mixed", ["store_rest", "store_none"])
def test_known_runs_among_new_ones_lose_none(rig: Rig, mixed: Any) -> None:
    before = rig.letters()
    rig.server.rules.mixed = mixed
    rig.server.fail_with(503, times=1, store=True)
    rig.server.fail_with(503)
    numbers = rig.send(3)
    eventually(lambda: rig.has(numbers))
    answered = len(rig.server.requests)

    numbers += rig.send(3)
    eventually(lambda: 6 in map(roots_in, rig.server.requests[answered:]))
    rig.server.recover()

    eventually(lambda: rig.has(numbers))
    after = [one for one in rig.server.requests[answered:] if one.run_ids]
    assert (after[0].status, len(after[0].run_ids)) == (409, 6 * SPANS)
    assert_whole(rig.trees(numbers), 6)
    assert rig.letters() == before


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_run_that_langsmith_will_never_take_is_the_only_dead_letter(rig: Rig, status: int) -> None:
    before = len(rig.letters())
    rig.server.marker, rig.server.status = b"span 3 is odious", status

    numbers = rig.send(named=("span 0", "span 1", "span 2", "span 3 is odious"))

    eventually(lambda: len(rig.letters()) == before + 1)
    eventually(lambda: len(rig.trees(numbers)) == TRACES)
    found = Counter(run.name for tree in rig.trees(numbers) for run in tree.walk())
    assert found == {"span 0": 6, "span 1": 6, "span 2": 6, "span 3": 5, "span 4": 6}
    assert f"HTTP {status}" in "".join(rig.letters())
    eventually(lambda: rig.health()[0] == 200)


def test_a_run_too_old_for_langsmith_takes_no_other_with_it(rig: Rig) -> None:
    before = len(rig.letters())
    old = rig.send(1, start=time.time_ns() - 26 * 3600 * 10**9)
    young = rig.send(TRACES)

    eventually(lambda: rig.has(young))
    eventually(lambda: len(rig.letters()) == before + SPANS)

    assert_whole(rig.trees(young), TRACES)
    assert rig.trees(old) == []


@pytest.mark.timeout(180)
def test_every_acknowledged_span_is_one_run_whatever_is_killed(tmp_path: Path) -> None:
    with LangSmithServer() as server:
        verdict = kill_under_load(tmp_path, server, kills=6, seed=2)

    assert verdict.wrong == []
    assert verdict.acknowledged > 500
    assert len(verdict.killed) == 3
