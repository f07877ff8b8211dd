"""The tree of a trace's spans: who hangs under whom, parents first, whatever senders say."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ganglion_exporters._langsmith.ids import span_key
from ganglion_exporters._langsmith.model import Draft

__all__ = ["Tree", "grow", "prune"]

_NO_PARENT = (b"", bytes(8))


@dataclass(frozen=True, slots=True)
class Tree:
    """`drafts` by span key, parents before children; `up` holds a span's parent, in `drafts` or known, None at the top.

    `roots` are the tops that have no parent, in the order of preference; the other tops lost theirs.
    """

    drafts: Mapping[bytes, Draft]
    up: Mapping[bytes, bytes | None]
    roots: tuple[bytes, ...]

    @property
    def tops(self) -> list[bytes]:
        return [key for key, parent in self.up.items() if parent is None]


def grow(drafts: Mapping[bytes, Draft], known: Collection[bytes]) -> Tree:
    """Arrange spans by their parents, found among them or `known` from before; cycles are cut."""
    first_come = sorted(drafts, key=lambda key: (drafts[key].start, key))
    up = {key: _parent(key, drafts, known) for key in first_come}
    _cut_cycles(up)
    order = _parents_first(up)
    return Tree({key: drafts[key] for key in order}, {key: up[key] for key in order}, _roots(up, drafts))


def prune(tree: Tree, kept: Collection[bytes]) -> Tree:
    """Leave only `kept` spans, each under its nearest kept (or known) ancestor."""
    nearest: dict[bytes, bytes | None] = {}
    for key, parent in tree.up.items():
        above = _found(nearest, parent)
        nearest[key] = key if key in kept else above
    up = {key: _found(nearest, parent) for key, parent in tree.up.items() if key in kept}
    return replace(
        tree,
        drafts={key: tree.drafts[key] for key in up},
        up=up,
        roots=tuple(key for key in tree.roots if key in up),
    )


def _found(nearest: Mapping[bytes, bytes | None], parent: bytes | None) -> bytes | None:
    return nearest[parent] if parent is not None and parent in nearest else parent


def _parent(key: bytes, drafts: Mapping[bytes, Draft], known: Collection[bytes]) -> bytes | None:
    named = drafts[key].parent_span_id
    if named in _NO_PARENT:
        return None
    parent = span_key(named)
    return parent if parent != key and (parent in drafts or parent in known) else None


def _cut_cycles(up: dict[bytes, bytes | None]) -> None:
    """Make the span that is reached twice on one way up a top."""
    walked: dict[bytes, int] = {}
    for walk, start in enumerate(up):
        here: bytes | None = start
        while here is not None and here in up and here not in walked:
            walked[here] = walk
            here = up[here]
        if here is not None and walked.get(here) == walk:
            up[here] = None


def _parents_first(up: Mapping[bytes, bytes | None]) -> list[bytes]:
    children: dict[bytes, list[bytes]] = {}
    order = list[bytes]()
    for key, parent in up.items():
        if parent is None or parent not in up:
            order.append(key)
        else:
            children.setdefault(parent, []).append(key)
    for key in order:  # grows meanwhile, level by level
        order += children.get(key, ())
    return order


def _roots(up: Mapping[bytes, bytes | None], drafts: Mapping[bytes, Draft]) -> tuple[bytes, ...]:
    tops = [key for key, parent in up.items() if parent is None]
    real = [key for key in tops if drafts[key].parent_span_id in _NO_PARENT]
    return tuple(real or [key for key in tops if drafts[key].is_root])
