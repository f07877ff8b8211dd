"""How PostgreSQL carries out what the reader asks: every statement explained as it is, with its own arguments.

A cursor that explains each statement before it executes it stands in the reader's connections; nothing in the reader
knows. So a changed statement is looked at as it is.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader
from ganglion_query.reader.session import Pool
from psycopg.rows import tuple_row

__all__ = ["Read", "Statement", "cold_reads", "explained"]

_SHOWN = ("Index Cond", "Recheck Cond", "Filter", "Hash Cond", "Merge Cond", "Sort Key", "Group Key")
_LONGEST = 160
_PARTITION = re.compile(r"(?:logs|spans)_(\d{8})")
_ID = re.compile(r"\b(trace_id|request_id) = ")
_MARGIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Read:
    """One scan of a table: how, by which indexes, and whether these were asked for the id of a trace or a request."""

    table: str
    scan: str
    indexes: frozenset[str]
    by_id: bool

    @property
    def day(self) -> str | None:
        """The day of a partition, as in its name."""
        found = _PARTITION.fullmatch(self.table)
        return found and found[1]


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

    def reads(self) -> Iterator[Read]:
        """Yield each way in which a table or a partition was read; of an empty one there is nothing to read."""
        for _, node in self.nodes():
            if "Relation Name" in node and _blocks(node):
                found = node.get("Index Cond") or node.get("Recheck Cond") or ""
                yield Read(node["Relation Name"], node["Node Type"], _indexes(node), _ID.search(found) is not None)

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


def _blocks(node: Mapping[str, Any]) -> int:
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def _indexes(node: Mapping[str, Any]) -> frozenset[str]:
    """Return the indexes of a scan, also those of the bitmaps below it."""
    below = frozenset[str]().union(*(_indexes(child) for child in node.get("Plans", ())))
    return below | {node["Index Name"]} if "Index Name" in node else below


def _told(node: Mapping[str, Any]) -> Iterator[str]:
    where = " ".join(str(node[key]) for key in ("Relation Name", "Index Name") if key in node)
    yield (
        f"{node['Node Type']} {where}: {node['Actual Total Time']:.2f} ms, {node['Actual Rows']:.0f} rows "
        f"(expected {node['Plan Rows']}), {node['Actual Loops']} times, {_blocks(node)} blocks"
    )
    for key in _SHOWN:
        if key in node:
            yield f"    {key}: {str(node[key])[:_LONGEST]}"
    if removed := node.get("Rows Removed by Filter"):
        yield f"    {removed} rows filtered out"


def cold_reads(statements: Sequence[Statement], asked: Period | None) -> frozenset[str]:
    """Return the partitions that were read without need.

    Needed is what lies in the time asked for and a day around it; elsewhere an id may be looked up in an index. With
    None nothing but an id was asked for.
    """
    first, last = (
        ("", "") if asked is None else (f"{one:%Y%m%d}" for one in (asked.since - _MARGIN, asked.until + _MARGIN))
    )
    reads = [read for one in statements for read in one.reads() if read.day is not None and not read.by_id]
    return frozenset(read.table for read in reads if asked is None or not first <= (read.day or "") <= last)


@contextmanager
def explained(dsn: str, timeout: float = 60.0) -> Generator[tuple[Reader, Sequence[Statement]]]:
    """Give a reader, and the list that fills with the statements it executes."""
    statements: list[Statement] = []

    class Explaining(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            statements.extend(_explain(self.connection, query, params))
            return super().execute(query, params, **options)

        def stream(self, query: Any, params: Any = None, **options: Any) -> Any:
            statements.extend(_explain(self.connection, query, params))
            return super().stream(query, params, **options)

    class ExplainingPool(Pool):
        def _prepare(self, connection: psycopg.Connection) -> None:
            super()._prepare(connection)
            connection.cursor_factory = Explaining

    with ExplainingPool(dsn, 1) as pool:
        yield Reader(dsn, timeout, pool=pool), statements


def _explain(connection: psycopg.Connection[Any], query: Any, params: Any) -> Iterator[Statement]:
    """Explain a statement that reads a table."""
    text = query if isinstance(query, str) else query.as_string(connection)
    if " FROM " not in " ".join(text.split()) or "set_config" in text:
        return
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}".encode(), params)
        ((plans,),) = cursor.fetchall()
    yield Statement(text, plans[0])
