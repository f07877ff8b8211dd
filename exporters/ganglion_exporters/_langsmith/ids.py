"""Ids of runs, and `dotted_order`: the place of a run in its trace as LangSmith sorts it.

`<time>Z<run id>` for each run from the root down, joined by dots; the times never decrease on the way. All segments
have one length, so that a place can be read and cut by counting.
"""

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from ganglion_collector.langsmith_ids import run_id, trace_uuid

__all__ = [
    "above_of",
    "below",
    "depth_of",
    "is_valid_order",
    "run_id",
    "run_of",
    "segment",
    "span_key",
    "trace_key",
    "trace_of",
    "trace_uuid",
    "within_depth",
]

_TIME = 22
_STEP = 59
_DEEPEST_GIVEN = 500
_SEGMENT = re.compile(r"(\d{8}T\d{12})Z([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


def segment(start: int, run_id: UUID) -> str:
    """Return one part of a dotted_order; `start` is in Unix nanoseconds, cut to microseconds."""
    return f"{_time(start)}{run_id}"


def below(above: str, start: int, run_id: UUID) -> str:
    """Return the place of a run below the one at `above`; its time there is never before its parent's.

    Clocks of hosts differ, and LangSmith refuses a child that seems to begin before its parent.
    """
    time = max(_time(start), above[1 - _STEP : 1 - _STEP + _TIME])
    return f"{above}.{time}{run_id}"


def trace_of(order: str) -> UUID:
    """Return the id of the LangSmith trace."""
    return _uuid(order[_TIME : _STEP - 1])


def run_of(order: str) -> UUID:
    """Return the id of the run itself."""
    return _uuid(order[-36:])


def above_of(order: str) -> UUID | None:
    """Return the id of the parent, None for a root."""
    end = len(order) - _STEP
    return _uuid(order[end - 36 : end]) if end > 0 else None


def depth_of(order: str) -> int:
    """Return how many runs the place counts, 1 for a root."""
    return (len(order) + 1) // _STEP


def within_depth(order: str, deepest: int) -> str:
    """Return the place itself, or that of its ancestor at depth `deepest`."""
    return order[: deepest * _STEP - 1]


def is_valid_order(order: str, run_id: UUID, trace_id: UUID, parent_run_id: UUID | None) -> bool:
    """Tell whether LangSmith takes `order` for these ids, and it is written as LangSmith writes it."""
    if len(order) > _DEEPEST_GIVEN * _STEP:
        return False
    found = [_SEGMENT.fullmatch(part) for part in order.split(".")]
    times = [match[1] for match in found if match is not None]
    ids = [match[2] for match in found if match is not None]
    if len(ids) < len(found) or not all(map(_is_time, times)):
        return False
    parent = ids[-2] if len(ids) > 1 else None
    given = (str(run_id), str(trace_id), str(parent_run_id) if parent_run_id else None)
    return (ids[-1], ids[0], parent) == given and times == sorted(times) and len(set(ids)) == len(ids)


def span_key(span_id: bytes) -> bytes:
    """Return 8 bytes for a span id, those of a valid one as they are."""
    return span_id if len(span_id) == 8 else hashlib.blake2b(span_id, digest_size=8).digest()


def trace_key(trace_id: bytes) -> bytes:
    """Return 16 bytes for a trace id, those of a valid one as they are."""
    return trace_id if len(trace_id) == 16 else hashlib.blake2b(trace_id, digest_size=16).digest()


# The ids of a trace are read again with each run below them.
_uuid = lru_cache(maxsize=4096)(UUID)


def _time(start: int) -> str:
    seconds, microseconds = divmod(start // 1000, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}{microseconds:06d}Z"


def _is_time(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
