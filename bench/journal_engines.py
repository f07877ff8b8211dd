"""Which engine keeps the journal: LMDB, SQLite or segment files, by the same work.

`python -m bench.journal_engines [--quota-mib 256] [--backlog-mib 1024] [--json FILE]`; the figures behind
docs/decisions/0001-journal-engine.md. Every append is durable (fsync) before the next begins, except while the
backlog for the readers is made.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import lmdb
import psutil
from ganglion_collector.component import BatchBounds, Position, Signal
from ganglion_collector.journal import Entry
from ganglion_collector.journal.store import open_reader, open_writer
from rich.console import Console
from rich.table import Table

REQUEST_BYTES = 156_000
LOGS_PER_REQUEST = 500
MIB = 1024 * 1024
SIZES = (300, 3_000, 30_000, 156_000, 1_000_000, 6_000_000)
WEIGHTS = (300, 100, 30, 10, 2, 1)

Figures = dict[str, float | str]


class Engine(Protocol):
    """The least that a journal needs; sequences count from 0."""

    def append(self, payloads: Sequence[bytes]) -> None: ...

    def walk(self) -> int:
        """Read everything; return the bytes of the payloads."""
        ...

    def drop_before(self, sequence: int) -> None: ...

    def close(self) -> None: ...


class SegmentEngine:
    """Ours, with all it does beside: digest, duplicates, checksums, durable end."""

    def __init__(self, directory: Path, quota: int) -> None:
        self._writer = open_writer(directory, quota_bytes=quota, deduplication_window=300)
        self._reader = open_reader(directory, "logs/bench")

    def append(self, payloads: Sequence[bytes]) -> None:
        entries = [Entry(Signal.LOGS, "otlp", time.time_ns(), LOGS_PER_REQUEST, payload, {}) for payload in payloads]
        outcomes = self._writer.append(entries)
        assert all(outcome is True for outcome in outcomes), outcomes

    def walk(self) -> int:
        position, size = Position(), 0
        while True:
            records, end = self._reader.read(position, BatchBounds(max_items=1 << 30), Signal.LOGS, ["otlp"])
            if end == position:
                return size
            position, size = end, size + sum(len(record.payload) for record in records)

    def drop_before(self, sequence: int) -> None:
        self._reader.commit(Position(sequence))
        self._writer.trim(["logs/bench"])

    def close(self) -> None:
        self._writer.close()
        self._reader.close()


class LmdbEngine:
    """LMDB with its own fsync; a record under its big-endian sequence."""

    def __init__(self, directory: Path, quota: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(str(directory), map_size=2 * quota, metasync=True, sync=True)
        with self._environment.begin() as transaction:
            cursor = transaction.cursor()
            self._next = int.from_bytes(cursor.key(), "big") + 1 if cursor.last() else 0

    def append(self, payloads: Sequence[bytes]) -> None:
        with self._environment.begin(write=True) as transaction:
            for payload in payloads:
                transaction.put(self._next.to_bytes(8, "big"), payload, append=True)
                self._next += 1

    def walk(self) -> int:
        size, start = 0, b""
        while True:
            with self._environment.begin() as transaction:
                batch = 0
                cursor = transaction.cursor()
                found = cursor.set_range(start)
                while found and batch < 8 * MIB:
                    batch += len(cursor.value())
                    start = (int.from_bytes(cursor.key(), "big") + 1).to_bytes(8, "big")
                    found = cursor.next()
            size += batch
            if not found:
                return size

    def drop_before(self, sequence: int) -> None:
        with self._environment.begin(write=True) as transaction:
            cursor = transaction.cursor()
            while cursor.first() and int.from_bytes(cursor.key(), "big") < sequence:
                cursor.delete()

    def close(self) -> None:
        self._environment.close()


class SqliteEngine:
    """SQLite in WAL mode, synchronous=FULL, incremental vacuum after each trim."""

    def __init__(self, directory: Path, quota: int) -> None:  # noqa: ARG002 - the engines' common form
        directory.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(directory / "journal.sqlite")
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE IF NOT EXISTS records (sequence INTEGER PRIMARY KEY, payload BLOB)")
        ((last,),) = self._database.execute("SELECT coalesce(max(sequence), -1) FROM records")
        self._next = last + 1

    def append(self, payloads: Sequence[bytes]) -> None:
        rows = list(enumerate(payloads, self._next))
        with self._database:
            self._database.executemany("INSERT INTO records VALUES (?, ?)", rows)
        self._next += len(rows)

    def walk(self) -> int:
        rows = self._database.execute("SELECT payload FROM records ORDER BY sequence")
        return sum(len(payload) for (payload,) in rows)

    def drop_before(self, sequence: int) -> None:
        with self._database:
            self._database.execute("DELETE FROM records WHERE sequence < ?", (sequence,))
        self._database.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self) -> None:
        self._database.close()


ENGINES: dict[str, Callable[[Path, int], Engine]] = {
    "segments": SegmentEngine,
    "lmdb": LmdbEngine,
    "sqlite": SqliteEngine,
}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure_appends(parent: Path | None, requests: int) -> dict[str, Figures]:
    """Append requests of 156 kB; the engines take turns, so that a busy machine is busy for all: medians of 5."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
    for _ in range(5):
        for name, engine_of in ENGINES.items():
            with tempfile.TemporaryDirectory(dir=parent) as folder:
                engine = engine_of(Path(folder), 1 << 40)
                rounds[name].append(_append_round(engine, requests))
                engine.close()
    return {
        name: {what: statistics.median(one[what] for one in found) for what in found[0]}
        for name, found in rounds.items()
    }


