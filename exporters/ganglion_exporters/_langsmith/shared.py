"""What the runs of one LangSmith trace have in common: the project, and the thread of a conversation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ganglion_exporters._langsmith.ids import trace_of
from ganglion_exporters._langsmith.model import Draft, Placed, Run

__all__ = ["share_project", "share_thread"]

_THREAD_KEYS = ("session_id", "thread_id", "conversation_id")


def share_project(runs: Sequence[Run], known: Mapping[bytes, Placed]) -> None:
    """Send each trace to one project, since a run whose parent is in another one is shown nowhere.

    It is the one that the trace went to before, else the first that a run names, from the root down. Another name stays
    in the metadata.
    """
    chosen = {trace_of(placed.dotted_order): (placed.project, placed.project_id) for placed in known.values()}
    for run in runs:
        if run.draft.project or run.draft.project_id:
            chosen.setdefault(run.trace_id, (run.draft.project, run.draft.project_id))
    for run in runs:
        project, project_id = chosen.get(run.trace_id, ("", ""))
        draft = run.draft
        if (draft.project, draft.project_id) == (project, project_id):
            continue
        named = draft.project or draft.project_id
        metadata = {**draft.metadata, "ganglion.project": named} if named else draft.metadata
        run.draft = replace(draft, project=project, project_id=project_id, metadata=metadata)


def share_thread(runs: Sequence[Run]) -> None:
    """Give every run of a trace the thread that the trace has: LangSmith counts a thread's tokens and cost by run.

    A trace with several threads keeps them where they are.
    """
    by_trace = sorted(runs, key=lambda run: run.trace_id)
    for _, group in groupby(by_trace, key=lambda run: run.trace_id):
        members = list(group)
        threads = _threads(run.draft for run in members)
        if len(threads) != 1:
            continue
        (thread,) = threads
        for run in members:
            if not _threads([run.draft]):
                run.draft = replace(run.draft, metadata={**run.draft.metadata, **dict(thread)})


def _threads(drafts: Iterable[Draft]) -> set[tuple[tuple[str, str], ...]]:
    found = (
        tuple((key, str(draft.metadata[key])) for key in _THREAD_KEYS if draft.metadata.get(key)) for draft in drafts
    )
    return set(filter(None, found))
