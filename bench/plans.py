"""How PostgreSQL carries out what the reader asks: every statement explained as it is, with its own arguments.

A cursor that explains each statement before it executes it stands in the reader's connections; nothing in the reader
knows. So a changed statement is looked at as it is.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from ganglion_query.reader import Reader
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

__all__ = ["Statement", "explained"]

_SHOWN = ("Index Cond", "Recheck Cond", "Filter", "Hash Cond", "Merge Cond", "Sort Key", "Group Key")
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it was executed; `plan` is what EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) says."""

    query: str
    plan: Mapping[str, Any]

    @property
    def planning_ms(self) -> float:
        return float(self.plan["Planning Time"])

    @property
    def execution_ms(self) -> float:
        return float(self.plan["Execution Time"])

    @property
    def buffers(self) -> int:
        """Blocks of 8 KiB that were read, from the cache or the disk."""
        top = self.plan["Plan"]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])

    def nodes(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield what was executed, with its depth: not what the executor pruned or never came to."""
        yield from _walk(self.plan["Plan"], 0)

    @property
    def tables(self) -> frozenset[str]:
        """The tables and partitions that were read."""
        return frozenset(node["Relation Name"] for _, node in self.nodes() if "Relation Name" in node)

    @property
    def sequential(self) -> frozenset[str]:
        """The tables and partitions that were read from beginning to end."""
        return frozenset(node["Relation Name"] for _, node in self.nodes() if node["Node Type"] == "Seq Scan")

    def text(self) -> str:
        """Return statement and plan for people."""
        lines = [" ".join(self.query.split()), ""]
        lines += [f"{'  ' * depth}{line}" for depth, node in self.nodes() for line in _told(node)]
        return "\n".join([*lines, f"planning {self.planning_ms:.1f} ms, execution {self.execution_ms:.1f} ms", ""])


def _walk(node: Mapping[str, Any], depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if not node["Actual Loops"]:
        return
    yield depth, node
    for child in node.get("Plans", ()):
        yield from _walk(child, depth + 1)


def _told(node: Mapping[str, Any]) -> Iterator[str]:
    where = " ".join(str(node[key]) for key in ("Relation Name", "Index Name") if key in node)
    blocks = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    yield (
        f"{node['Node Type']} {where}: {node['Actual Total Time']:.2f} ms, {node['Actual Rows']:.0f} rows "
        f"(expected {node['Plan Rows']}), {node['Actual Loops']} times, {blocks} blocks"
    )
    for key in _SHOWN:
        if key in node:
            yield f"    {key}: {str(node[key])[:_LONGEST]}"
    if removed := node.get("Rows Removed by Filter"):
        yield f"    {removed} rows filtered out"


@contextmanager
def explained(dsn: str, timeout: float = 60.0) -> Generator[tuple[Reader, Sequence[Statement]]]:
    """Give a reader, and the list that fills with the statements it executes."""
    statements: list[Statement] = []

    class Explaining(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            self._explain(query, params)
            return super().execute(query, params, **options)

        def stream(self, query: Any, params: Any = None, **options: Any) -> Any:
            self._explain(query, params)
            return super().stream(query, params, **options)

        def _explain(self, query: Any, params: Any) -> None:
            text = query if isinstance(query, str) else query.as_string(self.connection)
            if "FROM" not in text or "set_config" in text:
                return
            with psycopg.Cursor(self.connection, row_factory=tuple_row) as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}".encode(), params)
                ((plans,),) = cursor.fetchall()
            statements.append(Statement(text, plans[0]))

    def configure(connection: psycopg.Connection) -> None:
        connection.read_only = True

    options = {"cursor_factory": Explaining}
    with ConnectionPool(dsn, min_size=1, max_size=1, kwargs=options, configure=configure, open=True) as pool:
        yield Reader(dsn, timeout, pool=pool), statements
