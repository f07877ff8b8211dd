"""What people ask of ten days with 10 M logs and 1 M spans: p95 of every question, cold and warm, and the plans.

    python -m bench.queries --history D [--only WORDS] [--plans FILE]

asks a database that `bench.history` made in D, and keeps it.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import psutil
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader, open_pool
from rich.console import Console

from bench.history import History, made_history
from bench.plans import cold_reads, explained
from bench.postgresql import running_postgresql, server
from bench.questions import Question, Samples, draw, questions
from bench.report import Budget, Figure, Scale, median, percentile, show
from bench.serving import forget, served

__all__ = ["run"]

_DAY = timedelta(days=1)
_NONE = Budget(0, 0, "less")
_HTTP_CALLS = 10


@dataclass(slots=True)
class _Run:
    """One history, asked."""

    home: Path
    history: History
    calls: int
    only: str
    plans: Path

    @property
    def whole(self) -> Period:
        return Period(self.history.since, self.history.until)

    def days(self) -> dict[str, Period]:
        """Return the time before the last midnight but for what came since, and the first full day."""
        first = (self.history.since + _DAY).replace(hour=0, minute=0)
        return {"newest": Period(self.history.until - _DAY, self.history.until), "oldest": Period(first, first + _DAY)}

    def figures(self) -> Iterator[Figure]:
        samples = self._samples()
        named = {age: list(questions(one, self.whole)) for age, one in samples.items()}
        wanted = [place for place, one in enumerate(named["newest"]) if self.only in one.name]
        for place in wanted:
            yield self._figure({age: some[place] for age, some in named.items()})
        with running_postgresql(server(self.home)) as dsn, served(dsn, self.home) as address:
            for place in wanted:
                if (question := named["newest"][place]).path:
                    yield _over_http(address, question)
        yield self._planned([(age, some[place]) for place in wanted for age, some in named.items()])

    def _samples(self) -> dict[str, Samples]:
        with running_postgresql(server(self.home)) as dsn:
            return {age: draw(dsn, day, self.calls) for age, day in self.days().items()}

    def _figure(self, asked: dict[str, Question]) -> Figure:
        warm: list[float] = []
        told: list[str] = []
        for age, question in asked.items():
            round_ = self._cold_and_warm(question)
            warm += round_.warm
            told.append(f"{age} day: {round_.told()}")
        question = asked["newest"]
        note = f"of {len(warm)} calls. {'. '.join(told)}"
        return Figure(f"{question.name}, p95", percentile(warm, 95), "ms", budget=question.budget, note=note)

    def _cold_and_warm(self, question: Question) -> "_Round":
        forget(self.home / "postgresql")
        with running_postgresql(server(self.home)) as dsn, open_pool(dsn, 1) as pool:
            with pool.connection() as connection:
                backend = psutil.Process(connection.info.backend_pid)
            reader = Reader(dsn, 120.0, pool=pool)
            cold = _timed(reader, question)
            before, mine = backend.cpu_times(), time.process_time()
            warm = _timed(reader, question)
            after, mine = backend.cpu_times(), time.process_time() - mine
        theirs = after.user + after.system - before.user - before.system
        return _Round(cold, warm, theirs * 1e3 / len(warm), mine * 1e3 / len(warm))

    def _planned(self, asked: Sequence[tuple[str, Question]]) -> Figure:
        """Explain the first call of every question; count those that read what they need not."""
        cold: list[str] = []
        self.plans.parent.mkdir(parents=True, exist_ok=True)
        with running_postgresql(server(self.home)) as dsn, self.plans.open("w") as file:
            for age, question in asked:
                with explained(dsn, 120.0) as (reader, statements):
                    question.calls[0](reader)
                unneeded = cold_reads(statements, question.asked)
                cold += [f"{question.name}: {table}" for table in sorted(unneeded)]
                file.write(f"== {question.name} ({age} day) {' '.join(sorted(unneeded))}\n\n")
                file.writelines(f"{statement.text()}\n" for statement in statements)
        note = f"of {len(asked)}; plans in {self.plans.name}. {'; '.join(cold)}"
        return Figure("partitions read though they hold nothing that was asked", len(cold), "", budget=_NONE, note=note)


@dataclass(frozen=True, slots=True)
class _Round:
    """Milliseconds of each call just after the start and once more, and of CPU a call: of the server, of the reader."""

    cold: Sequence[float]
    warm: Sequence[float]
    server: float
    reader: float

    def told(self) -> str:
        return (
            f"median {median(self.warm):.1f}, p95 {percentile(self.warm, 95):.1f}; CPU: server {self.server:.1f}, "
            f"reader {self.reader:.1f}; cold: the first {self.cold[0]:.0f}, median {median(self.cold):.1f}, "
            f"p95 {percentile(self.cold, 95):.0f}"
        )


def _timed(reader: Reader, question: Question) -> list[float]:
    """Return the milliseconds of each call."""
    taken: list[float] = []
    for call in question.calls:
        begin = time.perf_counter()
        call(reader)
        taken.append((time.perf_counter() - begin) * 1e3)
    return taken


def _over_http(address: str, question: Question) -> Figure:
    taken: list[float] = []
    size = 0
    for _ in range(_HTTP_CALLS):
        begin = time.perf_counter()
        with urlopen(f"{address}/api/v1/{question.path}", timeout=120) as answer:
            size = len(answer.read())
        taken.append((time.perf_counter() - begin) * 1e3)
    return Figure(f"{question.name}, over HTTP, median", median(taken), "ms", note=f"{size / 1024:.0f} KiB of JSON")


def run(scale: Scale) -> Iterator[Figure]:
    """Yield the p95 of every question, and how many of them read what they need not."""
    home = scale.directory / "history"
    history = made_history(home, scale.pick(400_000, 10_000_000), 10)
    yield Figure("history made", history.seconds, "s", note=f"{history.logs:,} logs, {history.spans:,} spans")
    yield from _Run(home, history, scale.pick(10, 40), "", scale.results.with_suffix(".plans.txt")).figures()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.queries", description=__doc__)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--only", default="", help="part of the questions' names")
    parser.add_argument("--plans", type=Path, default=Path("bench/results/plans.txt"))
    arguments = parser.parse_args()
    home = arguments.history.resolve()
    asked = _Run(home, made_history(home, 0, 0), arguments.calls, arguments.only, arguments.plans)
    figures: list[tuple[str, Figure]] = []
    for figure in asked.figures():
        print(f"{figure.what}: {figure.ours:.1f} {figure.unit}  [{figure.note}]", flush=True)
        figures.append(("queries", figure))
    show(figures, Console(width=160))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    _main()
