"""Every question put to PostgreSQL, in one place: SELECTs over the exporter's tables, in read-only transactions."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from ganglion_collector.errors import CollectorError
from psycopg import errors, sql
from psycopg.rows import class_row

from ganglion_query.costs import total, with_costs
from ganglion_query.langsmith import LangSmith
from ganglion_query.model import LEVELS, ErrorRow, LogFilter, LogRow, SpanRow, Trace, parse_trace_id

__all__ = ["Reader", "ReaderError"]

_CONNECT_TIMEOUT = 5

_LOG_COLUMNS = """l.timestamp, l.level, l.logger, l.message, replace(l.trace_id::text, '-', '') AS trace_id, l.span_id,
    l.parent_span_id, l.request_id, l.user_id, l.session_id, l.tenant_id,
    coalesce(l.context, jsonb_build_object()) AS context, coalesce(l.metrics, jsonb_build_object()) AS metrics,
    l.duration_ms, l.cost_usd, l.error, l.stack_trace, l.environment, l.version, l.host, l.service_name"""

_SPAN_COLUMNS = """replace(s.trace_id::text, '-', '') AS trace_id, s.span_id, s.parent_span_id, s.name, s.kind,
    s.service_name, s.start_time, s.end_time, s.duration_ms, s.status, s.status_message,
    coalesce(s.attributes, jsonb_build_object()) AS attributes, coalesce(s.events, jsonb_build_array()) AS events,
    coalesce(s.links, jsonb_build_array()) AS links,
    s.user_id, s.session_id, s.tenant_id, s.request_id, s.scope_name, s.scope_version,
    coalesce(r.attributes, jsonb_build_object()) AS resource"""

R = TypeVar("R")

# The only text put into these statements is this module's own.
_TRACE_SPANS = sql.SQL(f"""SELECT {_SPAN_COLUMNS} FROM spans s LEFT JOIN resources r ON r.id = s.resource_id
    WHERE s.trace_id = %(trace_id)s::uuid ORDER BY s.start_time, s.span_id LIMIT %(limit)s""")  # noqa: S608

_TRACE_LOGS = sql.SQL(f"""SELECT {_LOG_COLUMNS} FROM logs l
    WHERE l.trace_id = %(trace_id)s::uuid ORDER BY l.timestamp LIMIT %(limit)s""")  # noqa: S608

_NEWEST_TRACE = """SELECT replace(trace_id::text, '-', ''), start_time FROM spans
    WHERE start_time > %s ORDER BY start_time DESC LIMIT 1"""

_LOGS = sql.SQL(f"SELECT {_LOG_COLUMNS} FROM logs l WHERE {{where}} ORDER BY l.timestamp DESC LIMIT %(limit)s")  # noqa: S608

# A failed span is told only where no log of it is an error: that log says more.
_ERRORS = sql.SQL("""SELECT * FROM (
    SELECT l.timestamp, 'log' AS kind, l.level, l.service_name, l.user_id,
        replace(l.trace_id::text, '-', '') AS trace_id, l.span_id, l.logger AS source, l.message, l.error
    FROM logs l WHERE l.level IN ('ERROR', 'CRITICAL') AND {logs} ORDER BY l.timestamp DESC LIMIT %(limit)s
) AS failed_logs UNION ALL SELECT * FROM (
    SELECT s.start_time, 'span', NULL, s.service_name, s.user_id,
        replace(s.trace_id::text, '-', ''), s.span_id, s.name, s.status_message,
        (SELECT concat_ws(': ', e -> 'attributes' ->> 'exception.type', e -> 'attributes' ->> 'exception.message')
            FROM jsonb_array_elements(s.events) e WHERE e ->> 'name' = 'exception' LIMIT 1)
    FROM spans s WHERE s.status = 'ERROR' AND {spans} AND NOT EXISTS (
        SELECT FROM logs l WHERE l.trace_id = s.trace_id AND l.span_id = s.span_id AND l.level IN ('ERROR', 'CRITICAL'))
    ORDER BY s.start_time DESC LIMIT %(limit)s
) AS failed_spans ORDER BY 1 DESC LIMIT %(limit)s""")

_CONDITIONS: dict[str, LiteralString] = {
    "user": "{alias}.user_id = %(user)s",
    "tenant": "{alias}.tenant_id = %(tenant)s",
    "service": "{alias}.service_name = %(service)s",
    "levels": "{alias}.level = ANY(%(levels)s)",
    "since": "{alias}.{time} >= %(since)s",
    "until": "{alias}.{time} < %(until)s",
    "search": "log_words(l.message, l.error, l.stack_trace) @@ websearch_to_tsquery('simple', %(search)s)",
}

# Logs come newest first from ever longer spans of time, so that a short answer does not cost a scan of the day.
_WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4))


class ReaderError(CollectorError):
    """The database cannot be asked; the one-line message names the reason and what to do, and holds no password."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks one database; a connection for each question. No question takes longer than `timeout` seconds.

    With `langsmith` it knows where LangSmith shows a trace.
    """

    dsn: str
    timeout: float = 30.0
    langsmith: LangSmith | None = None

    def trace(self, trace_id: str, limit: int = 10_000) -> Trace:
        """Return what is stored of a trace, at most `limit` spans and `limit` logs; empty if nothing is.

        Raises:
            ValueError: `trace_id` is not one.
            ReaderError: the database cannot be asked; so do all other questions.
            ConfigError: the file that GANGLION_PRICES names is wrong.
        """
        known = parse_trace_id(trace_id)
        arguments = {"trace_id": known, "limit": limit + 1}
        with self._transaction() as connection:
            spans = _rows(connection, SpanRow, _TRACE_SPANS, arguments)
            logs = _rows(connection, LogRow, _TRACE_LOGS, arguments)
        shown = with_costs(spans[:limit])
        return Trace(known, shown, logs[:limit], len(spans) > limit or len(logs) > limit, total(shown))

    def langsmith_url(self, trace: Trace) -> str | None:
        """Return where LangSmith shows `trace`; None where that is not used, or nothing of it can be there.

        Asks LangSmith at most once a day for each project, for at most two seconds.

        Raises:
            LinkError: there should be a link, but LangSmith does not tell what it takes.
        """
        return None if self.langsmith is None else self.langsmith.url(trace)

    def newest_trace(self) -> tuple[str, datetime] | None:
        """Return the id and the start of the newest span, None if the last day has none."""
        with self._transaction() as connection:
            for window in (*_WINDOWS, timedelta(days=1)):
                row = connection.execute(_NEWEST_TRACE, (datetime.now(UTC) - window,)).fetchone()
                if row is not None:
                    return row[0], row[1]
        return None

    def errors(
        self, user: str | None = None, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> Sequence[ErrorRow]:
        """Return errors, newest first, from `since` up to and without `until`."""
        arguments = {"user": user, "since": since, "until": until, "limit": limit}
        query = _ERRORS.format(logs=_where("l", "timestamp", arguments), spans=_where("s", "start_time", arguments))
        with self._transaction() as connection:
            return _rows(connection, ErrorRow, query, arguments)

    def logs(self, wanted: LogFilter, limit: int = 100) -> Sequence[LogRow]:
        """Return logs, newest first."""
        arguments: dict[str, Any] = {**asdict(wanted), "limit": limit}
        arguments["levels"] = None if wanted.level is None else list(LEVELS[LEVELS.index(wanted.level) :])
        rows: Sequence[LogRow] = ()
        with self._transaction() as connection:
            for since in _beginnings(wanted):
                arguments["since"] = since
                query = _LOGS.format(where=_where("l", "timestamp", arguments))
                rows = _rows(connection, LogRow, query, arguments)
                if len(rows) == limit:
                    break
        return rows

    @contextmanager
    def _transaction(self) -> Generator[psycopg.Connection]:
        try:
            with psycopg.connect(self.dsn, connect_timeout=_CONNECT_TIMEOUT) as connection:
                connection.read_only = True
                milliseconds = str(round(self.timeout * 1000))
                connection.execute("SELECT set_config('statement_timeout', %s, true)", (milliseconds,))
                yield connection
        except psycopg.Error as error:
            raise ReaderError(_explain(error, self.timeout)) from None


def _rows(
    connection: psycopg.Connection, row: type[R], query: sql.SQL | sql.Composed, arguments: Mapping[str, Any]
) -> list[R]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query, arguments).fetchall()


def _where(alias: str, time: str, arguments: Mapping[str, Any]) -> sql.Composed:
    names = {"alias": sql.Identifier(alias), "time": sql.Identifier(time)}
    given = [sql.SQL(text).format(**names) for name, text in _CONDITIONS.items() if arguments.get(name) is not None]
    return sql.SQL(" AND ").join([sql.SQL("true"), *given])


def _beginnings(wanted: LogFilter) -> Iterator[datetime | None]:
    """Yield the times to begin at until there is enough; the last one is what was asked for."""
    if wanted.user is None and wanted.search is None:
        end = wanted.until or datetime.now(UTC)
        for window in _WINDOWS:
            if wanted.since is None or wanted.since < end - window:
                yield end - window
    yield wanted.since


def _explain(error: psycopg.Error, timeout: float) -> str:
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return (
            "the database holds no telemetry of this version yet; is the collector running, and does it export there?"
        )
    if isinstance(error, errors.QueryCanceled):
        return f"PostgreSQL took longer than {timeout:g} s; ask for less, such as a shorter --since"
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"PostgreSQL: {first}; see `ganglion status`, or check GANGLION_DATABASE_URL"
