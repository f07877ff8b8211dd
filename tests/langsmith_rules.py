"""What LangSmith asks of runs, by the texts of its own refusals: checked one run, one request, one trace at a time.

A request that breaks a rule is rejected whole; `RejectedError` says with which status and text.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

__all__ = [
    "RUN_TYPES",
    "RejectedError",
    "check_order",
    "check_run",
    "check_schema",
    "check_trace",
    "check_window",
    "moment",
    "segments",
]

RUN_TYPES = frozenset({"tool", "chain", "llm", "retriever", "embedding", "prompt", "parser"})

_SEGMENT_TIME = "%Y%m%dT%H%M%S%f"
_REQUIRED = ("id", "trace_id", "dotted_order")
_REQUIRED_IN_POST = (*_REQUIRED, "name", "run_type", "start_time")
_UUIDS = ("id", "trace_id", "parent_run_id", "session_id", "reference_example_id")
_OBJECTS = ("inputs", "outputs", "extra", "serialized")
_TEXTS = ("name", "error", "status", "session_name")
_LARGEST = 2**63 - 1


class RejectedError(Exception):
    """A request that LangSmith would not take, as a whole."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def _unprocessable(run: Mapping[str, Any], event: str, reason: str) -> RejectedError:
    text = f"Unprocessable entity: error parsing run for {event}.{run.get('id')}: schema validation failed: {reason}"
    return RejectedError(422, text)


def _disordered(run: Mapping[str, Any], reason: str) -> RejectedError:
    ids = f"run_id:{run['id']} trace_id:{run['trace_id']} dotted_order:{run['dotted_order']}"
    return RejectedError(400, f"invalid 'dotted_order': {reason} for {ids} parent_run_id:{run.get('parent_run_id')}")


