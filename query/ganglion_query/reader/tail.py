"""Logs as they are stored: what became visible between two snapshots of the database, each exactly once."""

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ganglion_query.model import LogFilter, LogRow
from ganglion_query.reader.bounds import LOG_BYTES, Bounded, bounded
from ganglion_query.reader.columns import LOG_COLUMNS, where
from ganglion_query.reader.conditions import LOGS, all_of
from ganglion_query.reader.logs import arguments_of
from ganglion_query.reader.session import Session

__all__ = ["Look", "look", "stored_between"]

_LOOK = "SELECT pg_current_snapshot()::text AS snapshot, clock_timestamp()::text AS time"

# A row bears the time at which its transaction began, which is not when it can be seen; its xmin says that. The number
# of a transaction is made whole (xid8) by the newest one's. A record's own time is at most `max_future` ahead, and one
# of the day before is no news: so few partitions are read, and of them what is the newest in the table.
_STORED = sql.SQL(
    bounded(
        LOG_COLUMNS,
        """SELECT l.* FROM logs l, pg_snapshot_xmax(%(now)s::pg_snapshot) AS newest
    WHERE l.created_at > %(time)s::timestamptz - interval '15 seconds'
        AND l.timestamp > %(time)s::timestamptz - interval '1 day'
        AND l.timestamp < %(time)s::timestamptz + interval '3 days'
        AND NOT pg_visible_in_snapshot({xid}, %(before)s::pg_snapshot)
        AND pg_visible_in_snapshot({xid}, %(now)s::pg_snapshot) AND {where}
    ORDER BY l.created_at DESC, l.timestamp DESC LIMIT %(limit)s""",
        "l",
        "l.created_at DESC, l.timestamp DESC",
        size=LOG_BYTES,
    )
)
_XID = sql.SQL("((newest::text::bigint - ((newest::text::bigint - l.xmin::text::bigint) & 4294967295))::text::xid8)")


@dataclass(frozen=True, slots=True)
class Look:
    """A moment: what was visible, and the database's time, both as PostgreSQL writes them."""

    snapshot: str
    time: str


def look(session: Session) -> Look:
    """Return this moment."""
    return session.rows(Look, _LOOK, {})[0]


def stored_between(session: Session, wanted: LogFilter, before: Look, now: Look, limit: int) -> Bounded[LogRow]:
    """Return the newest `limit` logs that became visible between two moments, the last stored first.

    Raises:
        ValueError: a condition cannot be.
    """
    arguments: dict[str, Any] = {
        **arguments_of(wanted),
        "since": None,
        "until": None,
        "before": before.snapshot,
        "time": before.time,
        "now": now.snapshot,
        "limit": limit,
    }
    conditions = [where("l", "timestamp", arguments), *all_of(wanted.conditions, LOGS, arguments)]
    query = _STORED.format(xid=_XID, where=sql.SQL(" AND ").join(conditions))
    return session.bounded(LogRow, query, arguments)
