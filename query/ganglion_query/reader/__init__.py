"""Every question put to PostgreSQL, in one place: SELECTs over the exporter's tables, in read-only transactions.

session ──▶ one module for each kind of rows ──▶ typed rows; no SQL stands anywhere else on the read side
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from ganglion_query.costs import trace_cost, with_costs
from ganglion_query.langsmith import LangSmith
from ganglion_query.model import ErrorRow, LogFilter, LogRow, Trace, parse_trace_id
from ganglion_query.reader import logs, traces
from ganglion_query.reader.cancellation import Cancellation, CancelledError
from ganglion_query.reader.session import EVERYTHING, Database, Pool, ReaderError, Scope, Session, open_pool

__all__ = ["EVERYTHING", "Cancellation", "CancelledError", "Reader", "ReaderError", "Scope", "Session", "open_pool"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks one database. No statement takes longer than `timeout` seconds.

    With `langsmith` it knows where LangSmith shows a trace. Without `pool` each question has a connection of its own.
    `scope` is whose data it may read. `cancellation` ends at once what it is asked.
    """

    dsn: str
    timeout: float = 30.0
    langsmith: LangSmith | None = None
    scope: Scope = EVERYTHING
    pool: Pool | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)

    def within(self, scope: Scope) -> "Reader":
        """Return a reader of the data of `scope` alone."""
        return replace(self, scope=scope)

    def until(self, cancellation: Cancellation) -> "Reader":
        """Return a reader that answers nothing more once it is cancelled."""
        return replace(self, cancellation=cancellation)

    @contextmanager
    def session(self) -> Generator[Session]:
        """Begin a read-only transaction.

        Raises:
            ReaderError: the database cannot be asked; so do all questions.
            CancelledError: whoever asked has gone.
        """
        database = Database(self.dsn, self.timeout, self.scope, self.pool, self.cancellation)
        with database.session() as session:
            yield session

    def trace(self, trace_id: str, limit: int = 10_000) -> Trace:
        """Return what is stored of a trace, at most `limit` spans and `limit` logs; empty if nothing is.

        Raises:
            ValueError: `trace_id` is not one.
            ConfigError: the file that GANGLION_PRICES names is wrong.
        """
        known = parse_trace_id(trace_id)
        with self.session() as session:
            found = traces.trace_rows(session, known, limit)
        spans = with_costs(found.spans)
        return Trace(known, spans, found.logs, found.is_cut, trace_cost(spans, found.logs))

    def langsmith_url(self, trace: Trace) -> str | None:
        """Return where LangSmith shows `trace`; None where that is not used, or nothing of it can be there.

        Asks LangSmith at most once a day for each project, for at most two seconds.

        Raises:
            LinkError: there should be a link, but LangSmith does not tell what it takes.
        """
        return None if self.langsmith is None else self.langsmith.url(trace)

    def trace_times(self, trace_id: str) -> tuple[datetime, datetime] | None:
        """Return when the first and the last span or log of a trace began, None if there is none.

        Raises:
            ValueError: `trace_id` is not one.
        """
        known = parse_trace_id(trace_id)
        with self.session() as session:
            return traces.trace_times(session, known)

    def newest_trace(self) -> tuple[str, datetime] | None:
        """Return the id and the start of the newest span, None if the last day has none."""
        with self.session() as session:
            return traces.newest_trace(session)

    def errors(
        self, user: str | None = None, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> Sequence[ErrorRow]:
        """Return errors, newest first, from `since` up to and without `until`."""
        with self.session() as session:
            return logs.errors(session, logs.ErrorFilter(user=user, since=since, until=until), limit)

    def logs(self, wanted: LogFilter, limit: int = 100) -> Sequence[LogRow]:
        """Return logs, newest first."""
        with self.session() as session:
            return logs.logs(session, wanted, limit).rows
