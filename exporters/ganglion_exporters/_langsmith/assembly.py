"""Put the spans of one trace into their places: LangSmith's tree, made of what has come so far.

    drafts ─▶ times ─▶ tree ─▶ (only LLM) ─▶ root: real, known, synthetic ─▶ places ─▶ runs, parents first

A place is for ever: LangSmith takes each run once. What comes later hangs under what is `known` to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from ganglion_exporters._langsmith.ids import (
    above_of,
    below,
    depth_of,
    is_valid_order,
    run_id,
    run_of,
    segment,
    span_key,
    trace_key,
    trace_of,
    trace_uuid,
    within_depth,
)
from ganglion_exporters._langsmith.model import Draft, Placed, Run
from ganglion_exporters._langsmith.shared import share_project, share_thread
from ganglion_exporters._langsmith.tree import Tree, grow, prune

__all__ = ["ROOT", "Assembly", "AssemblySettings", "assemble", "is_phantom"]

ROOT = b""
"""The key of the trace's root among what is known, real or synthetic; a span's key is never empty."""
_SECOND = 10**9
_MILLISECOND = 10**6
_SAME_TIME = 3_600_000


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """How runs are made of a trace.

    `window` and `ahead`: seconds before and after now within which LangSmith takes a start (it says 24 h); what lies
    outside goes in requests of its own (`isolate`), begins at the border (`shift`), or not at all (`dead_letter`).
    `root_ids`: a trace's id is OpenTelemetry's (`trace`) or, as all others, a UUIDv7 of the root's start (`time`).
    Below `max_depth` runs hang side by side, since each run's place names all runs above it.
    """

    only_llm: bool = False
    root_ids: Literal["trace", "time"] = "trace"
    too_old: Literal["isolate", "shift", "dead_letter"] = "isolate"
    window: float = 23.5 * 3600
    ahead: float = 3600.0
    max_depth: int = 100


@dataclass(slots=True)
class Assembly:
    """`runs` parents first; `placed` by span key (`ROOT` too) is what later spans need to know.

    `aliases` are places for spans of another trace: langsmith's SDK starts one of the run's own id below a run.
    `rejected` are drafts that LangSmith would refuse, each with the reason. What is in none of these was not wanted.
    """

    runs: list[Run] = field(default_factory=list[Run])
    placed: dict[bytes, Placed] = field(default_factory=dict[bytes, Placed])
    aliases: dict[tuple[bytes, bytes], Placed] = field(default_factory=dict[tuple[bytes, bytes], Placed])
    rejected: list[tuple[Draft, str]] = field(default_factory=list[tuple[Draft, str]])


def assemble(drafts: Sequence[Draft], known: Mapping[bytes, Placed], settings: AssemblySettings, now: int) -> Assembly:
    """Make the runs of one trace's spans; the same arguments always give the same runs.

    `known` holds by span key what was delivered before, of this trace's root and of these spans and their parents at
    least. A span that comes twice, or is known, makes no run. `now` is in Unix nanoseconds.
    """
    assembly = Assembly()
    borders = _Borders.around(now, settings)
    wanted = dict[bytes, Draft]()
    for draft in drafts:
        key = span_key(draft.span_id)
        if key in known or key in wanted:
            continue
        if settings.too_old == "dead_letter" and not borders.hold(draft.start):
            assembly.rejected.append((draft, "LangSmith takes no run that started so long ago, or in the future"))
            continue
        wanted[key] = borders.moved(draft) if settings.too_old == "shift" else draft
    whole = grow(wanted, known)
    tree = _wanted_of(whole, known) if settings.only_llm else whole
    if tree.drafts:
        placing = _Placing(tree, known, settings, borders, assembly)
        placing.run()
        placing.remember(whole)
    return assembly


@dataclass(frozen=True, slots=True)
class _Borders:
    first: int
    last: int

    @classmethod
    def around(cls, now: int, settings: AssemblySettings) -> "_Borders":
        return cls(now - int(settings.window * _SECOND), now + int(settings.ahead * _SECOND))

    def hold(self, start: int) -> bool:
        return self.first <= start <= self.last

    def moved(self, draft: Draft) -> Draft:
        if self.hold(draft.start):
            return draft
        start = min(max(draft.start, self.first), self.last)
        metadata = {**draft.metadata, "otel.start_time_unix_nano": str(draft.start)}
        return replace(draft, start=start, end=max(start, draft.end), metadata=metadata)


def _wanted_of(tree: Tree, known: Mapping[bytes, Placed]) -> Tree:
    """Leave the LLM's spans; where several are at the top, the real root with them, so that they have one in common."""
    kept = {key for key, draft in tree.drafts.items() if draft.is_llm}
    pruned = prune(tree, kept)
    root = known.get(ROOT)
    open_root = root.synthetic if root else len(pruned.tops) > 1
    if open_root and tree.roots and not (root is None and pruned.roots):
        pruned = prune(tree, kept | {tree.roots[0]})
    if root is None and len(pruned.tops) == 1:
        return replace(pruned, roots=tuple(pruned.tops))
    return pruned


