"""What the routes ask the reader: each question is a few SELECTs in one transaction, each with a bound on its rows."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from ganglion_query.jaeger.parameters import NO_SERVICE, DependencyQuery, TraceQuery, stored
from ganglion_query.jaeger.rows import Rows
from ganglion_query.model import LogRow, NotFoundError
from ganglion_query.reader import Reader, Session, jaeger
from ganglion_query.reader.jaeger import Call, Operation, StoredSpan, Summary

__all__ = ["calls", "one_trace", "operations", "services", "summaries", "traces"]

_MOST_SERVICES = 5000
_MOST_OPERATIONS = 5000
_MOST_CALLS = 2000
_MOST_OF_ONE = 10_000
_MOST_OF_A_LIST = 50_000
_MOST_LOGS_OF_A_LIST = 20_000


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
        found = list(_rows(session, [trace_id], _MOST_OF_ONE, _MOST_OF_ONE))
    if not found:
        raise NotFoundError("trace not found")
    return found[0]


def traces(reader: Reader, wanted: TraceQuery) -> list[Rows]:
    """Return whole traces: those named, else those that meet the criteria, the newest first."""
    with reader.session() as session:
        ids = wanted.traces or jaeger.find_traces(session, wanted.criteria, wanted.limit)
        return list(_rows(session, ids, _MOST_OF_A_LIST, _MOST_LOGS_OF_A_LIST)) if ids else []


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


def _rows(session: Session, ids: Sequence[str], spans: int, logs: int) -> Iterator[Rows]:
    """Yield what is stored of the traces `ids`, at most so many `spans` and `logs` in all, and say if there is more."""
    found = jaeger.spans_of(session, ids, _MOST_OF_ONE + 1, spans + 1)
    resources = jaeger.resources_of(session, found)
    told = {
        trace_id: list(rows) for trace_id, rows in groupby(jaeger.logs_of(session, ids, _MOST_OF_ONE, logs), _trace_of)
    }
    cut = found[-1].trace_id if len(found) > spans else None
    for trace_id, rows in groupby(found[:spans], lambda span: span.trace_id):
        all_spans = list(rows)
        shown = all_spans[:_MOST_OF_ONE]
        is_cut = len(all_spans) > len(shown) or trace_id == cut
        notes = (f"only the first {len(shown)} spans of this trace are shown",) if is_cut else ()
        yield Rows(trace_id, shown, resources, told.get(trace_id, ()), notes)


def _trace_of(row: LogRow | StoredSpan) -> str | None:
    return row.trace_id
