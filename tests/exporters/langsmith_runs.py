"""Runs as the exporter would make them of spans."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ganglion_collector.langsmith_ids import run_id, trace_uuid
from ganglion_exporters._langsmith.model import Draft, Run

__all__ = ["START", "make_draft", "make_run", "make_trace"]

START = time.time_ns() - 60 * 10**9


def make_draft(number: int, trace: int = 1, **fields: Any) -> Draft:
    """Return the draft of span `number` of a trace; span 0 is the root."""
    given: dict[str, Any] = {
        "parent_span_id": b"" if number == 0 else span_id(0),
        "name": f"run {number}",
        "run_type": "llm",
        "start": START + number * 1_000_000,
        "end": START + number * 1_000_000 + 500_000,
        "inputs": {"messages": [{"role": "user", "content": f"question {number}"}]},
        "outputs": {"messages": [{"role": "assistant", "content": f"answer {number}"}]},
        "metadata": {"number": number},
    }
    return Draft(trace_id=trace_id(trace), span_id=span_id(number), **{**given, **fields})


def make_run(number: int, trace: int = 1, *, update: bool = False, **fields: Any) -> Run:
    """Return run `number` of a trace: the root, or a child of it."""
    draft = make_draft(number, trace, **fields)
    root = trace_uuid(trace_id(trace), START)
    first = segment(START, root)
    if number == 0:
        return Run(root, root, None, first, draft, update)
    own = run_id(draft.trace_id, draft.span_id, draft.start)
    return Run(own, root, root, f"{first}.{segment(draft.start, own)}", draft, update)


def make_trace(runs: int, trace: int = 1, **fields: Any) -> list[Run]:
    return [make_run(number, trace, **fields) for number in range(runs)]


def trace_id(number: int) -> bytes:
    return bytes([0xA0]) * 14 + number.to_bytes(2, "big")


def span_id(number: int) -> bytes:
    return (number + 1).to_bytes(8, "big")


def segment(nanoseconds: int, own: UUID) -> str:
    seconds, microseconds = divmod(nanoseconds // 1000, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}{microseconds:06}Z{own}"
