"""How telemetry arrives, and how services went lately and usually."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from ganglion_query.reader.session import Session

__all__ = ["NewestRow", "ServiceRow", "newest", "services"]

# Ever longer, so that the usual answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4), timedelta(days=1))

_NEWEST_LOG: LiteralString = """SELECT max(l.timestamp) AS newest, max(l.created_at) AS stored_at,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM l.created_at - l.timestamp)) AS lag
FROM logs l WHERE l.timestamp >= %(since)s AND l.timestamp < %(until)s"""

_NEWEST_SPAN: LiteralString = """SELECT max(s.start_time) AS newest, max(s.created_at) AS stored_at,
    percentile_cont(0.95) WITHIN GROUP
        (ORDER BY extract(epoch FROM s.created_at - coalesce(s.end_time, s.start_time))) AS lag
FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s"""

# A request of a service: what began there, or was sent to it.
_SERVICES: LiteralString = """SELECT e.service, e.now, max(e.start_time) AS last_seen, count(*) AS requests,
        count(*) FILTER (WHERE e.failed) AS errors, count(e.logarithm) AS timed, coalesce(avg(e.logarithm), 0) AS mean,
        coalesce(var_samp(e.logarithm), 0) AS variance,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY e.duration_ms) FILTER (WHERE e.logarithm IS NOT NULL) AS p95_ms,
        count(*) FILTER (WHERE e.start_time >= %(recent)s AND NOT e.now) AS recently
    FROM (
        SELECT coalesce(s.service_name, '') AS service, s.start_time >= %(at)s AS now, s.start_time, s.duration_ms,
            s.status = 'ERROR' AS failed, CASE WHEN s.status <> 'ERROR' AND s.duration_ms > 0 AND s.duration_ms < 1e15
                THEN ln(s.duration_ms) END AS logarithm
        FROM spans s WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
            AND (s.parent_span_id IS NULL OR s.kind IN ('SERVER', 'CONSUMER'))
    ) e GROUP BY e.service, e.now ORDER BY e.service, e.now LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class NewestRow:
    """The newest log or span, when the last was stored, and how long that took for 95 of 100 (seconds)."""

    newest: datetime
    stored_at: datetime
    lag: float


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service lately (`now`) or before; the means are of natural logarithms of ms of what did not fail.

    `recently` are the requests of the hour before lately.
    """

    service: str
    now: bool
    last_seen: datetime
    requests: int
    errors: int
    timed: int
    mean: float
    variance: float
    p95_ms: float | None
    recently: int


def newest(session: Session, kind: str, until: datetime) -> NewestRow | None:
    """Return what is known of the newest of `logs` or `spans`, None if the last day has none."""
    query = _NEWEST_LOG if kind == "logs" else _NEWEST_SPAN
    for window in _WINDOWS:
        (row,) = session.dicts(query, {"since": until - window, "until": until})
        if row["newest"] is not None:
            return NewestRow(row["newest"], row["stored_at"], float(row["lag"]))
    return None


def services(session: Session, at: datetime, until: datetime, limit: int) -> Sequence[ServiceRow]:
    """Return services from `at` on, and in the day before `at`."""
    bounds = {"since": at - timedelta(days=1), "recent": at - timedelta(hours=1), "at": at, "until": until}
    return session.rows(ServiceRow, _SERVICES, {**bounds, "limit": limit})
