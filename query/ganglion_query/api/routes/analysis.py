"""What many requests tell together: how it goes, what changed, what matters, quality, cost, health."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import Query, Request
from ganglion_collector.background import read_status
from ganglion_collector.errors import StartError

from ganglion_query.answers import catalogue, comparison
from ganglion_query.answers import changes as differences
from ganglion_query.answers import costs as spending
from ganglion_query.answers import health as condition
from ganglion_query.answers import overview as views
from ganglion_query.answers import quality as scores
from ganglion_query.answers.catalogue import OperationInfo, ServiceInfo
from ganglion_query.answers.changes import Changes
from ganglion_query.answers.comparison import Comparison
from ganglion_query.answers.costs import By, Costs
from ganglion_query.answers.health import Health
from ganglion_query.answers.overview import Overview
from ganglion_query.answers.quality import Quality
from ganglion_query.api.parameters import (
    Asking,
    LastDay,
    LastDayOrTrace,
    LastHour,
    LastWeek,
    Limit,
    Name,
    Printable,
    Text,
    length,
    moment,
    now,
)
from ganglion_query.api.problems import WrongParameterError, blaming
from ganglion_query.api.routing import answers, new_router
from ganglion_query.model import parse_trace_id

__all__ = ["router"]

router = new_router()

_LONGEST_WINDOW = timedelta(days=7)


@answers(router, "/overview")
def overview(reader: Asking, period: LastHour, service: Text = None, layer: Text = None) -> Overview:
    """Tell rate, errors, latency, cost and quality over time, by service and by layer."""
    return views.overview(reader, period, service, layer)


@answers(router, "/services")
def services(reader: Asking) -> Sequence[ServiceInfo]:
    """List the services that sent something."""
    return catalogue.services(reader)


@answers(router, "/services/{service:path}/operations")
def operations(reader: Asking, service: Name) -> Sequence[OperationInfo]:
    """List the operations of a service: the names of its spans."""
    return catalogue.operations(reader, service)


@answers(router, "/attributes")
def attributes(reader: Asking, period: LastHour) -> Sequence[str]:
    """List the names of attributes that logs and spans have."""
    return catalogue.attribute_names(reader, period)


@answers(router, "/changes")
def changes(
    reader: Asking,
    at: Annotated[str, Query(max_length=40, description="When: `15:00`, `2h`, or ISO 8601; in UTC.")],
    window: Annotated[str, Query(max_length=40, description="How long before and after.")] = "30m",
    limit: Limit = 50,
) -> Changes:
    """Say what differs after a time from before it, by effect."""
    span = length("window", window)
    if span > _LONGEST_WINDOW:
        raise WrongParameterError("window", "at most 7 days")
    time = moment("at", at, now())
    with blaming("at"):
        return differences.changes(reader, time, span, limit)


@answers(router, "/comparison")
def compare(
    reader: Asking,
    by: Annotated[
        str,
        Printable,
        Query(min_length=1, max_length=200, description="An attribute: `context.chunk_size`, `version`."),
    ],
    period: LastDay,
    service: Text = None,
    operation: Text = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Comparison:
    """Tell latency, error rate, cost and quality by the value of an attribute."""
    with blaming("by"):
        return comparison.compare(reader, by, period, service=service, operation=operation, limit=limit)


@answers(router, "/quality")
def quality(reader: Asking, period: LastWeek, service: Text = None) -> Quality:
    """Tell the scores of answers over time, and the moment they dropped."""
    return scores.quality(reader, period, service)


@answers(router, "/costs")
def costs(reader: Asking, period: LastDayOrTrace, by: By = "model", trace: Text = None, limit: Limit = 50) -> Costs:
    """Tell what models cost, by user, tenant, model, layer, service or request."""
    with blaming("trace"):
        trace_id = None if trace is None else parse_trace_id(trace)
    return spending.costs(reader, by, period, trace_id=trace_id, limit=limit)


@answers(router, "/health")
def health(reader: Asking, request: Request) -> Health:
    """Say whether the system is healthy: the collector's parts, what arrives, and services against their day before."""
    home = request.app.state.home
    if home is None or reader.scope.tenants is not None:
        return condition.health(reader, None)
    try:
        return condition.health(reader, read_status(home))
    except StartError:
        return condition.health(reader, None)
