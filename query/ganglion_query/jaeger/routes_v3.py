"""Version 3 of Jaeger's query API, in OTLP: what Jaeger's page searches with since 2.19."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ganglion_query.api.parameters import Asking
from ganglion_query.jaeger import questions
from ganglion_query.jaeger.answering import JaegerRoute, as_json, status_of
from ganglion_query.jaeger.otlp import resource_spans
from ganglion_query.jaeger.parameters import NO_SERVICE, query_of_v3
from ganglion_query.jaeger.parsing import flag, iso_time, required, text, trace_id
from ganglion_query.jaeger.rows import Rows, microseconds
from ganglion_query.model import NotFoundError
from ganglion_query.reader.jaeger import Summary

__all__ = ["router"]


def _failure(error: Exception) -> Response:
    status = status_of(error)
    return as_json({"error": {"httpCode": status, "message": str(error)}}, status)


class _Route(JaegerRoute):
    tell = staticmethod(_failure)


router = APIRouter(prefix="/api/v3", route_class=_Route, include_in_schema=False)


@router.get("/services")
def list_services(reader: Asking) -> Response:
    return as_json({"services": questions.services(reader)})


@router.get("/operations")
def list_operations(reader: Asking, request: Request) -> Response:
    given = request.query_params
    kind = text("spanKind", given.get("spanKind") or given.get("span_kind"))
    found = questions.operations(reader, required("service", given.get("service")), kind)
    return as_json({"operations": [{"name": one.name, "spanKind": one.kind.lower()} for one in found]})


@router.get("/trace-summaries")
def list_summaries(reader: Asking, request: Request) -> Response:
    found = questions.summaries(reader, query_of_v3(request.query_params))
    return as_json({"summaries": [_summary(one) for one in found]})


@router.get("/traces")
def search(reader: Asking, request: Request) -> Response:
    wanted = query_of_v3(request.query_params)
    return _traces(questions.traces(reader, wanted).rows, raw=wanted.raw)


@router.get("/traces/{given_id}")
def read_trace(reader: Asking, request: Request, given_id: str) -> Response:
    given = request.query_params
    wanted = trace_id(given_id)
    raw = flag("rawTraces", given.get("rawTraces") or given.get("raw_traces"))
    for name in ("startTime", "start_time", "endTime", "end_time"):
        if given.get(name):
            iso_time(name, given[name])
    return _traces([questions.one_trace(reader, wanted)], raw=raw)


@router.get("/{path:path}")
def unknown(path: str) -> Response:
    raise NotFoundError(f"Jaeger's query API has no /api/v3/{path[:80]} here")


def _traces(found: Iterable[Rows], *, raw: bool) -> Response:
    spans = [one for rows in found for one in resource_spans(rows, raw=raw)]
    if not spans:
        raise NotFoundError("No traces found")
    return as_json({"result": {"resourceSpans": spans}})


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "traceId": summary.trace_id,
        "rootServiceName": summary.root_service or NO_SERVICE,
        "rootOperationName": summary.root_name,
        "minStartTimeUnixNano": str(microseconds(summary.start_time) * 1000),
        "maxEndTimeUnixNano": str(microseconds(summary.end_time) * 1000),
        "spanCount": summary.span_count,
        "errorSpanCount": summary.error_count,
        "orphanSpanCount": summary.orphan_count,
        "services": [
            {"name": name or NO_SERVICE, "spanCount": spans, "errorSpanCount": failed}
            for name, spans, failed in summary.services
        ],
    }