def _is_uuid(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def moment(value: object) -> datetime:
    """Read an ISO 8601 time (digits after microseconds are cut; without a zone it is UTC) or raise ValueError."""
    if not isinstance(value, str) or "T" not in value:
        raise ValueError("must be an ISO 8601 timestamp")
    read = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def check_run(run: Mapping[str, Any], event: str = "post") -> None:
    """Check the schema of one run of a batch or multipart request (`event` post or patch), then its dotted_order."""
    check_schema(run, event)
    for name in _REQUIRED_IN_POST if event == "post" else _REQUIRED:
        if not run.get(name):
            raise _unprocessable(run, event, f"{name}: is required")
    check_order(run)


def check_schema(run: Mapping[str, Any], event: str = "post") -> None:
    """Check the types of the fields that are there; the endpoints of single runs ask no more."""
    for name in _UUIDS:
        if run.get(name) is not None and not _is_uuid(run[name]):
            raise _unprocessable(run, event, f"{name}: Must validate one and only one schema (oneOf)")
    for name in _OBJECTS:
        if run.get(name) is not None and not isinstance(run[name], dict):
            raise _unprocessable(run, event, f"{name}: Invalid type. Expected: object")
    for name in _TEXTS:
        if run.get(name) is not None and not isinstance(run[name], str):
            raise _unprocessable(run, event, f"{name}: Invalid type. Expected: string")
    if run.get("run_type") is not None and run["run_type"] not in RUN_TYPES:
        raise _unprocessable(run, event, f"run_type: must be one of {', '.join(sorted(RUN_TYPES))}")
    _check_lists(run, event)
    _check_times(run, event)
    _check_numbers(run, event)


def _check_lists(run: Mapping[str, Any], event: str) -> None:
    for name, kind in (("tags", str), ("events", dict)):
        values = run.get(name)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise _unprocessable(run, event, f"{name}: Invalid type. Expected: array of {kind.__name__}")


def _check_times(run: Mapping[str, Any], event: str) -> None:
    for name in ("start_time", "end_time"):
        if run.get(name) is None:
            continue
        try:
            moment(run[name])
        except ValueError:
            raise _unprocessable(run, event, f"{name} must be an ISO 8601 timestamp") from None


def _check_numbers(run: Mapping[str, Any], event: str) -> None:
    waiting: list[Any] = [run]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
            raise _unprocessable(run, event, "int too big to convert")


def segments(dotted_order: str) -> list[tuple[datetime, str]]:
    """Split into (time, run id), root first, or raise ValueError."""
    found = list[tuple[datetime, str]]()
    for index, part in enumerate(dotted_order.split(".")):
        time, _, run_id = part.partition("Z")
        if not re.fullmatch(r"\d{8}T\d{12}", time):
            raise ValueError(f"invalid timestamp in dotted_order {time} at index {index}: parsing time {time!r}")
        if not _is_uuid(run_id):
            raise ValueError(f"invalid uuid in dotted_order {run_id} at index {index}")
        try:
            found.append((datetime.strptime(time, _SEGMENT_TIME).replace(tzinfo=UTC), run_id))
        except ValueError:
            message = f"invalid timestamp in dotted_order {time} at index {index}: parsing time {time!r}"
            raise ValueError(message) from None
    return found


def check_order(run: Mapping[str, Any]) -> None:
    """Check `dotted_order` against the run's ids, and its times against each other."""
    try:
        parts = segments(str(run["dotted_order"]))
    except ValueError as error:
        raise _disordered(run, str(error)) from None
    run_id, trace_id, parent = (str(run.get(name) or "").lower() for name in ("id", "trace_id", "parent_run_id"))
    ids = [part.lower() for _, part in parts]
    if not parent and len(parts) > 1:
        raise _disordered(run, "dotted_order must contain a single part for root runs")
    if parent and len(parts) < 2:
        raise _disordered(run, "dotted_order must contain at least two parts for child runs")
    if ids[0] != trace_id:
        raise _disordered(run, f"trace_id {trace_id} does not match first part of dotted_order {ids[0]}")
    if ids[-1] != run_id:
        raise _disordered(run, f"run_id {run_id} does not match last part of dotted_order {ids[-1]}")
    if parent and ids[-2] != parent:
        raise _disordered(run, f"parent_run_id {parent} does not match second-last part of dotted_order {ids[-2]}")
    for (above, _), (below, _) in pairwise(parts):
        if below < above:
            raise _disordered(run, f"dotted_order has timestamp {below} earlier than parent timestamp {above}")


def check_window(run: Mapping[str, Any], now: datetime, window: timedelta) -> None:
    """Check that the run started neither too long ago nor in the far future."""
    if run.get("start_time") is None:
        return
    start = moment(run["start_time"])
    if abs(now - start) > window:
        hours = window.total_seconds() / 3600
        raise RejectedError(
            400, f"invalid 'start_time': {start} is outside the {hours:g}-hour window for run_id:{run['id']}"
        )


def check_trace(runs: Iterable[Mapping[str, Any]]) -> None:
    """Assert that these are all runs of one whole trace: one root, no orphan, an order that follows the parents.

    Beyond what LangSmith refuses: a v7 id of another time than its run's start is taken, but never found again.
    """
    by_id = {str(run["id"]): run for run in runs}
    roots = [run for run in by_id.values() if not run.get("parent_run_id")]
    assert len(roots) == 1, f"{len(roots)} roots among {len(by_id)} runs"
    assert str(roots[0]["id"]) == str(roots[0]["trace_id"]), "the root's id is not the trace's"
    for run in by_id.values():
        check_run(run)
        _assert_hangs(run, by_id)
        _assert_times(run)


def _assert_hangs(run: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> None:
    parent_id = run.get("parent_run_id")
    if not parent_id:
        return
    parent = by_id.get(str(parent_id))
    assert parent is not None, f"run {run['id']} ({run['name']}) has lost its parent {parent_id}"
    above, _, _ = str(run["dotted_order"]).rpartition(".")
    assert above == parent["dotted_order"], f"run {run['id']} ({run['name']}) is ordered below another parent"


def _assert_times(run: Mapping[str, Any]) -> None:
    start = moment(run["start_time"])
    if run.get("end_time"):
        assert moment(run["end_time"]) >= start, f"run {run['id']} ({run['name']}) ends before it starts"
    run_id = UUID(str(run["id"]))
    if run_id.version == 7:
        milliseconds = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        # LangChain makes a run's id some moments before its start, and LangSmith finds it.
        assert abs((run_id.int >> 80) - milliseconds) < 1000, (
            f"run {run_id} ({run['name']}) has another time in its id: {start}"
        )
