"""The values of an attribute by request, wherever it is said: on a span, by a log, or of what sent them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from ganglion_query.reader.session import Session

__all__ = ["ValueRow", "Wanted", "values_of_logs", "values_of_spans"]

_SPANS = sql.SQL("""SELECT replace(s.trace_id::text, '-', '') AS trace_id, v.value,
    bool_or(s.parent_span_id IS NULL) AS at_root
FROM spans s {resources} CROSS JOIN LATERAL (SELECT left({value}, 200) AS value) v
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s AND ({has}) AND v.value IS NOT NULL
GROUP BY s.trace_id, v.value LIMIT %(limit)s""")

_LOGS = sql.SQL("""SELECT replace(l.trace_id::text, '-', '') AS trace_id, v.value, false AS at_root
FROM logs l CROSS JOIN LATERAL (SELECT left({value}, 200) AS value) v
WHERE l.timestamp >= %(since)s AND l.timestamp < %(until)s AND l.trace_id IS NOT NULL AND ({has})
    AND v.value IS NOT NULL
GROUP BY l.trace_id, v.value LIMIT %(limit)s""")

_Source = tuple[LiteralString, LiteralString]
"""Whether a row has the attribute, and its value."""

_OF_SPANS: dict[str, _Source] = {
    "": (
        "s.attributes ? %(key)s OR r.attributes ? %(key)s",
        "coalesce(s.attributes ->> %(key)s, r.attributes ->> %(key)s)",
    ),
    "attributes": ("s.attributes ? %(key)s", "s.attributes ->> %(key)s"),
    "resource": ("r.attributes ? %(key)s", "r.attributes ->> %(key)s"),
}
_OF_LOGS: dict[str, _Source] = {
    "": ("l.context ? %(key)s OR l.metrics ? %(key)s", "coalesce(l.context ->> %(key)s, l.metrics ->> %(key)s)"),
    "context": ("l.context ? %(key)s", "l.context ->> %(key)s"),
    "metrics": ("l.metrics ? %(key)s", "l.metrics ->> %(key)s"),
}
_RESOURCES = sql.SQL("LEFT JOIN resources r ON r.id = s.resource_id")


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A value that a trace says; `at_root`: its root span does."""

    trace_id: str
    value: str
    at_root: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attribute, of a period: `place` is attributes, resource, context or metrics, empty for all of them."""

    place: str
    key: str
    since: datetime
    until: datetime
    limit: int


def values_of_spans(session: Session, wanted: Wanted) -> list[ValueRow]:
    """Return the values that spans and their resources say; nothing if they are not the place."""
    if wanted.place not in _OF_SPANS:
        return []
    has, value = _OF_SPANS[wanted.place]
    query = _SPANS.format(resources=_RESOURCES, has=sql.SQL(has), value=sql.SQL(value))
    return session.rows(ValueRow, query, _arguments(wanted))


def values_of_logs(session: Session, wanted: Wanted) -> list[ValueRow]:
    """Return the values that logs say; nothing if they are not the place."""
    if wanted.place not in _OF_LOGS:
        return []
    has, value = _OF_LOGS[wanted.place]
    query = _LOGS.format(has=sql.SQL(has), value=sql.SQL(value))
    return session.rows(ValueRow, query, _arguments(wanted))


def _arguments(wanted: Wanted) -> dict[str, Any]:
    return {"key": wanted.key, "since": wanted.since, "until": wanted.until, "limit": wanted.limit}
