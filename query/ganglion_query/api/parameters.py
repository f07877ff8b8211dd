"""What requests ask with: times, limits, conditions, filters, each checked before the database is asked."""

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, BeforeValidator

from ganglion_query.answers.period import Period, period_of_trace
from ganglion_query.answers.population import Whose
from ganglion_query.answers.search import TraceFilter
from ganglion_query.api.problems import WrongParameterError, blaming
from ganglion_query.conditions import parse_condition
from ganglion_query.cursors import FOREIGN
from ganglion_query.model import Condition, LogFilter, parse_trace_id
from ganglion_query.reader import Reader
from ganglion_query.times import parse_length, parse_time

__all__ = [
    "Asking",
    "Cursor",
    "LastDay",
    "LastDayOrTrace",
    "LastHour",
    "LastHourOrTrace",
    "LastWeek",
    "Limit",
    "Logs",
    "Name",
    "Printable",
    "SpanId",
    "Text",
    "TraceId",
    "Traces",
    "WhoseErrors",
    "length",
    "listing",
    "moment",
    "now",
]

_LONGEST_TEXT = 1000


def _printable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character, which PostgreSQL's text cannot")
    return text


Printable = AfterValidator(_printable)
_Some = Annotated[str, Printable, Query(max_length=_LONGEST_TEXT)]
Text = _Some | None
Name = Annotated[str, Path(max_length=_LONGEST_TEXT), Printable]
Cursor = Annotated[str | None, Query(max_length=_LONGEST_TEXT, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
TraceId = Annotated[
    str, Path(description="32 hexadecimal digits, with or without hyphens."), AfterValidator(parse_trace_id)
]
SpanId = Annotated[
    str, Path(pattern="^[0-9a-fA-F]{16}$", description="16 hexadecimal digits."), AfterValidator(str.lower)
]
_Moment = Annotated[
    str,
    Query(max_length=40, description="So long ago (`90m`, `2d`), `15:00`, `yesterday`, `now`, or ISO 8601; in UTC."),
]
_Duration = Annotated[str | None, Query(max_length=40, description="Such as `5s` or `200ms`.")]
_Where = Annotated[
    list[_Some] | None,
    Query(max_length=20, description="An attribute and what it must be: `context.chunk_size=512`, `cost_usd>0.1`."),
]
_Level = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
]


def now() -> datetime:
    return datetime.now(UTC)


def moment(parameter: str, text: str, at: datetime) -> datetime:
    """Return the time that `text` means at `at`."""
    with blaming(parameter):
        return parse_time(text, at).astimezone(UTC)


def length(parameter: str, text: str) -> timedelta:
    """Return the length of time that `text` means."""
    with blaming(parameter):
        return parse_length(text)


@contextmanager
def listing() -> Generator[None]:
    """Tell which parameter is meant when a list cannot be: its cursor, or its conditions."""
    try:
        yield
    except ValueError as error:
        raise WrongParameterError("cursor" if str(error) == FOREIGN else "where", str(error)) from None


async def _asking(request: Request) -> Reader:
    reader: Reader = request.state.reader
    return reader


Asking = Annotated[Reader, Depends(_asking)]
"""Reads what whoever asks may see."""


def _period(default: str) -> Callable[..., Coroutine[Any, Any, Period]]:
    async def read(since: _Moment = default, until: _Moment = "now") -> Period:
        at = now()
        period = Period(moment("since", since, at), moment("until", until, at))
        if period.since >= period.until:
            raise WrongParameterError("since", "it must be before until")
        return period

    return read


LastHour = Annotated[Period, Depends(_period("1h"))]
LastDay = Annotated[Period, Depends(_period("24h"))]
LastWeek = Annotated[Period, Depends(_period("7d"))]


def _own(reader: Reader, request: Request, period: Period) -> Period:
    """Return all the time of the trace that is asked about, unless one was asked for."""
    asked = request.query_params
    if "trace" not in asked or "since" in asked or "until" in asked:
        return period
    with blaming("trace"):
        return period_of_trace(reader, asked["trace"]) or period


def _day_or_trace(reader: Asking, request: Request, period: LastDay) -> Period:
    return _own(reader, request, period)


def _hour_or_trace(reader: Asking, request: Request, period: LastHour) -> Period:
    return _own(reader, request, period)


LastDayOrTrace = Annotated[Period, Depends(_day_or_trace)]
LastHourOrTrace = Annotated[Period, Depends(_hour_or_trace)]


def _conditions(where: list[str] | None) -> tuple[Condition, ...]:
    with blaming("where"):
        return tuple(parse_condition(text) for text in where or ())


def _milliseconds(parameter: str, text: str | None) -> float | None:
    return None if text is None else length(parameter, text) / timedelta(milliseconds=1)


async def _traces(  # noqa: PLR0913, PLR0917 (one for each parameter)
    period: LastHour,
    service: Text = None,
    operation: Text = None,
    layer: Text = None,
    user: Text = None,
    tenant: Text = None,
    session: Text = None,
    status: Literal["ok", "error"] | None = None,
    min_duration: _Duration = None,
    max_duration: _Duration = None,
    where: _Where = None,
    order: Literal["newest", "slowest"] = "newest",
) -> TraceFilter:
    return TraceFilter(
        period=period,
        service=service,
        operation=operation,
        layer=layer,
        user=user,
        tenant=tenant,
        session=session,
        status=status,
        min_duration_ms=_milliseconds("min_duration", min_duration),
        max_duration_ms=_milliseconds("max_duration", max_duration),
        conditions=_conditions(where),
        order=order,
    )


Traces = Annotated[TraceFilter, Depends(_traces)]


async def _logs(  # noqa: PLR0913, PLR0917 (one for each parameter)
    service: Text = None,
    level: Annotated[_Level | None, Query(description="At least so serious.")] = None,
    user: Text = None,
    tenant: Text = None,
    session: Text = None,
    request: Text = None,
    trace: Text = None,
    logger: Text = None,
    search: Annotated[Text, Query(description='As in a web search: words, "phrases", or, -not.')] = None,
    where: _Where = None,
) -> LogFilter:
    with blaming("trace"):
        trace_id = None if trace is None else parse_trace_id(trace)
    return LogFilter(
        user=user,
        tenant=tenant,
        service=service,
        level=level,
        search=search,
        session=session,
        request=request,
        trace=trace_id,
        logger=logger,
        conditions=_conditions(where),
    )


Logs = Annotated[LogFilter, Depends(_logs)]
"""Which logs, without a time."""


async def _whose(service: Text = None, user: Text = None, tenant: Text = None) -> Whose:
    return Whose(service, user, tenant)


WhoseErrors = Annotated[Whose, Depends(_whose)]