class _Placing:
    """One assembly at work."""

    def __init__(
        self,
        tree: Tree,
        known: Mapping[bytes, Placed],
        settings: AssemblySettings,
        borders: _Borders,
        assembly: Assembly,
    ) -> None:
        self._tree = tree
        self._known = known
        self._settings = settings
        self._borders = borders
        self._assembly = assembly
        self._orders: dict[bytes, str] = {key: placed.dotted_order for key, placed in known.items()}
        self._used = {placed.run_id for placed in known.values()}
        orders: dict[UUID, str] = {}
        self._given = {key for key in tree.drafts if self._takes_given(key, orders)}
        self._ids: dict[str, UUID] = {}
        self._updated: bytes | None = None
        self._synthetic = False

    def run(self) -> None:
        self._place_root()
        runs = [self._run(key, draft) for key, draft in self._tree.drafts.items()]
        if self._synthetic:
            runs.append(self._synthetic_run())
        # A parent's place is shorter than its child's, also where ids were given in another order.
        runs.sort(key=lambda run: depth_of(run.dotted_order))
        share_project(runs, self._known)
        share_thread(runs)
        self._assembly.runs = runs

    def remember(self, whole: Tree) -> None:
        """Note where each span stands; one that was left out, where the next one above it does."""
        projects = {trace_of(one.dotted_order): (one.project, one.project_id) for one in self._known.values()}
        projects |= {run.trace_id: (run.draft.project, run.draft.project_id) for run in self._assembly.runs}
        placed = self._assembly.placed
        for key, parent in whole.up.items():
            order = self._orders.get(key) or (parent is not None and self._orders.get(parent))
            if order:
                self._orders[key] = order
                placed[key] = self._placed(order, projects)
        if ROOT in self._orders:
            placed[ROOT] = replace(self._placed(self._orders[ROOT], projects), synthetic=self._is_open())
        for key in self._given:
            here = placed[key]
            self._assembly.aliases[trace_of(here.dotted_order).bytes, here.run_id.bytes[:8]] = here

    def _placed(self, order: str, projects: Mapping[UUID, tuple[str, str]]) -> Placed:
        project, project_id = projects.get(trace_of(order), ("", ""))
        return Placed(self._id_of(order), order, project, project_id)

    def _id_of(self, order: str) -> UUID:
        return self._ids.get(order) or run_of(order)

    def _is_open(self) -> bool:
        before = self._known.get(ROOT)
        return self._synthetic or (before is not None and before.synthetic and self._updated is None)

    def _takes_given(self, key: bytes, orders: dict[UUID, str]) -> bool:
        """Note where a span says that it stands, unless it cannot stand there, or another span says otherwise.

        `orders` holds what was said so far: of each run, and of its parent.
        """
        given = self._tree.drafts[key].given
        if given is None or given.run_id in self._used:
            return False
        order, above = given.dotted_order, given.dotted_order.rpartition(".")[0]
        if not is_valid_order(order, given.run_id, given.trace_id, given.parent_run_id):
            return False
        if orders.get(given.run_id, order) != order:
            return False
        if given.parent_run_id and orders.setdefault(given.parent_run_id, above) != above:
            return False
        self._used.add(given.run_id)
        self._orders[key] = orders[given.run_id] = order
        return True

    def _place_root(self) -> None:
        """Find the root of all that hangs nowhere else."""
        root = next(iter(self._tree.roots), None)
        before = self._known.get(ROOT)
        if before is not None:
            if before.synthetic and root is not None and root not in self._given and self._fits(root, before.run_id):
                self._updated = root
                self._orders[root] = before.dotted_order
            return
        if root is not None and root in self._given:
            self._orders[ROOT] = self._orders[root]
        elif root is not None:
            start = self._tree.drafts[root].start
            self._orders[root] = self._orders[ROOT] = segment(start, self._root_id(root, start))
        elif any(key not in self._given for key in self._tree.tops):
            self._synthetic = True
            start = self._earliest()
            self._orders[ROOT] = segment(start, self._root_id(b"", start))

    def _fits(self, root: bytes, run_id: UUID) -> bool:
        """Tell whether a UUIDv7 of the trace's root, made before the root came, has its time: LangSmith looks there."""
        if self._settings.root_ids == "trace":
            return True
        start = self._tree.drafts[root].start
        return abs((run_id.int >> 80) - start // _MILLISECOND) < _SECOND // _MILLISECOND

    def _root_id(self, span: bytes, start: int) -> UUID:
        trace_id = trace_key(next(iter(self._tree.drafts.values())).trace_id)
        if self._settings.root_ids == "time":
            return self._unused(trace_id, span, start)
        found = trace_uuid(trace_id, start)
        if found in self._used or (self._synthetic and self._is_phantom(trace_id)):
            octets = bytearray(trace_id)
            octets[6] = 0x80 | octets[6] & 0x0F
            found = UUID(bytes=bytes(octets))
        if found in self._used:
            return self._unused(trace_id, span, start)
        self._used.add(found)
        return found

    def _is_phantom(self, trace_id: bytes) -> bool:
        """Tell whether the trace's id is a run's own: its root is not ours to make."""
        return any(is_phantom(trace_id, draft.parent_span_id) for draft in self._tree.drafts.values())

    def _unused(self, trace_id: bytes, span: bytes, start: int) -> UUID:
        found, again = run_id(trace_id, span, start), 0
        while found in self._used:
            again += 1
            found = run_id(trace_id, span, start, f"\0{again}")
        self._used.add(found)
        return found

    def _earliest(self) -> int:
        starts = [draft.start for draft in self._tree.drafts.values()]
        return min(filter(self._borders.hold, starts), default=min(starts))

    def _run(self, key: bytes, draft: Draft) -> Run:
        own = key in self._orders
        above = self._tree.up[key]
        if not own:
            at = self._orders[above if above is not None else ROOT]
            cut = within_depth(at, self._settings.max_depth - 1)
            identity = self._unused(trace_key(draft.trace_id), key, draft.start)
            self._orders[key] = order = below(cut, draft.start, identity)
            self._ids[order] = identity
            if draft.parent_span_id and (cut != at or above is None or above != span_key(draft.parent_span_id)):
                draft = replace(draft, metadata={**draft.metadata, "otel.parent_span_id": draft.parent_span_id.hex()})
        return self._made(self._orders[key], draft, update=key == self._updated)

    def _made(self, order: str, draft: Draft, *, update: bool = False) -> Run:
        draft = draft if draft.end >= draft.start else replace(draft, end=draft.start)
        alone = not self._borders.hold(draft.start)
        identity = self._id_of(order)
        return Run(identity, trace_of(order), above_of(order), order, draft, update=update, alone=alone)

    def _synthetic_run(self) -> Run:
        drafts = self._tree.drafts.values()
        example = next(iter(drafts))
        draft = Draft(
            trace_id=example.trace_id,
            span_id=b"",
            parent_span_id=b"",
            name="(missing root)",
            run_type="chain",
            start=(start := self._earliest()),
            end=max(start, *(draft.end for draft in drafts)),
            metadata={"OTEL_TRACE_ID": example.trace_id.hex(), "ganglion.synthetic_root": True},
        )
        return self._made(self._orders[ROOT], draft)


def is_phantom(trace_id: bytes, parent_span_id: bytes) -> bool:
    """Tell whether langsmith's SDK made these ids of a run's: its trace's id, and the first 8 bytes of its own.

    Both are then UUIDv7 of about the same time; random ids are so once in 10^7.
    """
    if len(trace_id) != 16 or len(parent_span_id) != 8 or not trace_id[6] >> 4 == parent_span_id[6] >> 4 == 7:
        return False
    return abs(int.from_bytes(trace_id[:6], "big") - int.from_bytes(parent_span_id[:6], "big")) <= _SAME_TIME
