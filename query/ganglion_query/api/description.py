"""The API as OpenAPI 3.1 describes it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from ganglion_query.api.problems import PROBLEM, Problem

__all__ = ["ERRORS", "describe"]

_DESCRIPTION = """What happened to a request, by what PostgreSQL holds of it. Everything is GET, each answer is JSON.

Times are ISO 8601 in UTC, durations milliseconds, cost US dollars. A parameter that a route does not know is an error.
Errors are problem details (RFC 9457)."""

_REASONS = {
    401: "A token is needed, or is not known.",
    403: "Asked by another name than this machine's, or from another site.",
    404: "Nothing is stored under that id.",
    422: "A parameter is wrong; `errors` names it.",
    502: "The database cannot be asked.",
    503: "The database is away, or too many ask at once; `Retry-After` says when to try again.",
    504: "The database took too long; ask for less.",
}
_SCHEMA = {"$ref": "#/components/schemas/Problem"}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": reason, "content": {PROBLEM: {"schema": _SCHEMA}}} for status, reason in _REASONS.items()
}


def describe(api: FastAPI) -> dict[str, Any]:
    """Return the document of all routes, made once."""
    if api.openapi_schema is None:
        document = get_openapi(
            title="Ganglion", version="1", openapi_version="3.1.0", description=_DESCRIPTION, routes=api.routes
        )
        components: dict[str, Any] = document["components"]
        components["schemas"] |= _problem_schemas()
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}, {}]
        api.openapi_schema = document
    return api.openapi_schema


def _problem_schemas() -> dict[str, Any]:
    schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    return {**schema.pop("$defs"), "Problem": schema}
