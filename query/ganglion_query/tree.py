"""A trace as trees of spans with its logs in place. Pure, and quick for any shape a sender can make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from ganglion_query.model import LogRow, SpanRow, Trace

__all__ = ["Branch", "Forest", "Placed", "Root", "grow", "walk"]


class Root(Enum):
    """Why a span has none above it."""

    REAL = ""
    ORPHAN = "its parent is not here"
    CYCLE = "its parents form a circle"


@dataclass(eq=False, slots=True)
class Branch:
    """A span, and what lies under it: `items` in time order."""

    span: SpanRow
    children: "list[Branch]" = field(default_factory=list["Branch"])
    logs: list[LogRow] = field(default_factory=list[LogRow])

    @property
    def items(self) -> "Sequence[Branch | LogRow]":
        return sorted([*self.logs, *self.children], key=_time)


_Item: TypeAlias = Branch | LogRow


@dataclass(frozen=True, slots=True)
class Forest:
    """`roots` in time order; `loose` are logs of no span that is here."""

    roots: Sequence[tuple[Branch, Root]]
    loose: Sequence[LogRow]


@dataclass(frozen=True, slots=True)
class Placed:
    """A span in tree order; `depth` 0 is a root, and `why` it is one."""

    branch: Branch
    depth: int
    why: Root


def walk(forest: Forest) -> Iterator[Placed]:
    """Yield every span, parents before their children, brothers in time order; without recursion."""
    waiting = [Placed(branch, 0, why) for branch, why in reversed(forest.roots)]
    while waiting:
        placed = waiting.pop()
        yield placed
        if placed.branch.children:
            below = sorted(placed.branch.children, key=_time)
            waiting += [Placed(child, placed.depth + 1, Root.REAL) for child in reversed(below)]


def grow(trace: Trace) -> Forest:
    """Put every span under its parent and every log under its span; each appears exactly once."""
    branches = [Branch(span) for span in trace.spans]
    by_id: dict[str, Branch] = {}
    for branch in branches:
        by_id.setdefault(branch.span.span_id, branch)
    roots = [(branch, why) for branch in branches if (why := _attach(branch, by_id)) is not None]
    loose = [log for log in trace.logs if not _place(log, by_id)]
    roots += _cut_cycles(branches, [branch for branch, _ in roots])
    return Forest(sorted(roots, key=lambda root: root[0].span.start_time), loose)


def _time(item: _Item) -> datetime:
    return item.span.start_time if isinstance(item, Branch) else item.timestamp


def _attach(branch: Branch, by_id: dict[str, Branch]) -> Root | None:
    parent_id = branch.span.parent_span_id
    if not parent_id:
        return Root.REAL
    parent = by_id.get(parent_id)
    if parent is None:
        return Root.ORPHAN
    if parent is branch:
        return Root.CYCLE
    parent.children.append(branch)
    return None


def _place(log: LogRow, by_id: dict[str, Branch]) -> bool:
    branch = by_id.get(log.span_id or "")
    if branch is None:
        return False
    branch.logs.append(log)
    return True


def _cut_cycles(branches: Sequence[Branch], roots: Sequence[Branch]) -> list[tuple[Branch, Root]]:
    """Return one root for every circle of parents, the earliest of its spans, and cut the circle there."""
    seen = {id(branch) for root in roots for branch in _under(root)}
    cut: list[tuple[Branch, Root]] = []
    parents = {id(child): branch for branch in branches for child in branch.children}
    for branch in branches:
        if id(branch) in seen:
            continue
        first = min(_circle(branch, parents), key=lambda one: one.span.start_time)
        parents[id(first)].children.remove(first)
        cut.append((first, Root.CYCLE))
        seen.update(id(one) for one in _under(first))
    return cut


def _circle(branch: Branch, parents: dict[int, Branch]) -> list[Branch]:
    """Return the spans of the circle that `branch` is in or hangs on."""
    path: dict[int, Branch] = {}
    while id(branch) not in path:
        path[id(branch)] = branch
        branch = parents[id(branch)]
    order = list(path.values())
    return order[order.index(branch) :]


def _under(root: Branch) -> Iterator[Branch]:
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        yield branch
        waiting += branch.children
