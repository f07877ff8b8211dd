"""What the indexes of the read side cost: server CPU and bytes a row by COPY of a day's rows, with and without each.

    python -m bench read_indexes [--rows 160000] [--rounds 3]

Rows are those of `bench.history`, which all have times of their own. The choice is in
docs/decisions/0006-read-side-indexes.md.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console
from rich.table import Table

from bench.history import fill_history
from bench.postgresql import copied_out, copy_in, database, running_postgresql, server, table_bytes
from bench.report import median

__all__ = ["CANDIDATES", "Candidate", "Cost", "measure"]

_BATCH_ROWS = 16_000
_SCORES = "INCLUDE (metrics, trace_id, user_id, service_name)"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Indexes that are taken away from those of the migrations, and definitions that are added."""

    table: str
    without: Sequence[str] = ()
    added: Sequence[str] = ()


CANDIDATES = {
    "logs, as shipped": Candidate("logs"),
    "without logs_created_at": Candidate("logs", ["logs_created_at"]),
    "without logs_costs": Candidate("logs", ["logs_costs"]),
    "without logs_scores": Candidate("logs", ["logs_scores"]),
    "without these three": Candidate("logs", ["logs_created_at", "logs_costs", "logs_scores"]),
    "logs_scores with what is asked of it": Candidate(
        "logs", ["logs_scores"], [f"(timestamp) {_SCORES} WHERE message = 'ragas_score_computed'"]
    ),
    "(user_id, timestamp) for (user_id)": Candidate(
        "logs", ["logs_user_id"], ["(user_id, timestamp) WHERE user_id IS NOT NULL"]
    ),
    "without logs_user_id": Candidate("logs", ["logs_user_id"]),
    "spans, as shipped": Candidate("spans"),
    "without spans_operation": Candidate("spans", ["spans_operation"]),
    "(name, start_time) for spans_operation": Candidate("spans", ["spans_operation"], ["(name, start_time)"]),
    "with model calls": Candidate("spans", [], ["(start_time) WHERE attributes ? 'gen_ai.request.model'"]),
    "(user_id, start_time) for (user_id)": Candidate(
        "spans", ["spans_user_id"], ["(user_id, start_time) WHERE user_id IS NOT NULL"]
    ),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of the server's CPU a row, and bytes a row."""

    cpu: float
    heap: float
    indexes: float


def measure(dsn: str, candidate: Candidate, pieces: Sequence[bytes]) -> Cost:
    """Copy `pieces` into the empty table of the database at `dsn`, indexed as told."""
    rows = sum(piece.count(b"\n") for piece in pieces)
    with psycopg.connect(dsn) as connection:
        for name in candidate.without:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for definition in candidate.added:
            connection.execute(f"CREATE INDEX ON {candidate.table} {definition}".encode())
        backend = psutil.Process(connection.info.backend_pid)
        before = backend.cpu_times()
        copy_in(connection, candidate.table, pieces)
        after = backend.cpu_times()
        sizes = table_bytes(connection, candidate.table)
    cpu = after.user + after.system - before.user - before.system
    return Cost(cpu / rows * 1e6, sizes["heap"] / rows, sizes["indexes"] / rows)


def _empty(dsn: str, rows: int) -> Mapping[str, Sequence[bytes]]:
    """Return the rows of a day, for COPY, and leave the database at `dsn` with its tables empty."""
    fill_history(dsn, rows, 1)
    with psycopg.connect(dsn, autocommit=True) as connection:
        pieces = {table: copied_out(connection, table, _BATCH_ROWS) for table in ("logs", "spans")}
        connection.execute("TRUNCATE logs, spans")
    return pieces


@contextmanager
def _copy_of(server_dsn: str, empty: str) -> Iterator[str]:
    """Give a database like `empty` for the block."""
    template = sql.Identifier(str(conninfo_to_dict(empty)["dbname"]))
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE candidate TEMPLATE {}").format(template))
        yield make_conninfo(server_dsn, dbname="candidate")
        admin.execute("DROP DATABASE candidate WITH (FORCE)")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=160_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    costs: dict[str, list[Cost]] = {name: [] for name in CANDIDATES}
    with (
        tempfile.TemporaryDirectory(prefix="ganglion-bench-") as folder,
        running_postgresql(server(Path(folder) / "indexes")) as dsn,
        database(dsn) as empty,
    ):
        pieces = _empty(empty, arguments.rows)
        for _ in range(arguments.rounds):
            for name, candidate in CANDIDATES.items():
                with _copy_of(dsn, empty) as fresh:
                    costs[name].append(measure(fresh, candidate, pieces[candidate.table]))
    table = Table("indexes", "server CPU µs a row", "lowest", "heap bytes", "index bytes")
    for name, some in costs.items():
        cpu = [one.cpu for one in some]
        figures = (median(cpu), min(cpu), some[0].heap, some[0].indexes)
        table.add_row(name, *(f"{figure:.1f}" for figure in figures))
    Console(width=100).print(table)


if __name__ == "__main__":
    _main()
