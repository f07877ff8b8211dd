"""Jaeger's own JSON: what Grafana's data source asks for, and Jaeger's page for traces and dependencies."""

from datetime import UTC, datetime, timedelta

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from ganglion_query.api.parameters import Asking
from ganglion_query.jaeger import questions
from ganglion_query.jaeger.answering import JaegerRoute, NotSupportedError, StructuredError, envelope
from ganglion_query.jaeger.parameters import dependency_query, search_query
from ganglion_query.jaeger.parsing import flag, length, required, text, trace_id
from ganglion_query.jaeger.rows import Rows
from ganglion_query.jaeger.spans import trace
from ganglion_query.model import NotFoundError

__all__ = ["router"]

router = APIRouter(prefix="/api", route_class=JaegerRoute, include_in_schema=False)


_LEFT_OUT = "left out: the traces before it have very many spans; ask for fewer, or for this one"


@router.get("/services")
def list_services(reader: Asking) -> Response:
    names = questions.services(reader)
    return envelope(names, len(names))


@router.get("/services/{service:path}/operations")
def list_operation_names(reader: Asking, service: str) -> Response:
    found = questions.operations(reader, required("service", service))
    names = list(dict.fromkeys(one.name for one in found))
    return envelope(names, len(names))


@router.get("/operations")
def list_operations(reader: Asking, request: Request) -> Response:
    given = request.query_params
    service = required("service", given.get("service"))
    found = questions.operations(reader, service, text("spanKind", given.get("spanKind")))
    return envelope([{"name": one.name, "spanKind": one.kind.lower()} for one in found], len(found))


@router.get("/traces")
def search(reader: Asking, request: Request) -> Response:
    wanted = search_query(request.query_params, datetime.now(UTC))
    found = questions.traces(reader, wanted)
    here = {rows.trace_id for rows in found.rows}
    missing = [one for one in wanted.traces if one not in here and one not in found.left_out]
    errors = [StructuredError(msg="trace not found", traceID=one) for one in missing]
    errors += [StructuredError(msg=_LEFT_OUT, traceID=one) for one in found.left_out]
    return envelope([_in_json(rows, raw=wanted.raw) for rows in found.rows], errors=errors or None)


@router.get("/traces/{given_id}")
def read_trace(reader: Asking, request: Request, given_id: str) -> Response:
    given = request.query_params
    wanted, raw = trace_id(given_id), flag("raw", given.get("raw"))
    for name in ("start", "end"):
        length(name, given.get(name), timedelta(microseconds=1))
    return envelope([_in_json(questions.one_trace(reader, wanted), raw=raw)])


@router.get("/dependencies")
def list_dependencies(reader: Asking, request: Request) -> Response:
    found = questions.calls(reader, dependency_query(request.query_params, datetime.now(UTC)))
    return envelope([{"parent": one.parent, "child": one.child, "callCount": one.count} for one in found])


@router.get("/metrics/{_kind}")
def read_metrics(_kind: str) -> Response:
    raise NotSupportedError("metrics querying is not supported here; Prometheus has them, and Ganglion's own page")


@router.api_route("/archive/{_id}", methods=["GET", "POST"])
def archive(_id: str) -> Response:
    raise NotSupportedError("there is no archive: traces are kept as long as `retention` says")


@router.post("/transform")
def transform() -> Response:
    raise NotSupportedError("traces are not converted here; open a file of Jaeger's JSON instead of OTLP's")


@router.get("/{path:path}")
def unknown(path: str) -> Response:
    raise NotFoundError(f"Jaeger's query API has no /api/{path[:80]} here")


def _in_json(rows: Rows, *, raw: bool) -> orjson.Fragment:
    """Return one trace in JSON at once, so that of many only that is kept."""
    return orjson.Fragment(orjson.dumps(trace(rows, raw=raw)))
