"""What the routes ask the reader: each question is a few SELECTs in one transaction, each with a bound on its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ganglion_query.jaeger.parameters import NO_SERVICE, DependencyQuery, TraceQuery, stored
from ganglion_query.jaeger.rows import Rows
from ganglion_query.model import LogRow, NotFoundError
from ganglion_query.reader import Reader, Session, jaeger
from ganglion_query.reader.jaeger import Call, Operation, Summary

__all__ = ["Room", "Traces", "calls", "one_trace", "operations", "services", "summaries", "traces", "whole_traces"]

_MOST_SERVICES = 5000
_MOST_OPERATIONS = 5000
_MOST_CALLS = 2000


@dataclass(frozen=True, slots=True)
class Room:
    """For how much of traces there is room: of `each` of them so many spans and logs, and in all."""

    each: int
    spans: int
    logs: int


_FOR_ONE = Room(10_000, 10_000, 10_000)
_FOR_A_LIST = Room(10_000, 20_000, 10_000)


@dataclass(frozen=True, slots=True)
class Traces:
    """Whole traces; there was no room for those of the ids `left_out`."""

    rows: Sequence[Rows]
    left_out: Sequence[str] = ()


def services(reader: Reader) -> list[str]:
    with reader.session() as session:
        return [name or NO_SERVICE for name in jaeger.services(session, _MOST_SERVICES)]


def operations(reader: Reader, service: str, kind: str | None = None) -> list[Operation]:
    """Return the operations of a service, in order of names; with `kind` those of that one, in any case."""
    with reader.session() as session:
        found = jaeger.operations(session, stored(service) or "", _MOST_OPERATIONS)
    return [one for one in found if kind is None or one.kind == kind.upper()]


def one_trace(reader: Reader, trace_id: str) -> Rows:
    """Return all of one trace.

    Raises:
        NotFoundError: nothing is stored of it.
    """
    with reader.session() as session:
        session.about(trace_id)
        found = whole_traces(session, [trace_id], _FOR_ONE)
    if not found.rows:
        raise NotFoundError("trace not found")
    return found.rows[0]


def traces(reader: Reader, wanted: TraceQuery) -> Traces:
    """Return whole traces: those named, else those that meet the criteria, the newest first."""
    with reader.session() as session:
        ids = wanted.traces or jaeger.find_traces(session, wanted.criteria, wanted.limit)
        return whole_traces(session, ids, _FOR_A_LIST)


def summaries(reader: Reader, wanted: TraceQuery) -> list[Summary]:
    """Return traces that meet the criteria, added up, the newest first."""
    with reader.session() as session:
        ids = jaeger.find_traces(session, wanted.criteria, wanted.limit)
        return jaeger.summaries(session, ids) if ids else []


def calls(reader: Reader, wanted: DependencyQuery) -> list[Call]:
    """Return who called whom, the most frequent first."""
    with reader.session() as session:
        found = jaeger.calls(session, wanted.since, wanted.until, _MOST_CALLS)
    return [call for call in found if wanted.service in {None, call.parent, call.child}]


def whole_traces(session: Session, ids: Sequence[str], room: Room) -> Traces:
    """Return what is stored of the traces `ids`, as far as there is room for it."""
    if not ids:
        return Traces(())
    found = jaeger.spans_of(session, ids, room.each + 1, room.spans + 1)
    shown, beyond = found.rows[: room.spans], [span.trace_id for span in found.rows[room.spans :]]
    if found.is_cut and not beyond:
        beyond = [shown[-1].trace_id]
    resources = jaeger.resources_of(session, shown)
    logs = {one: list(of_one) for one, of_one in groupby(jaeger.logs_of(session, ids, room.each, room.logs), _trace_of)}
    rows = [
        _rows(Rows(one, list(of_one), resources, logs.get(one, ())), room.each, is_cut=one in beyond)
        for one, of_one in groupby(shown, lambda span: span.trace_id)
    ]
    return Traces(rows, ids[ids.index(shown[-1].trace_id) + 1 :] if beyond else ())


def _rows(rows: Rows, most: int, *, is_cut: bool) -> Rows:
    """Return a trace that is not too long, and says if it is cut."""
    shown = rows.spans[:most]
    if not is_cut and len(shown) == len(rows.spans):
        return rows
    return replace(rows, spans=shown, notes=(f"only the first {len(shown)} spans of this trace are shown",))


def _trace_of(row: LogRow) -> str | None:
    return row.trace_id