def _append_round(engine: Engine, requests: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    for group in (1, 16):
        payloads = [os.urandom(REQUEST_BYTES) for _ in range(requests)]
        latencies: list[float] = []
        cpu = _cpu()
        for start in range(0, requests, group):
            begin = time.perf_counter()
            engine.append(payloads[start : start + group])
            latencies.append((time.perf_counter() - begin) * 1e3)
        cpu = _cpu() - cpu
        latencies.sort()
        figures[f"{group} a commit: p50 ms"] = latencies[len(latencies) // 2]
        figures[f"{group} a commit: p99 ms"] = latencies[len(latencies) * 99 // 100]
        figures[f"{group} a commit: MB/s"] = requests * REQUEST_BYTES / sum(latencies) / 1e3
        figures[f"{group} a commit: CPU µs a log"] = cpu / requests / LOGS_PER_REQUEST * 1e6
    return figures


def measure_quota(engine: Engine, directory: Path, quota: int) -> Figures:
    """Let ten times the quota pass, a reader following 3/4 of it behind; return the largest size on disk."""
    chance, sizes, waiting, first, passed, largest = random.Random(1), list[int](), 0, 0, 0, 0
    begin = time.perf_counter()
    while passed < 10 * quota:
        group = [os.urandom(size) for size in chance.choices(SIZES, WEIGHTS, k=8)]
        engine.append(group)
        added = [len(payload) for payload in group]
        sizes += added
        passed, waiting = passed + sum(added), waiting + sum(added)
        if waiting > quota * 3 // 4:
            largest = max(largest, _size(directory))
            while waiting > quota // 4:
                waiting -= sizes[first]
                first += 1
            engine.drop_before(first)
    seconds = time.perf_counter() - begin
    return {
        "quota x 10: seconds": seconds,
        "quota x 10: largest MiB on disk": largest / MIB,
        "quota x 10: MiB on disk at the end": _size(directory) / MIB,
    }


def _size(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


def walk_in_this_process(name: str, directory: Path, quota: int) -> Figures:
    """Read a whole backlog; called in a process of its own, so that its memory is the reader's."""
    engine = ENGINES[name](directory, quota)
    before = psutil.Process().memory_info().rss
    cpu, begin = _cpu(), time.perf_counter()
    size = engine.walk()
    seconds, cpu = time.perf_counter() - begin, _cpu() - cpu
    peak = _peak_rss()
    engine.close()
    requests = size / REQUEST_BYTES
    return {
        "reader: µs a request": seconds / requests * 1e6,
        "reader: CPU µs a request": cpu / requests * 1e6,
        "reader: RSS before, MiB": before / MIB,
        "reader: peak RSS, MiB": peak / MIB,
    }


def _peak_rss() -> int:
    """Return this program's own peak; getrusage's also knows the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def measure_reader(name: str, engine: Engine, directory: Path, backlog: int) -> Figures:
    """Fill the journal, then walk it from another process."""
    for _ in range(backlog // (16 * REQUEST_BYTES)):
        engine.append([os.urandom(REQUEST_BYTES) for _ in range(16)])
    engine.close()
    command = [sys.executable, "-m", "bench.journal_engines", "--walk", name, str(directory), str(2 * backlog)]
    walked = subprocess.run(command, check=True, capture_output=True, text=True)
    found: Figures = json.loads(walked.stdout)
    return found


def measure_damage(name: str, directory: Path, quota: int) -> Figures:
    """Read after the largest file lost its last 100 kB, and after 4 kB in its middle were overwritten."""
    figures: Figures = {}
    for harm in ("cut", "garbled"):
        copy = directory.with_name(f"{directory.name}-{harm}")
        _fill_and_harm(name, copy, quota, harm)
        command = [sys.executable, "-m", "bench.journal_engines", "--walk", name, str(copy), str(quota)]
        walked = subprocess.run(command, check=False, capture_output=True, text=True)
        figures[f"{harm} file"] = _verdict(walked.returncode, walked.stderr)
        shutil.rmtree(copy)
    return figures


def _fill_and_harm(name: str, directory: Path, quota: int, harm: str) -> None:
    engine = ENGINES[name](directory, quota)
    for _ in range(40):
        engine.append([os.urandom(REQUEST_BYTES)])
    engine.close()
    largest = max((file for file in directory.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as file:
        size = largest.stat().st_size
        if harm == "cut":
            file.truncate(size - 100_000)
        else:
            file.seek(size // 2)
            file.write(bytes(4096))


def _verdict(code: int, errors: str) -> str:
    if code < 0:
        return f"killed by signal {-code}"
    if code:
        return f"fails: {errors.strip().splitlines()[-1][:60]}"
    return "goes on" if not errors else "goes on, and says it"


def measure(name: str, parent: Path | None, quota: int, backlog: int) -> Figures:
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        directory = Path(folder)
        engine = ENGINES[name](directory / "quota", quota)
        figures |= measure_quota(engine, directory / "quota", quota)
        engine.close()
        engine = ENGINES[name](directory / "backlog", 2 * backlog)
        figures |= measure_reader(name, engine, directory / "backlog", backlog)
        figures |= measure_damage(name, directory / "damage", 1 << 30)
    return figures


def measure_digests() -> Figures:
    """Return what the checksum of one 156 kB request costs."""
    payload = os.urandom(REQUEST_BYTES)
    figures: Figures = {}
    for name in ("sha256", "blake2b", "blake2s", "sha512"):
        times = []
        for _ in range(200):
            begin = time.perf_counter()
            hashlib.new(name, payload).digest()
            times.append(time.perf_counter() - begin)
        figures[f"{name}: µs a request"] = sorted(times)[100] * 1e6
    return figures


def _show(results: dict[str, Figures]) -> None:
    table = Table("", *results)
    for what in next(iter(results.values())):
        cells = [result[what] for result in results.values()]
        table.add_row(what, *(cell if isinstance(cell, str) else f"{cell:,.2f}" for cell in cells))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quota-mib", type=int, default=256)
    parser.add_argument("--backlog-mib", type=int, default=1024)
    parser.add_argument("--requests", type=int, default=400, help="156 kB requests in each round of appends")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; else the temporary folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--walk", nargs=3, metavar=("ENGINE", "DIRECTORY", "QUOTA"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.walk:
        name, directory, quota = arguments.walk
        print(json.dumps(walk_in_this_process(name, Path(directory), int(quota))))
        return
    quota, backlog = arguments.quota_mib * MIB, arguments.backlog_mib * MIB
    results = measure_appends(arguments.directory, arguments.requests)
    for name in ENGINES:
        results[name] |= measure(name, arguments.directory, quota, backlog)
    _show(results)
    _show({"digests": measure_digests()})
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
